"""`mkshlib --previous`: version numbers, major versions, what is refused, room."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support.mkshlib import image
from support.releases import BASE, CHANGES, DATA, EXPECTED, FIRST, SECOND, TWO, USER, Shop, refused
from support.tools import needs
from uselib.cli import main
from uselib.linker.image import ExportKind, Machine, Version
from uselib.linker.library.releases import history, previous

pytestmark = needs("gcc", "ld")
M = Machine.X86_64


# -- versions -----------------------------------------------------------------------------------------------------------


def test_version_numbers(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    path = shop.release("1.2.3", TWO)
    # the same again is the same, byte for byte; anything else under the same number is refused
    said = refused(shop, capsys, "1.2.3", "1.2.3", TWO.replace("4", "44"))
    assert (
        said
        == "uselib: libt_s.1.2.3: has other contents than the 1.2.3 that exists already; give it a version of its own, 1.2.4\n"
    )
    first = path.read_bytes()
    shop.release("1.2.3", TWO, before="1.2.3")
    assert path.read_bytes() == first
    said = refused(shop, capsys, "1.2.3", "1.2.3", TWO + "int e(void) { return 5; }")
    assert "libt_s.1.2.3: is a minor release after 1.2.3, because e is new; call it 1.3.0" in said
    said = refused(shop, capsys, "1.2.4", "1.2.3", TWO + "".join(f"int n{n} = 1;" for n in range(9)))
    assert (
        "libt_s.1.2.4: is a minor release after 1.2.3, because n0, n1, n2 and 6 more are new; call it 1.3.0, so that"
        in said
    )
    said = refused(shop, capsys, "1.2.2", "1.2.3", TWO)
    assert "libt_s.1.2.2: is older than libt_s.1.2.3, which is given as its predecessor" in said
    capsys.readouterr()
    shop.release("1.2.4", TWO.replace("4", "44"), before="1.2.3")  # -q
    objects = shop.objects("loud", TWO)
    assert (
        main(["mkshlib", *map(str, [*shop.arguments("1.2.5", "1.2.4"), "-o", shop.directory / "1.2.5", *objects])]) == 0
    )
    said = capsys.readouterr().err
    assert "libt_s.1.2.5: after 1.2.4: a patch release (the interface is the same)\n" in said
    assert re.search(
        r"libt_s\.1\.2\.5: room for any amount of text \(no data are exported\), any amount of data .*65533 slots", said
    )


def test_a_release_without_previous_beside_one_that_it_breaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = Shop(tmp_path, M)
    more = "int a(void) { return 1; }" + TWO
    rows = (
        ("1.0.0", TWO, ""),
        ("1.0.1", TWO.replace("4", "44"), ""),
        ("1.1.0", more, "1.0.1"),
        ("2.0.0", "int c(void) { return 1; }", ""),
    )
    for version, text, broken in rows:
        objects = shop.objects(version, text)
        capsys.readouterr()
        arguments = ["-q", *shop.arguments(version, None), "-o", tmp_path, *objects]
        assert main(["mkshlib", *map(str, arguments)]) == 0
        said = capsys.readouterr().err
        assert said == (
            f"uselib: warning: libt_s.1.1.0: programs linked with libt_s.{broken} will not run on it: "
            f"b and d are at another address now or removed; "
            f"give --previous {tmp_path}/shlib/libt_s.{broken}\n"
            if broken
            else ""
        )


def test_a_new_major_version(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.0.0", FIRST)
    said = refused(shop, capsys, "1.1.0", "1.0.0", SECOND, "--renumber")
    assert (
        "libt_s.1.1.0: renumbering would break every program linked with libt_s.1.0.0; take a new major version, 2.0.0"
        in said
    )
    shop.release("2.0.0", SECOND, before="1.0.0")  # nothing has to be declared
    kept = shop.history("2.0.0")
    assert kept.releases == (Version(2, 0, 0),)
    assert [(s.name, s.state.value) for s in kept.slots] == [
        ("add", "retired"),
        ("close_db", "retired"),
        ("hook", "function"),
        ("open_db", "function"),
        ("run_hook", "function"),
        ("before_all", "function"),
        ("sum", "function"),
    ]
    old = shop.history("1.0.0")
    assert (kept.base, kept.table, kept.data) == (old.base, old.table, old.data)
    places = {p.name: p.address for p in kept.places}
    assert all(places[p.name] == p.address for p in old.places)
    program = shop.program("p", USER.replace("add", "sum"), "2.0.0")
    assert shop.run(program, "2.0.0") == (EXPECTED, "", 0)
    shop.release("2.0.1", SECOND, before="2.0.0")
    assert shop.run(program, "2.0.1") == (EXPECTED, "", 0)
    # what cannot be kept is not: retyped, grown beyond what its neighbours leave, more text than there was room for
    wild = SECOND.replace("table[4]", "table[40]").replace("int before_all(void)", "int verbosity(void)")
    wild = wild.replace("int aaa", "__attribute__((aligned(64))) int limited, aaa")
    shop.release("4.0.0", wild + '__asm__(".text; .skip 30000");', before="1.0.0")
    wilder = shop.program(
        "w", USER.replace("add", "sum") + "int verbosity(void); int v(void) { return verbosity(); }", "4.0.0"
    )
    assert shop.run(wilder, "4.0.0") == (EXPECTED, "", 0)
    assert shop.history("4.0.0").data > old.data
    shop.release(
        "5.0.0",
        FIRST.replace("int counter = 5,", "__attribute__((aligned(64))) int limited; int counter = 5,"),
        before="1.0.0",
        compiler=(),
    )
    assert shop.run(shop.program("x", USER, "5.0.0"), "5.0.0") == (EXPECTED, "", 0)
    fresh = shop.release("3.0.0", SECOND, before="1.0.0", options=("--renumber",))
    plain = shop.release("3.0.0", SECOND)
    assert fresh.read_bytes() == plain.read_bytes()


REFUSALS = [
    (
        TWO.replace("int b(void) { return 2; }", "int b = 2;"),
        (),
        "b: was a function in libt_s.1.0.0 and is data now; give the new one",
    ),
    (
        TWO,
        ("--retire", "b"),
        "b: is to be retired, but an object still exports it; remove it, or keep it private with --hide",
    ),
    (TWO, ("--retire", "nothing"), "nothing: is to be retired, but libt_s.1.0.0 does not have it"),
    (TWO, ("--rename", "x=b"), "--rename: x: libt_s.1.0.0 has no such function or datum to rename"),
    (TWO, ("--rename", "b=d"), "--rename: b: cannot become d, which libt_s.1.0.0 has too (slot 2)"),
    (TWO, ("--rename", "b=e"), "--rename: b: is to be renamed to e, but an object still exports it"),
    (
        "int d(void) { return 4; }",
        ("--rename", "b=e"),
        "--rename: b: is to be renamed to e, but no object exports that",
    ),
    ("int d(void) { return 4; } int e = 1;", ("--rename", "b=e"), "e: was a function in libt_s.1.0.0 and is data now"),
    (TWO, ("--text", "0x62000000"), "programs have libt_s at 0x61000000, not at 0x62000000; leave out --text"),
    (TWO, ("--scheme", "mmap"), "has scheme uselib, which every program can load"),
    (
        TWO,
        ("--name", "other"),
        "is libt_s.1.0.0, and this library is libother_s; give --previous a release of the same library",
    ),
    (TWO, ("--renumber",), "renumbering would break every program"),
]


@pytest.mark.parametrize(("source", "options", "message"), REFUSALS)
def test_refusals(
    tmp_path: Path, source: str, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = Shop(tmp_path, M)
    shop.release("1.0.0", TWO)
    assert message in refused(shop, capsys, "1.1.0", "1.0.0", source, *options)


def test_every_problem_is_reported_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop(tmp_path, M)
    shop.release("1.0.0", FIRST)
    said = refused(shop, capsys, "1.1.0", "1.0.0", "int verbosity(void) { return 1; }", "--retire", "open_db,absent")
    assert [line.split(": ")[2] for line in said.splitlines()] == [
        *"absent verbosity add close_db hook run_hook counter limit table".split()
    ]


def test_declarations_need_a_previous_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop(tmp_path, M)
    for option in (["--retire", "x"], ["--rename", "a=b"], ["--move-data", "x"], ["--keep-old-names"], ["--renumber"]):
        said = refused(shop, capsys, "1.0.0", None, TWO, *option)
        assert (
            said
            == f"uselib: libt_s.1.0.0: {option[0][2:]} needs an earlier release, and none is given; give it with --previous\n"
        )


def test_not_for_aout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "mkshlib",
        "--format",
        "aout",
        "--control",
        str(tmp_path),
        "--previous",
        "x",
        "-o",
        str(tmp_path / "out"),
        "x.o",
    ]
    assert main(arguments) == 2
    assert (
        "--previous and the options that go with it are not for a.out libraries; the control files"
        in capsys.readouterr().err
    )


def test_files_that_are_not_releases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop(tmp_path, M)
    shop.release("1.0.0", TWO)
    program = shop.program("p", "int b(void); int main_(void) { return b(); }", "1.0.0")
    text = tmp_path / "text"
    text.write_text("hello")
    plain = tmp_path / "plain.a"
    subprocess.run(["ar", "rcs", plain, shop.objects("x", TWO)[0]], check=True)
    bare = tmp_path / "bare"
    subprocess.run(["objcopy", "-R", history.SECTION, shop.library("1.0.0"), bare], check=True)
    for path, message in (
        (text, "is neither a target library nor a stub library; give --previous a file that mkshlib made"),
        (plain, "is neither a target library nor a stub library"),
        (program, "is not a target library: it has no NT_LIBRARY note"),
        (
            bare,
            f"does not say what programs of earlier releases rely on (section {history.SECTION}): it was stripped of it; give its stub library",
        ),
        (tmp_path / "nowhere", "cannot be read: No such file or directory"),
        (tmp_path, "not a stub library: it has no `LIBRARY NAME`"),
    ):
        assert message in refused(shop, capsys, "1.0.1", path, TWO)
    shop32 = Shop(tmp_path / "other", Machine.I386)
    shop32.directory.mkdir()
    said = refused(shop32, capsys, "1.0.1", shop.library("1.0.0"), TWO)
    assert "is for x86_64, and the objects are for i386" in said


def test_stripped_libraries_keep_their_history(shop: Shop) -> None:
    shop.release("1.0.0", FIRST, options=("--strip-all",))
    path = shop.library("1.0.0")
    before = previous.read(path).history
    subprocess.run(["strip", "-s", path], check=True)
    assert previous.read(path).history == before
    assert not [e for e in image(path).exports if e.kind is ExportKind.FUNCTION]
    program = shop.program("user", USER, "1.0.0")
    shop.release("1.1.0", SECOND, before="1.0.0", options=(*CHANGES, "--strip-all"))
    assert shop.run(program, "1.1.0") == (EXPECTED, "", 0)


def test_specification_file(shop: Shop) -> None:
    """#retire, #rename and #move-data; they may stay in the file for good."""
    shop.release("1.0.0", FIRST)
    program = shop.program("user", USER, "1.0.0")
    spec = shop.directory / "t.spec"
    spec.write_text("#retire close_db\n  verbosity\n#rename\n  add = sum\n#move-data nothing_yet table\n")
    for n in (1, 2, 3):
        shop.release(
            f"1.{n}.0", SECOND + f"int v{n} = {n};" * (n > 1), before=f"1.{n - 1}.0", options=("-s", spec)
        ) if n < 3 else None
    assert shop.run(program, "1.2.0") == (EXPECTED, "", 0)


def test_out_of_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop(tmp_path, M)
    book = tmp_path / "map"
    book.write_text("libt_s 1 0x61000000 0x00006000\nlibnext_s 1 0x61006000 0x00001000\n")
    text = "int x = 1; int f(void) { return x; }"
    shop.release("1.0.0", text, options=("--map", book))
    said = refused(shop, capsys, "1.0.1", "1.0.0", text + '__asm__(".skip 20000");')
    assert re.search(
        r"libt_s.1.0.1: no room: the text ends at 0x6100\w+, and programs have the data at 0x61003000 since 1.0.0, so \d+ bytes of "
        r"text are too many; make the code smaller \(-Os\), put part of it into another library",
        said,
    )
    said = refused(shop, capsys, "1.1.0", "1.0.0", text + "char big[16000];", "--map", book)
    assert (
        "libt_s 1 has 0x6000 bytes reserved and needs 0x7000; enlarge the entry (room for 0x0 more), or take a new major version"
        in said
    )
    objects = shop.objects("room", text + "char small[100];")
    assert (
        main(
            [
                "mkshlib",
                "-o",
                str(tmp_path / "1.1.0"),
                *map(str, shop.arguments("1.1.0", "1.0.0")),
                "--map",
                str(book),
                str(objects[0]),
            ]
        )
        == 0
    )
    said = capsys.readouterr().err
    assert re.search(
        r"room for \d+ bytes of text before the data at 0x61003000, \d+ bytes of data before 0x61006000, 65534 slots",
        said,
    )


def test_a_new_major_version_has_a_place_of_its_own(tmp_path: Path) -> None:
    shop = Shop(tmp_path, M)
    book = tmp_path / "map"
    shop.release("1.0.0", DATA, options=("--map", book))
    shop.release("2.0.0", "int a0 = 1;" + DATA, before="1.0.0", options=("--map", book))
    old, new = shop.history("1.0.0"), shop.history("2.0.0")
    assert (old.base, new.base) == (BASE, 0x60000000)  # the first that is free
    for name, place in old.data_places().items():
        assert new.data_places()[name].address - new.data == place.address - old.data


def test_an_explicit_data_address_must_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop(tmp_path, M)
    shop.release("1.0.0", DATA, options=("--data", "0x61008000"))
    shop.release("1.0.1", DATA, before="1.0.0", options=("--text", "0x61000000", "--data", "0x61008000"))
    said = refused(shop, capsys, "1.0.2", "1.0.0", DATA, "--data", "0x61009000")
    assert "programs have the data of libt_s at 0x61008000, not at 0x61009000; leave out --data" in said

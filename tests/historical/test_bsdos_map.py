"""The map of `uselib shlicc`: reading, checks of each line, and mistakes in a command line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.programs import source, sysroot
from support.schemes import World, make_world
from uselib.cli import main
from uselib.linker.errors import ToolError
from uselib.linker.image import Machine
from uselib.linker.library.bsdos_table import MapEntry, parse_map
from uselib.linker.library.bsdos_table import source as table_source

GOOD = """# a comment
/shlib/libc_s.1.0.0 0x60000000   # the first

\t/usr/shlib/libm_s.2.10.3\t1677721600
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("map") / "root", "x86_64")


def test_a_map() -> None:
    book = parse_map(GOOD, "M")
    assert book.places == (
        MapEntry("/shlib/libc_s.1.0.0", 0x60000000, 2),
        MapEntry("/usr/shlib/libm_s.2.10.3", 0x64000000, 4),
    )
    assert [place.name for place in book.places] == ["libc_s", "libm_s"]
    found = book.find("libm_s")
    assert found is not None and book.at(found) == "M:4"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/shlib/libm_s.1.0.0", "write a library's path and its load address, and nothing else"),
        ("libm_s 1 0x60400000 0x400000", "write a library's path and its load address, and nothing else"),
        ("/shlib/libm_s.1.0.0 sixty", "`sixty` is not an address"),
        ("/shlib/libm_s.1.0.0 0x60400010", "address 0x60400010 is not on a page boundary of the address space"),
        ("/shlib/libm_s.1.0.0 -4096", "address -4096 is not on a page boundary of the address space"),
        ("shlib/libm_s.1.0.0 0x60400000", "`shlib/libm_s.1.0.0` is not an absolute path of a library"),
        ('/a"b 0x60400000', '`/a"b` is not an absolute path of a library'),
        ("/other/libc_s.2.0.0 0x60400000", "libc_s is already in line 2"),
    ],
)
def test_a_damaged_line(
    world: World,
    line: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Named by FILE:LINE; SHLIB_MAP overrides the system's map."""
    path = source(tmp_path / "damaged.map", GOOD + line + "\n")
    if "already" not in message:
        path.write_text(GOOD.replace("libm_s", "libz_s") + line + "\n")
    monkeypatch.setenv("SHLIB_MAP", str(path))
    assert world.shlicc(tmp_path / "p", world.root / "program.c", "-louter") == 1
    assert capfd.readouterr().err.startswith(f"uselib: {path}:5: {message}")
    assert not (tmp_path / "p").exists()


def refusal(world: World, lines: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> tuple[Path, str]:
    path = source(tmp_path / "other.map", "\n".join(lines) + "\n")
    assert world.shlicc(tmp_path / "p", "--map", path, world.root / "program.c", "-louter") == 1
    return path, capfd.readouterr().err


def rows(world: World, **bases: int) -> list[str]:
    return [f"{world.shlib}/lib{name}_s.1.0.0 {base:#x}" for name, base in bases.items()]


def test_another_address(world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, said = refusal(world, rows(world, c=0x60000000, outer=0x64000000, inner=0x62000000), tmp_path, capfd)
    assert said == (
        f"uselib: {path}:2: libouter_s is to be loaded at 0x64000000, and {world.root}/lib/libouter_s.a is for 0x63000000; "
        "correct the map, or link with the stub library that belongs to it\n"
    )


def test_overlapping_addresses(world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, said = refusal(world, rows(world, inner=0x60001000, c=0x60000000, outer=0x63000000), tmp_path, capfd)
    assert said.startswith(f"uselib: {path}:1: libinner_s at 0x60001000 overlaps libc_s at 0x60000000-0x600")
    assert said.endswith(" (line 2)\n")


@pytest.mark.parametrize("missing", ["c", "outer", "inner"])
def test_a_library_that_is_not_in_it(
    world: World, missing: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bases = {"c": 0x60000000, "outer": 0x63000000, "inner": 0x62000000}
    del bases[missing]
    path, said = refusal(world, rows(world, **bases), tmp_path, capfd)
    assert said.startswith(f"uselib: {path}: has no line for lib{missing}_s, which {world.root}/lib/lib")


def test_no_map_at_all(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = source(tmp_path / "p.c", "int main(void) { return 0; }")
    words = [
        "shlicc",
        "--sysroot",
        str(sysroot("i386")),
        "--map",
        str(tmp_path / "none"),
        str(code),
        "-o",
        str(tmp_path / "p"),
    ]
    assert main(words) == 1
    said = capfd.readouterr().err
    assert said.startswith(
        f"uselib: {tmp_path}/none: cannot be read: No such file or directory; name a map with --map or SHLIB_MAP"
    )


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["a.c"], 2, "shlicc: --sysroot: is missing"),
        (["--scheme", "mmap", "a.c"], 2, "shlicc: --scheme: the wrapper makes programs of scheme bsdos"),
        (["--sysroot", "{root}", "-static", "a.c"], 2, "shlicc: -static: makes no program with shared libraries"),
        (["--map"], 2, "shlicc: --map: needs a value"),
        (["--print-map"], 2, "shlicc: --print-map: names no directory"),
        (["--print-map", "/nonexistent"], 1, "/nonexistent: cannot be read"),
        (
            ["--sysroot", "{root}", "--ld", "no-such-linker", "{root}/program.c", "-louter"],
            1,
            "no-such-linker: cannot be run",
        ),
        (
            ["--sysroot", "{root}", "--ld", "false", "{root}/program.c", "-louter"],
            1,
            "shlicc: false: linking failed (status 1)",
        ),
        (["--sysroot", "{root}", "-m32", "{root}/program.c"], 2, "-m32: the sysroot"),
        (["--sysroot", "{root}"], 2, "no input files"),
    ],
)
def test_command_lines(
    words: list[str],
    status: int,
    message: str,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("USELIB_SYSROOT", raising=False)
    assert main(["shlicc", *(word.replace("{root}", str(world.root)) for word in words)]) == status
    assert message in capfd.readouterr().err


def test_print_map(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["shlicc", "--print-map", str(world.shlib)]) == 0
    printed = capfd.readouterr().out
    assert parse_map(printed, "").find("libouter_s") == MapEntry(f"{world.shlib}/libouter_s.1.0.0", 0x63000000, 3)


def test_the_c_library_is_first_in_the_table(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert world.shlicc(world.root / "none", "--print-table", world.root / "program.c", "-louter") == 0
    printed = capfd.readouterr().out
    names = [line.split('"')[1] for line in printed.splitlines() if line.startswith(".Lname")]
    assert names == [f"{world.shlib}/lib{name}_s.1.0.0" for name in ("c", "outer", "inner")]
    assert "    .quad .Lname0, 0x60000000\n" in printed and not (world.root / "none").exists()


def test_words_of_the_machine() -> None:
    place = MapEntry("/shlib/libc_s.1.0.0", 0x60000000, 1)
    assert "    .long .Lname0, 0x60000000\n" in table_source(Machine.I386, (place,), interpreter=False)
    assert '    .section .interp, "a"\n    .asciz "/shlib/libc_s.1.0.0"' in table_source(
        Machine.I386, (place,), interpreter=True
    )


@given(st.text(alphabet=st.sampled_from('/shlib_c.m 0x619#\n\t\0é"\\'), max_size=120))
def test_any_text_is_a_map_or_an_error(text: str) -> None:
    try:
        book = parse_map(text, "M")
    except ToolError as failure:
        assert all(diagnostic.where.startswith("M:") for diagnostic in failure.diagnostics)
    else:
        assert len({place.name for place in book.places}) == len(book.places)

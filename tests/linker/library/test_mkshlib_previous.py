"""A release after another one: programs linked by GNU ld with the old stub run natively on the new library."""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.mkshlib import image, mkshlib
from support.releases import BASE, Shop
from support.tools import MACHINES, needs, require
from uselib.cli import main
from uselib.linker.errors import FormatError, ToolError
from uselib.linker.image import ExportKind, Machine, Version
from uselib.linker.library import jump_table
from uselib.linker.library import retired_trap as retired
from uselib.linker.library.releases import history, previous
from uselib.linker.library.releases.history import PlaceState, SlotState

pytestmark = needs("gcc", "ld")
M = Machine.X86_64

FIRST = """
int counter = 5, verbosity = 1, table[4] = {1, 2, 3, 4}; const int limit = 9;
int add(int a, int b) { counter++; return a + b; }
int close_db(void) { return 7; }
int open_db(int x) { return table[x] + verbosity; }
int hook(int a) { return a; }
int run_hook(int a) { return hook(a); }
"""
SECOND = """
int counter = 5, aaa = 77, table[4] = {1, 2, 3, 4}; const int limit = 9;
static int helper(int a) { for (int i = 0; i < 3; i++) a += aaa; return a - 3 * aaa; }
int before_all(void) { return helper(aaa); }
int run_hook(int a) { return hook(helper(a)); }
int hook(int a) { return a; }
int open_db(int x) { return helper(table[x]) + 1; }
int sum(int a, int b) { counter++; return helper(a) + b; }
"""
USER = """
extern int counter, table[4]; extern const int limit; int add(int, int), open_db(int), run_hook(int), hook(int);
typedef int (*f)(int, int);
int main_(void) { put_number(add(2, 3)); put_number(counter); table[2] = 40; put_number(open_db(2)); put_number(limit);
  put_number(run_hook(6)); put_number((f)add == (f)add); return 0; }
"""
EXPECTED = "5\n6\n41\n9\n6\n1\n"
CHANGES = ("--retire", "close_db,verbosity", "--rename", "add=sum")


@pytest.fixture
def shop(machine: Machine, tmp_path: Path) -> Shop:
    return Shop(tmp_path, machine)


def refused(
    shop: Shop,
    capsys: pytest.CaptureFixture[str],
    version: str,
    before: str | Path | None,
    source: str,
    *options: object,
    status: int = 1,
    compiler: tuple[str, ...] = ("-fdata-sections",),
) -> str:
    """What mkshlib says; it must fail and leave nothing."""
    objects = shop.objects("refused", source, options=compiler)
    out = shop.directory / "refused"
    capsys.readouterr()
    arguments = ["-o", out, *shop.arguments(version, before), *options, *objects]
    assert main(["mkshlib", *map(str, arguments)]) == status
    said = capsys.readouterr()
    assert not said.out and "Traceback" not in said.err
    assert not out.exists()
    return said.err


# -- keeping ------------------------------------------------------------------------------------------------------------


def test_old_program_on_new_library(shop: Shop) -> None:
    shop.release("1.0.0", FIRST)
    program = shop.program("user", USER, "1.0.0")
    assert shop.run(program, "1.0.0") == (EXPECTED, "", 0)
    shop.release("1.1.0", SECOND, before="1.0.0", options=CHANGES)
    assert shop.run(program, "1.1.0") == (EXPECTED, "", 0)
    old, new = shop.history("1.0.0"), shop.history("1.1.0")
    assert [s.name for s in new.slots] == ["sum", "close_db", "hook", "open_db", "run_hook", "before_all"]
    assert [s.state.value for s in new.slots] == ["function", "retired", *["function"] * 4]
    where = {p.name: p.address for p in old.places}
    assert {p.name: p.address for p in new.places if p.name in where} == where
    assert [p.name for p in new.places] == ["counter", "limit", "table", "verbosity", "aaa"]
    assert (new.releases, new.base, new.table) == ((Version(1, 0, 0), Version(1, 1, 0)), BASE, old.table)
    assert [(r.old, r.new) for r in new.renamed] == [("add", "sum")]
    # the stub says the same as the target, and offers only what is there
    assert previous.read(shop.stub("1.1.0")).history == new
    names = subprocess.run(["nm", shop.stub("1.1.0")], capture_output=True, text=True).stdout
    assert "sum" in names and "close_db" not in names and "verbosity" not in names and " add" not in names


@pytest.mark.parametrize("emulated", [False, True], ids=["native", "emulated"])
def test_a_retired_function_names_itself(shop: Shop, emulated: bool) -> None:
    shop.release("1.0.0", FIRST)
    text = 'int close_db(void); int main_(void) { put("begun\\n"); put_number(close_db()); put("on\\n"); return 0; }'
    program = shop.program("keeper", text, "1.0.0")
    assert shop.run(program, "1.0.0", emulated) == ("begun\n7\non\n", "", 0)
    shop.release("1.1.0", SECOND, before="1.0.0", options=CHANGES)
    shop.release("1.2.0", SECOND + "int later(void) { return 1; }", before="1.1.0")
    out, err, status = shop.run(program, "1.2.0", emulated)
    assert (out, status) == ("begun\n", retired.STATUS)
    found = re.fullmatch(
        r"libt_s\.1\.2\.0: close_db was retired in 1\.1\.0; keeper, linked with 1\.0\.0, called it from 0x([0-9a-f]+)\n",
        err,
    )
    assert found, err
    listing = subprocess.run(["objdump", "-d", program], capture_output=True, text=True).stdout
    body = listing.partition("<main_>:")[2]
    calls = [int(m[1], 16) for m in re.finditer(r"^ *([0-9a-f]+):.*\tcall.*61000808", body, re.M)]
    assert calls and calls[0] < int(found[1], 16) < calls[0] + 5  # within the call instruction


@pytest.mark.parametrize(
    ("linker", "flags", "known"),
    [
        ("ld", (), True),
        ("ld.lld", (), True),
        ("mold", (), True),
        ("ld", ("-z", "separate-code", "-z", "max-page-size=0x200000"), False),
    ],
)
def test_the_release_that_a_program_was_linked_with(
    shop: Shop, linker: str, flags: tuple[str, ...], known: bool
) -> None:
    """It stands in the program's note; where the ELF header is not to be had from the caller's place, nothing worse happens."""
    require(linker)
    shop.release("1.10.65535", TWO)
    program = shop.program("p", "int b(void); int main_(void) { return b(); }", "1.10.65535", linker, *flags)
    shop.release("1.11.0", "int d(void) { return 4; }", before="1.10.65535", options=("--retire", "b"))
    version = "1.10.65535" if known else "an earlier release"
    for emulated in (False, True):
        out, err, status = shop.run(program, "1.11.0", emulated)
        assert (out, status) == ("", 127)
        assert re.fullmatch(
            rf"libt_s\.1\.11\.0: b was retired in 1\.11\.0; p, linked with {version}, called it from 0x[0-9a-f]+\n", err
        )


def test_every_retired_slot_has_its_own_message(shop: Shop) -> None:
    names = [f"f{n}" for n in range(40)]
    shop.release("1.0.0", "".join(f"int {n}(void) {{ return 1; }}" for n in names))
    shop.release(
        "1.1.0", "int f20(void) { return 1; }", before="1.0.0", options=("--retire", ",".join(names[:20] + names[21:]))
    )
    for name in ("f0", "f5", "f39"):
        program = shop.program(name, f"int {name}(void); int main_(void) {{ {name}(); return 0; }}", "1.0.0")
        _, err, status = shop.run(program, "1.1.0")
        assert status == 127 and f": {name} was retired in 1.1.0; {name}, linked" in err
    program = shop.program("fine", "int f20(void); int main_(void) { return f20(); }", "1.0.0")
    assert shop.run(program, "1.1.0") == ("", "", 1)


@needs("as", "objcopy")
def test_the_traps_bytes_are_what_the_assembler_makes(machine: Machine, tmp_path: Path) -> None:
    source = tmp_path / "trap.s"
    source.write_text(".intel_syntax noprefix\n" + retired.source(machine))
    flag = "--32" if machine is Machine.I386 else "--64"
    subprocess.run(["as", flag, source, "-o", tmp_path / "trap.o"], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", tmp_path / "trap.o", tmp_path / "trap"], check=True)
    assert (tmp_path / "trap").read_bytes() + retired.PHRASE == retired.code(machine)


def test_history_of_many_releases(shop: Shop) -> None:
    """1.0 -> 1.8, each made from the one before, alternately from its target and its stub in both forms."""
    text = "int base(void) { return 1; } int level = 1;"
    shop.release("1.0.0", text, options=("--format", "both"))
    program = shop.program(
        "p", "int base(void); extern int level; int main_(void) { put_number(base() + level); return 0; }", "1.0.0"
    )
    programs = [(program, "2\n")]
    for n in range(1, 9):
        text = f"int a{n}(void) {{ return {n}; }} int z{n} = {n};" + text
        before = [shop.library(f"1.{n - 1}.0"), shop.stub(f"1.{n - 1}.0"), shop.directory / f"1.{n - 1}.0/lib/libt_s"][
            n % 3
        ]
        shop.release(f"1.{n}.0", text, before=before, options=("--format", "both"))
        body = f"int a{n}(void), base(void); extern int z{n}; int main_(void) {{ put_number(base() + a{n}() + z{n}); return 0; }}"
        programs.append((shop.program(f"p{n}", body, f"1.{n}.0"), f"{1 + 2 * n}\n"))
        for old, expected in programs:
            assert shop.run(old, f"1.{n}.0") == (expected, "", 0)
    last = shop.history("1.8.0")
    assert [str(v) for v in last.releases] == [f"1.{n}.0" for n in range(9)]
    assert [s.name for s in last.slots] == ["base", *(f"a{n}" for n in range(1, 9))]
    assert [p.name for p in last.places] == ["level", *(f"z{n}" for n in range(1, 9))]
    assert [str(s.since) for s in last.slots] == [f"1.{n}.0" for n in range(9)]


# -- data ---------------------------------------------------------------------------------------------------------------

DATA = "int a = 1; int grow[2] = {10, 11}; int last = 5; int get(int n) { return grow[n] + a + last; }"
DATA_USER = """extern int a, grow[2], last; int get(int);
int main_(void) { grow[1] = 20; a = 2; put_number(get(1)); put_number(last); put_number(grow[0]); return 0; }"""


def test_data_shrink_and_grow_again(shop: Shop) -> None:
    shop.release("1.0.0", DATA)
    program = shop.program("p", DATA_USER, "1.0.0")
    shop.release("1.1.0", "int a = 1; int grow[1] = {10}; int last = 5; int get(int n) { return 27; }", before="1.0.0")
    place = shop.history("1.1.0").data_places()["grow"]
    assert (place.size, place.reserved) == (4, 8)
    assert shop.run(program, "1.1.0") == ("27\n5\n10\n", "", 0)
    shop.release("1.2.0", DATA, before="1.1.0")
    assert shop.history("1.2.0").places == shop.history("1.0.0").places
    assert shop.run(program, "1.2.0") == ("27\n5\n10\n", "", 0)


def test_grown_data_are_refused_or_moved(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.0.0", DATA)
    program = shop.program("p", DATA_USER, "1.0.0")
    bigger = DATA.replace("grow[2]", "grow[3]")
    said = refused(shop, capsys, "1.1.0", "1.0.0", bigger)
    assert said.startswith(
        "uselib: libt_s.1.1.0: grow: has grown from 8 to 12 bytes, and its place in libt_s.1.0.0 has 8; "
    )
    assert "--move-data grow" in said
    shop.release("1.1.0", bigger, before="1.0.0", options=("--move-data", "grow"))
    old, new = shop.history("1.0.0"), shop.history("1.1.0")
    assert new.data_places()["grow"].address > max(place.end for place in old.places) - 1
    kept = next(place for place in new.places if place.state is PlaceState.MOVED)
    assert (kept.address, kept.reserved, kept.size, kept.name) == (old.data_places()["grow"].address, 8, 0, "grow")
    moved = next(s for s in image(shop.library("1.1.0")).symbols if s.name == "grow$moved")
    assert (moved.address, moved.size) == (kept.address, 8)
    # the old program goes on with the old place (and its initial values), which the library does not look at any more
    assert shop.run(program, "1.1.0") == ("18\n5\n10\n", "", 0)
    # and so the next release: both places stay
    shop.release("1.2.0", bigger + "int more = 3;", before="1.1.0")
    assert [p for p in shop.history("1.2.0").places if p.name == "grow"] == [p for p in new.places if p.name == "grow"]


def test_constant_tables_may_grow(shop: Shop) -> None:
    """The classical sys_errlist: the old place has the old values, pointers among them, however often the table moves."""
    text = """static const char a[] = "a\\n", b[] = "b\\n", c[] = "c\\n", d[] = "d\\n"; extern const int count; const int count = %d;
const char *const names[] = {%s}; const char *name_of(int n) { return names[n]; }"""
    shop.release("1.0.0", text % (2, "a, b"))
    shop.release("1.1.0", text % (3, "a, b, c"), before="1.0.0", options=("--move-data", "names"))
    user = "extern const char *const names[]; const char *name_of(int); int main_(void) { put(names[%d]); put(name_of(%d)); return 0; }"
    first, second = shop.program("p", user % (1, 1), "1.0.0"), shop.program("q", user % (2, 2), "1.1.0")
    final = (text % (4, "a, b, c, d")).replace("names", "letters")
    shop.release("1.2.0", final, before="1.1.0", options=("--rename", "names=letters", "--move-data", "letters"))
    third = shop.program("r", user.replace("names", "letters") % (3, 3), "1.2.0")
    assert [shop.run(p, "1.2.0") for p in (first, second, third)] == [
        (out, "", 0) for out in ("b\nb\n", "c\nc\n", "d\nd\n")
    ]
    states = [p.state for p in shop.history("1.2.0").places if p.name in ("names", "letters")]
    assert states == [PlaceState.MOVED, PlaceState.MOVED, PlaceState.DATA]


def test_removed_data_stay_reserved(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.0.0", DATA)
    text = "int a = 1; int last = 5; int get(int n) { return a + last; }"
    said = refused(shop, capsys, "1.1.0", "1.0.0", text)
    address = shop.history("1.0.0").data_places()["grow"].address
    assert (
        f"grow: is in libt_s.1.0.0, at {address:#x}, and no object exports it now" in said and "stays reserved" in said
    )
    shop.release("1.1.0", text + "int fresh = 8;", before="1.0.0", options=("--retire", "grow"))
    gone = next(s for s in image(shop.library("1.1.0")).symbols if s.name == "grow$retired")
    assert (gone.address, gone.size, gone.function) == (address, 8, False)
    program = shop.program("p", DATA_USER, "1.0.0")
    assert shop.run(program, "1.1.0") == ("7\n5\n0\n", "", 0)
    shop.release("1.2.0", DATA + "int fresh = 8;", before="1.1.0")  # it is back
    assert shop.history("1.2.0").data_places()["grow"].address == address
    assert shop.run(program, "1.2.0") == ("27\n5\n10\n", "", 0)


def test_renamed_data_and_old_names(shop: Shop) -> None:
    shop.release("1.0.0", DATA)
    program = shop.program("p", DATA_USER, "1.0.0")
    renamed = DATA.replace("last", "final").replace("get", "fetch")
    options = ("--rename", "last=final", "--rename", "get=fetch", "--keep-old-names")
    shop.release("1.1.0", renamed, before="1.0.0", options=options)
    assert shop.run(program, "1.1.0") == ("27\n5\n10\n", "", 0)
    again = shop.program("again", DATA_USER, "1.1.0")  # old sources, new stub
    assert shop.run(again, "1.1.0") == ("27\n5\n10\n", "", 0)
    exports = {e.name: e for e in image(shop.library("1.1.0")).exports}
    for old, new in (("last", "final"), ("get", "fetch")):
        assert (
            exports[old].address == exports[new].address and exports[old].implementation == exports[new].implementation
        )
    # old names last until they are retired; what is declared already may stay declared
    shop.release("1.2.0", renamed, before="1.1.0", options=("--rename", "last=final"))
    assert {a.old for a in shop.history("1.2.0").aliases} == {"last", "get"}
    shop.release("1.3.0", renamed, before="1.2.0", options=("--retire", "last"))
    assert {a.old for a in shop.history("1.3.0").aliases} == {"get"}
    assert shop.run(again, "1.3.0") == ("27\n5\n10\n", "", 0)


def test_data_without_sections_of_their_own(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Without -fdata-sections an object's data stay together; what fits is kept, and the rest is refused by name."""
    first = "int a = 1, b = 2; static int own = 3; int sum(void) { return a + b + own++; }"
    shop.release("1.0.0", first, "int c = 4;", compiler=())
    program = shop.program(
        "p",
        "extern int a, b, c; int sum(void); int main_(void) { put_number(sum() * 10 + c); return a - b + 1; }",
        "1.0.0",
    )
    shop.release("1.0.1", first.replace("own++", "(own += 0)"), "int c = 4;", before="1.0.0", compiler=())
    assert shop.run(program, "1.0.1") == ("64\n", "", 0)
    said = refused(
        shop, capsys, "1.1.0", "1.0.1", first.replace("a = 1, ", "a = 1, between = 7, ") + "int c = 4;", compiler=()
    )
    assert "a: and b cannot both stay where they were" in said and "-fdata-sections" in said


PADDED = '__asm__(".data; .globl a; .type a,@object; .size a,4; a: .long 1; .skip %d; .text");'


def test_private_data_that_grow_into_a_neighbour(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.0.0", PADDED % 8, "int c = 4;")
    shop.release("1.0.1", PADDED % 4, "int c = 4;", before="1.0.0")
    objects = shop.objects("grown", PADDED % 12, "int c = 4;")
    assert (
        main(["mkshlib", "-o", str(shop.directory / "x"), *map(str, [*shop.arguments("1.0.2", "1.0.1"), *objects])])
        == 1
    )
    said = capsys.readouterr().err
    assert "c: cannot stay where it was: .data of" in said and "has grown over it; compile with -fdata-sections" in said
    said = refused(shop, capsys, "1.0.2", "1.0.1", (PADDED % 4).replace(".data;", ".data; .skip 8;") + "int c = 4;")
    assert "a: cannot stay where it was: section .data of" in said and "now has 8 bytes too many in front of it" in said


def test_alignment_and_named_sections(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.0.0", "int a = 1; int b = 2;")
    said = refused(shop, capsys, "1.0.1", "1.0.0", "int a = 1; __attribute__((aligned(64))) int b = 2;")
    assert "b: cannot stay where it was: it wants an alignment of 64 bytes now" in said
    said = refused(shop, capsys, "1.1.0", "1.0.0", "int a = 1; int b = 2; __attribute__((aligned(8192))) int wide = 3;")
    assert "wide: wants an alignment of 8192 bytes, and the data have been at 0x61003000 since earlier releases" in said
    named = '__attribute__((section("mine"))) int here = 3; int f(void) { return here; } int x = 1;'
    shop.release("2.0.0", named)
    said = refused(shop, capsys, "2.1.0", "2.0.0", named + "int y[2000] = {1};")
    assert re.search(
        r"here: is at 0x\w+ in libt_s.2.0.0, and would move to 0x\w+: it lies in mine, whose place is not kept", said
    )


def test_interposition_pointers_stay(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    first = """#define F __attribute__((noipa))
F int hook(int a) { return a; } F int other(int a) { return a; } int run(int a) { return hook(a) * 10 + other(a); }
__attribute__((visibility("hidden"))) int (*_inner)(int) = 0; int back(int a) { return _inner ? _inner(a) : -1; }"""
    spec = shop.directory / "t.spec"
    spec.write_text("#init m0.o\n_inner inner\n")
    options = ("--interposable", "hook,other", "-s", spec)
    shop.release("1.0.0", first, options=options)
    replaces = """int hook(int a) { return a + 1; } int inner(int a) { return a + 2; } int run(int), back(int);
int main_(void) { put_number(run(3)); put_number(back(5)); return 0; }"""
    program = shop.program("p", replaces, "1.0.0")
    assert shop.run(program, "1.0.0") == ("43\n7\n", "", 0)
    second = "int aa[30] = {1}; int _before = 1; int a_new(int a) { return a; }" + first.replace("#define", "\n#define")
    shop.release("1.1.0", second, before="1.0.0", options=("--interposable", "a_new,hook,other", "-s", spec))
    assert shop.run(program, "1.1.0") == ("43\n7\n", "", 0)
    pointers = {p.name: p.address for p in shop.history("1.0.0").places if p.state is PlaceState.POINTER}
    assert pointers.keys() == {"hook$pointer", "other$pointer", "_inner"}
    later = {p.name: p.address for p in shop.history("1.1.0").places if p.state is PlaceState.POINTER}
    assert later.keys() == {"a_new$pointer", *pointers} and pointers.items() <= later.items()
    said = refused(shop, capsys, "1.2.0", "1.1.0", second, "--interposable", "a_new,other", "-s", spec)
    assert "hook: was interposable in libt_s.1.1.0 and is not any more" in said and "retire `hook$pointer`" in said
    shop.release(
        "1.2.0",
        second,
        before="1.1.0",
        options=("--interposable", "a_new,other", "-s", spec, "--retire", "hook$pointer"),
    )
    assert shop.run(program, "1.2.0") == ("33\n7\n", "", 0)  # its triple writes to bytes that are still reserved
    # a renamed function keeps its pointer
    third = second.replace("other", "another")
    shop.release(
        "1.3.0",
        third,
        before="1.2.0",
        options=("--interposable", "a_new,another", "-s", spec, "--rename", "other=another"),
    )
    assert shop.history("1.3.0").data_places()["another$pointer"].address == pointers["other$pointer"]


def test_unusual_data(shop: Shop) -> None:
    """No sizes (assembler), common symbols, two names for one datum, zero-sized data, alignment beyond a page."""
    text = """__asm__(".data; .globl bare; bare: .long 1, 2, 3; .globl tail; .type tail,@object; tail: .long 4; .text");
int common[3]; int twin_a = 5; extern int twin_b __attribute__((alias("twin_a"))); struct {} nothing;
__attribute__((aligned(8192))) int wide = 6;
int sum(void) { extern int bare[], tail; return bare[2] + tail + common[1] + twin_b + wide; }"""
    shop.release("1.0.0", text, compiler=("-fdata-sections", "-fcommon"))
    user = """extern int bare[], tail, common[3], twin_a, twin_b, wide; int sum(void);
int main_(void) { common[1] = 10; twin_a = 20; put_number(sum()); put_number(bare[0] + tail + twin_b + wide); return 0; }"""
    program = shop.program("p", user, "1.0.0")
    assert shop.run(program, "1.0.0") == ("43\n31\n", "", 0)
    places = shop.history("1.0.0").data_places()
    assert (places["bare"].size, places["tail"].size, places["twin_a"].address) == (12, 4, places["twin_b"].address)
    assert places["wide"].address % 8192 == 0
    more = (
        "int aaa[7] = {1}; __attribute__((aligned(256))) char before[3] = {1};" + text + "int zzz = 3; int zero[900];"
    )
    shop.release("1.1.0", more, before="1.0.0", compiler=("-fdata-sections", "-fcommon"))
    assert shop.run(program, "1.1.0") == ("43\n31\n", "", 0)
    one = more.replace('extern int twin_b __attribute__((alias("twin_a")));', "").replace("twin_b", "twin_a")
    shop.release("1.2.0", one, before="1.1.0", compiler=("-fdata-sections", "-fcommon"), options=("--retire", "twin_b"))
    assert shop.run(program, "1.2.0") == ("43\n31\n", "", 0)


def test_weak_functions_and_functions_of_several_names(shop: Shop) -> None:
    text = """__attribute__((weak)) int soft(void) { return 1; } int hard(void) { return 2; }
int other(void) __attribute__((alias("hard"))); typedef int (*f)(void); f get(void) { return hard; }"""
    shop.release("1.0.0", text)
    user = """int soft(void), hard(void), other(void); typedef int (*f)(void); f get(void);
int main_(void) { put_number(soft() + hard() * 10 + other() * 100); put_number(get() == hard); return 0; }"""
    program = shop.program("p", user, "1.0.0")
    shop.release(
        "1.1.0",
        "int alpha(void) { return 9; }" + text.replace("hard", "tough"),
        before="1.0.0",
        options=("--rename", "hard=tough", "--keep-old-names"),
    )
    assert shop.run(program, "1.1.0") == ("221\n1\n", "", 0)
    assert shop.run(shop.program("again", user, "1.1.0"), "1.1.0") == ("221\n1\n", "", 0)


def test_from_nothing_to_everything_and_back(shop: Shop) -> None:
    """Data alone, then functions too, then none of the first data, then nothing of all that."""
    shop.release("1.0.0", "int a = 1; int b = 2;")
    only_data = shop.program("p", "extern int a, b; int main_(void) { put_number(a + b); return 0; }", "1.0.0")
    shop.release(
        "1.1.0", "int a = 1; int b = 2; int f(int x) { return x + a; }", before="1.0.0", options=("--interposable", "f")
    )
    both = shop.program("q", "extern int b; int f(int); int main_(void) { put_number(f(b)); return 0; }", "1.1.0")
    shop.release(
        "1.2.0",
        "int f(int x) { return x + 1; } int g(void) { return 3; }",
        before="1.1.0",
        options=("--interposable", "f", "--retire", "a,b"),
    )
    shop.release(
        "1.3.0", "int g(void) { return 3; }", before="1.2.0", options=("--retire", "f")
    )  # and its pointer with it
    last = shop.history("1.3.0")
    assert {p.name: p.state for p in last.places} == dict.fromkeys(("a", "b", "f$pointer"), PlaceState.RETIRED)
    shop.release("1.4.0", "int h; int a = 5;", before="1.3.0", options=("--retire", "g"))
    assert shop.run(only_data, "1.1.0") == ("3\n", "", 0) and shop.run(both, "1.1.0") == ("3\n", "", 0)
    assert shop.run(only_data, "1.2.0") == ("0\n", "", 0) and shop.run(both, "1.2.0") == ("1\n", "", 0)
    assert shop.run(only_data, "1.4.0") == ("5\n", "", 0)  # a is back, where it was
    assert shop.run(both, "1.4.0")[2] == retired.STATUS
    own = "int f(int x) { return 9; } int g(void); int main_(void) { put_number(f(1) + g()); return 0; }"
    assert shop.run(shop.program("r", own, "1.2.0"), "1.3.0") == (
        "12\n",
        "",
        0,
    )  # start-up writes to f's reserved pointer


def test_a_name_with_many_lives(shop: Shop) -> None:
    """Data, then a function, then larger data, then small data and so on: each kind comes back to a place of its own."""
    keep = "int keep(void) { return 1; } int kept = 2;"
    small, large, function = "int x = 3;", "int x[9] = {4};", "int x(void) { return 5; }"
    before = None
    for n, text in enumerate((small, "", function, "", large, "", function, "", small, "", large)):
        options = () if text or before is None else ("--retire", "x")
        shop.release(f"1.{n}.0", keep + text, before=before, options=options)
        before = f"1.{n}.0"
    first, last = shop.history("1.0.0"), shop.history("1.10.0")
    assert [s.name for s in last.slots] == ["keep", "x"] and last.slots[1].state is SlotState.RETIRED
    assert shop.history("1.8.0").data_places()["x"].address == first.data_places()["x"].address
    assert last.data_places()["x"].address == shop.history("1.4.0").data_places()["x"].address
    assert sorted(p.reserved for p in last.places if p.name == "x") == [4, 36]


def test_sections_of_their_own_from_the_second_release_on(shop: Shop) -> None:
    """What the error messages advise does help a library that began without -fdata-sections."""
    first = "int a = 1, b = 2; static int own = 3; int c = 4; int sum(void) { return a + b + own++ + c; }"
    shop.release("1.0.0", first, compiler=())
    program = shop.program(
        "p",
        "extern int a, b, c; int sum(void); int main_(void) { put_number(sum() * 10 + a + b + c); return 0; }",
        "1.0.0",
    )
    shop.release("1.1.0", "int aa = 1, between = 7;" + first.replace("own = 3", "other = 4, own = 3"), before="1.0.0")
    assert [shop.run(program, version) for version in ("1.0.0", "1.1.0")] == [("107\n", "", 0)] * 2


def test_the_mmap_layout_follows_too(shop: Shop) -> None:
    shop.release("1.0.0", FIRST, options=("--scheme", "mmap"))
    program = shop.program("p", USER, "1.0.0")
    shop.release("1.1.0", SECOND, before="1.0.0", options=(*CHANGES, "--scheme", "mmap"))
    shop.release("1.2.0", SECOND + "int new_one = 1;", before="1.1.0")  # scheme uselib: every program can load that
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        assert shop.run(program, version) == (EXPECTED, "", 0)


def test_hidden_functions_are_gone(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.0.0", TWO)
    said = refused(shop, capsys, "1.1.0", "1.0.0", TWO, "--hide", "d")
    assert "d: is in libt_s.1.0.0, slot 2, and no object exports it now" in said
    shop.release("1.1.0", TWO, before="1.0.0", options=("--hide", "d", "--retire", "d"))
    assert [slot.retired for slot in slots_of(shop.library("1.1.0"))] == [False, True]


def test_the_header_page_is_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A note for each library that it depends on: the jump table cannot give way any more."""
    others = []
    for n in range(5):
        other = Shop(tmp_path, M, f"{n}" + "x" * 180)
        objects = other.objects(f"dep{n}", f"int dep{n}(void) {{ return {n}; }}")
        mkshlib(
            "--name",
            other.name,
            "--version",
            "1.0.0",
            "--text",
            hex(0x62000000 + n * 0x100000),
            "-o",
            tmp_path / f"dep{n}",
            *objects,
        )
        others.append(tmp_path / f"dep{n}/lib/lib{other.name}_s.a")
    shop = Shop(tmp_path, M)
    shop.release("1.0.0", "int f(void) { return 1; }")
    text = (
        "".join(f"int dep{n}(void);" for n in range(5))
        + "int f(void) { return "
        + " + ".join(f"dep{n}()" for n in range(5))
        + "; }"
    )
    said = refused(shop, capsys, "1.0.1", "1.0.0", text, *others)
    assert re.search(
        r"libt_s.1.0.1: the header page is too small: its notes reach \d+ bytes into the jump table, which programs have at "
        r"0x61000800 since 1.0.0; depend on fewer libraries",
        said,
    )
    shop.release(
        "2.0.0", text, options=others
    )  # a first release takes the room it needs, and the next keeps that place
    assert shop.history("2.0.0").table == BASE + 0x1000
    shop.release("2.0.1", "int f(void) { return 1; }", before="2.0.0")
    assert shop.history("2.0.1").table == BASE + 0x1000


# -- slots --------------------------------------------------------------------------------------------------------------

TWO = "int b(void) { return 2; } int d(void) { return 4; }"


def with_branch(shop: Shop, *lines: str) -> Path:
    path = shop.directory / "branch.spec"
    path.write_text("#branch\n" + "".join(line + "\n" for line in lines))
    return path


def test_branch_must_agree(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.0.0", TWO)
    cases = {
        ("b 2", "d 1"): [
            "branch.spec:2: b: #branch gives it slot 2, and libt_s.1.0.0 has it in slot 1; write slot 1",
            "branch.spec:3: d: #branch gives it slot 1, and libt_s.1.0.0 has it in slot 2",
        ],
        ("c 1", "b 2", "d 3"): [
            "branch.spec:2: c: #branch gives it slot 1, which is b's in libt_s.1.0.0; number new functions"
        ],
        ("b 1", ".empty_slot 2"): ["branch.spec: #branch leaves slot 2 empty, which is d's in libt_s.1.0.0"],
        ("b 1", "d 2-3"): ["branch.spec:3: d: #branch gives it slots 2, 3, and libt_s.1.0.0 has it in slot 2"],
    }
    for lines, messages in cases.items():
        said = refused(
            shop, capsys, "1.1.0", "1.0.0", TWO + "int c(void) { return 3; }", "-s", with_branch(shop, *lines)
        )
        for message in messages:
            assert message in said
    shop.release(
        "1.1.0",
        TWO + "int c(void) { return 3; } int a(void) { return 1; }",
        before="1.0.0",
        options=("-s", with_branch(shop, "b 1", "d 2", ".empty_slot 3 later", "c 4")),
    )
    assert [(s.name, s.state.value) for s in shop.history("1.1.0").slots] == [
        ("b", "function"),
        ("d", "function"),
        ("later", "empty"),
        ("c", "function"),
        ("a", "function"),
    ]
    # a function that an empty slot was reserved for comes into it, without any specification file
    more = "int c(void) { return 3; } int a(void) { return 1; } int later(void) { return 9; } int e(void) { return 5; }"
    shop.release("1.2.0", TWO + more, before="1.1.0")
    assert [s.name for s in shop.history("1.2.0").slots] == ["b", "d", "later", "c", "a", "e"]
    shop.release("1.3.0", "int b(void) { return 2; }" + more, before="1.2.0", options=("--retire", "d"))
    said = refused(
        shop,
        capsys,
        "1.4.0",
        "1.3.0",
        "int b(void) { return 2; } int f(void) { return 6; }" + more,
        "-s",
        with_branch(shop, "b 1", "f 2", *(f"{n} {k}" for k, n in enumerate(("later", "c", "a", "e"), 3))),
    )
    assert "f: #branch gives it slot 2, which was d's until 1.3.0 and is never used again" in said
    shop.release("1.4.0", TWO + more, before="1.3.0")  # d is back, in its slot
    assert [s.state for s in shop.history("1.4.0").slots] == [SlotState.FUNCTION] * 6
    assert shop.history("1.4.0").functions()["d"] == 2


def test_functions_with_several_slots(shop: Shop) -> None:
    shop.release("1.0.0", TWO, options=("-s", with_branch(shop, "b 1", "d 2-3")))
    program = shop.program(
        "p", "int b(void), d(void); int main_(void) { put_number(b() * 10 + d()); return 0; }", "1.0.0"
    )
    shop.release("1.1.0", "int a(void) { return 1; }" + TWO, before="1.0.0")
    assert [s.name for s in shop.history("1.1.0").slots] == ["b", "d", "d", "a"]
    assert shop.run(program, "1.1.0") == ("24\n", "", 0)
    shop.release(
        "1.2.0", "int a(void) { return 1; } int b(void) { return 2; }", before="1.1.0", options=("--retire", "d")
    )
    raw = [slot.retired for slot in slots_of(shop.library("1.2.0"))]
    assert raw == [False, True, True, False]


def slots_of(path: Path) -> tuple[jump_table.Slot, ...]:
    header = image(path).library
    assert header is not None
    at = header.jump_table - header.identity.base
    return jump_table.decode(path.read_bytes()[at:], header.jump_table, header.identity.slot_count)


# -- versions -----------------------------------------------------------------------------------------------------------


def test_version_numbers(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    path = shop.release("1.2.3", TWO)
    # the same again is the same, byte for byte; anything else under the same number is refused
    said = refused(shop, capsys, "1.2.3", "1.2.3", TWO.replace("4", "44"))
    assert (
        said
        == "uselib: libt_s.1.2.3: has other contents than the 1.2.3 that is out already; give it a version of its own, 1.2.4\n"
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
        r"libt_s\.1\.2\.5: room for any amount of text \(no data are promised\), any amount of data .*65533 slots", said
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
            f"uselib: warning: libt_s.1.1.0: programs linked with libt_s.{broken} will not run on it: b and d are elsewhere now or gone; "
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
        "b: is to be retired, but an object still exports it; take it out, or keep it private with --hide",
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
            == f"uselib: libt_s.1.0.0: {option[0][2:]} speaks of an earlier release, and none is given; give it with --previous\n"
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
    assert "--previous and its kin are not for a.out libraries; the control files" in capsys.readouterr().err


def test_what_is_no_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
        (text, "is neither a target library nor a stub library; give --previous what mkshlib made"),
        (plain, "is neither a target library nor a stub library"),
        (program, "is not a target library: it has no NT_LIBRARY note"),
        (
            bare,
            f"does not say what earlier releases promised (section {history.SECTION}): it was stripped of it; give its stub library",
        ),
        (tmp_path / "nowhere", "cannot be read: No such file or directory"),
        (tmp_path, "not a stub library: it has no `LIBRARY NAME`"),
    ):
        assert message in refused(shop, capsys, "1.0.1", path, TWO)
    shop32 = Shop(tmp_path / "other", Machine.I386)
    shop32.directory.mkdir()
    said = refused(shop32, capsys, "1.0.1", shop.library("1.0.0"), TWO)
    assert "is for x86_64, and the objects are for i386" in said


def test_stripped_libraries_remember(shop: Shop) -> None:
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


# -- inspecting, and the recorded text ----------------------------------------------------------------------------------


def test_inspect_shows_what_is_gone(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.0.0", FIRST)
    shop.release("1.1.0", SECOND, before="1.0.0", options=CHANGES)
    path = shop.library("1.1.0")
    address = shop.history("1.0.0").data_places()["verbosity"].address
    for _ in range(2):
        capsys.readouterr()
        assert main(["inspect", str(path)]) == 0
        shown = capsys.readouterr().out
        assert "(retired in 1.1.0: close_db)" in shown and "follows  1.0.0\n" in shown
        assert f"  {address:#010x}        4  (retired in 1.1.0: verbosity)\n" in shown
        assert "renamed: add -> sum in 1.1.0" in shown
        subprocess.run(["strip", "-s", path], check=True)  # and the same without symbols
    assert main(["inspect", str(shop.stub("1.1.0"))]) == 0
    assert "follows  1.0.0\n" in capsys.readouterr().out
    shop.release("1.1.0", SECOND, before="1.0.0", options=CHANGES)
    subprocess.run(["objcopy", "-R", history.SECTION, path], check=True)  # from its symbols alone
    assert main(["inspect", str(path)]) == 0
    assert "(retired: close_db)" in capsys.readouterr().out


NAMES = st.text(min_size=0, max_size=8) | st.sampled_from(
    ["%", "a b", "\x1b[1m", "\udcff", "_ZN3fooC1Ev", "f$pointer", "=", "#"]
)
VERSIONS = st.builds(Version, *[st.integers(0, 0xFFFF)] * 3)
ADDRESSES = st.integers(1, (1 << 32) - 1)


@st.composite
def histories(draw: st.DrawFn) -> history.History:
    slots = tuple(
        history.SlotRecord(n + 1, draw(st.sampled_from(SlotState)), draw(VERSIONS), draw(NAMES))
        for n in range(draw(st.integers(0, 5)))
    )
    places = []
    for _ in range(draw(st.integers(0, 5))):
        size = draw(st.integers(0, 1 << 20))
        places.append(
            history.PlaceRecord(
                draw(ADDRESSES),
                size,
                size + draw(st.integers(0, 99)),
                draw(st.sampled_from(PlaceState)),
                draw(VERSIONS),
                draw(NAMES),
            )
        )
    renaming = st.builds(history.Renaming, VERSIONS, NAMES, NAMES)
    some = st.lists(renaming, max_size=3).map(tuple)
    data_size = draw(st.integers(0, 100))
    return history.History(
        draw(NAMES),
        draw(st.sampled_from(MACHINES)),
        draw(st.sampled_from(["uselib", "mmap"])),
        tuple(draw(st.lists(VERSIONS, min_size=1, max_size=4))),
        draw(ADDRESSES),
        draw(ADDRESSES) if slots else 0,
        draw(ADDRESSES) if data_size else 0,
        data_size,
        slots,
        tuple(places),
        draw(some),
        draw(some),
    )


@given(histories())
def test_text_round_trip(given: history.History) -> None:
    text = history.encode(given)
    assert all(0x20 <= c < 0x7F or c == 10 for c in text)
    if history._contradiction(given):
        with pytest.raises(FormatError, match="contradicts itself"):
            history.decode(text, "t")
        return
    assert history.decode(text, "t") == given


CONTRADICTIONS = [
    ("slot 1 function 1.0.0 counter", "counter is a function and a datum"),
    ("slot 1 function 1.0.0 %", "a function or datum without a name"),
    ("place 0x0000000061003000 4 4 data 1.0.0 table", "table has two places"),
    ("place 0x0000000061003030 0 40 retired 1.0.0 gone", "the reserved place of gone is outside the exported data"),
]


@pytest.mark.parametrize(("line", "message"), CONTRADICTIONS)
def test_histories_that_cannot_be(tmp_path: Path, line: str, message: str) -> None:
    shop = Shop(tmp_path, M)
    shop.release("1.0.0", FIRST)
    lines = history.encode(shop.history("1.0.0")).decode().splitlines()
    key = line.split()[:2] if line.startswith("slot") else ["-"]
    lines = [row for row in lines if row.split()[:2] != key]
    lines.insert(6, line)
    with pytest.raises(FormatError, match=re.escape(f"FILE: its history contradicts itself: {message}")):
        history.decode("\n".join(lines).encode(), "FILE")


@given(histories(), st.data())
def test_damaged_text(given: history.History, data: st.DataObject) -> None:
    text = bytearray(history.encode(given))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        if data.draw(st.booleans()):
            text[at] ^= 1 << data.draw(st.integers(0, 7))
        else:
            del text[at : at + data.draw(st.integers(1, 40))]
        if not text:
            return
    try:
        history.decode(bytes(text), "FILE")
    except FormatError as problem:
        assert "FILE: its history " in str(problem)


def test_any_file_at_all(tmp_path: Path) -> None:
    """Bits flipped anywhere in a target or a stub: a release, or a ToolError, and nothing else."""
    shop = Shop(tmp_path, M)
    shop.release("1.0.0", FIRST)
    shop.release("1.1.0", SECOND, before="1.0.0", options=CHANGES)
    chance = random.Random(1)
    for path in (shop.library("1.1.0"), shop.stub("1.1.0")):
        whole = path.read_bytes()
        at = whole.find(b"uselib-history")
        damaged = tmp_path / "damaged"
        for n in range(150):
            data = bytearray(whole)
            for _ in range(4):
                low, high = (0, len(data)) if n % 2 else (at, at + 700)
                data[chance.randrange(low, min(high, len(data)))] ^= 1 << chance.randrange(8)
            damaged.write_bytes(data if n % 5 else data[: chance.randrange(len(data))])
            with contextlib.suppress(ToolError):
                previous.read(damaged)


def test_a_history_of_another_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop(tmp_path, M)
    path = shop.release("1.0.0", FIRST)
    text = history.encode(replace(shop.history("1.0.0"), releases=(Version(1, 0, 7),)))
    (tmp_path / "text").write_bytes(text)
    subprocess.run(["objcopy", "--update-section", f"{history.SECTION}={tmp_path}/text", path], check=True)
    said = refused(shop, capsys, "1.1.0", path, FIRST)
    assert "its history is of another file: version 1.0.7, where its note says 1.0.0" in said
    (tmp_path / "text").write_bytes(text.replace(b"uselib-history 1", b"uselib-history 9"))
    subprocess.run(["objcopy", "--update-section", f"{history.SECTION}={tmp_path}/text", path], check=True)
    assert "its history has format 9; this version reads format 1; use the uselib that made it" in refused(
        shop, capsys, "1.1.0", path, FIRST
    )


def test_the_next_version(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.2.65535", DATA)

    def follow(before: str, text: str, *options: str) -> str:
        objects = shop.objects("next", text)
        path = shop.directory / f"{before}/shlib/libt_s.{before}"
        mkshlib(
            "--name", "t", "--version", "next", "--previous", path, *options, "-o", shop.directory / "next", *objects
        )
        (made,) = (shop.directory / "next/shlib").iterdir()
        made.unlink()
        return made.name.removeprefix("libt_s.")

    assert follow("1.2.65535", DATA) == "1.3.0"  # a full number carries over
    shop.release("1.2.3", DATA)
    assert follow("1.2.3", DATA.replace("last;", "last + 0;")) == "1.2.4"
    assert follow("1.2.3", DATA + "int more;") == "1.3.0"
    assert follow("1.2.3", DATA.replace("grow", "grown"), "--rename", "grow=grown") == "1.3.0"
    said = refused(shop, capsys, "next", None, DATA)
    assert "the library has no version" in said

"""`mkshlib --previous` and data: kept places, growth, reserved places."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.mkshlib import image, mkshlib
from support.releases import BASE, CHANGES, DATA, EXPECTED, FIRST, SECOND, TWO, USER, Shop, refused, slots_of
from support.tools import needs
from uselib.cli import main
from uselib.linker.image import Machine
from uselib.linker.library import retired_trap as retired
from uselib.linker.library.releases.history import PlaceState, SlotState

pytestmark = needs("gcc", "ld")
M = Machine.X86_64


# -- data ---------------------------------------------------------------------------------------------------------------

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
        "uselib: libt_s.1.1.0: grow: has grown from 8 to 12 bytes, and its place in libt_s.1.0.0 has room for 8; "
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
    assert "a: and b cannot both keep their addresses" in said and "-fdata-sections" in said


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
    assert "c: cannot keep its address: .data of" in said and "has grown over it; compile with -fdata-sections" in said
    said = refused(shop, capsys, "1.0.2", "1.0.1", (PADDED % 4).replace(".data;", ".data; .skip 8;") + "int c = 4;")
    assert "a: cannot keep its address: section .data of" in said and "now has 8 bytes too many in front of it" in said


def test_alignment_and_named_sections(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.0.0", "int a = 1; int b = 2;")
    said = refused(shop, capsys, "1.0.1", "1.0.0", "int a = 1; __attribute__((aligned(64))) int b = 2;")
    assert "b: cannot keep its address: it needs an alignment of 64 bytes now" in said
    said = refused(shop, capsys, "1.1.0", "1.0.0", "int a = 1; int b = 2; __attribute__((aligned(8192))) int wide = 3;")
    assert "wide: needs an alignment of 8192 bytes, and the data have been at 0x61003000 since earlier releases" in said
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
    assert "hook: was interposable in libt_s.1.1.0 and no longer is" in said and "retire `hook$pointer`" in said
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


def test_first_data_then_functions_then_neither(shop: Shop) -> None:
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


def test_a_name_that_changes_between_data_and_function(shop: Shop) -> None:
    """Data, then a function, then larger data, then small data and so on: each kind gets its own place again."""
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
    """The advice of the error messages helps a library that began without -fdata-sections."""
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


def test_hidden_functions_count_as_removed(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release("1.0.0", TWO)
    said = refused(shop, capsys, "1.1.0", "1.0.0", TWO, "--hide", "d")
    assert "d: is in libt_s.1.0.0, slot 2, and no object exports it now" in said
    shop.release("1.1.0", TWO, before="1.0.0", options=("--hide", "d", "--retire", "d"))
    assert [slot.retired for slot in slots_of(shop.library("1.1.0"))] == [False, True]


def test_the_header_page_is_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A note for each library that it depends on: the jump table cannot move any more."""
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

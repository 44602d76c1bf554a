"""Dynamic outputs with the native part and without it: the output and the errors are the same, byte for byte."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.link_ways import every_way
from support.mkshlib import compile_c
from support.tools import needs
from uselib.linker.formats import dynamic_tables
from uselib.linker.formats.elf import (
    CLASSES,
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_WRITE,
    STB_LOCAL,
    STB_WEAK,
    STT_FUNC,
    STT_GNU_IFUNC,
    STT_NOTYPE,
    STT_OBJECT,
)
from uselib.linker.formats.elf_object import ABSOLUTE, ObjectRelocation, ObjectSection, ObjectSymbol, write_object
from uselib.linker.image import Machine
from uselib.linker.outputs import hash_tables
from uselib.linker.passes import dynamic_words, native
from uselib.linker.passes.dynamic_words import ROW, sorted_rows

# calls, words, GOT entries; then what not every output may have
CAREFUL = {Machine.I386: (1, 4, 3, 43, 10), Machine.X86_64: (1, 4, 9, 41, 42, 26, 29)}
GOOD = {Machine.I386: (1, 2, 4, 3, 43, 10, 9), Machine.X86_64: (1, 2, 4, 9, 41, 42, 24, 26, 29)}
ODD = {Machine.I386: (20, 22, 32), Machine.X86_64: (10, 11, 12, 25, 32, 27)}
BYTES = {
    Machine.I386: b"\xe8\xe9\x0f\x84\x90\x00\xff\x8b\x83\x93\xa3",
    Machine.X86_64: b"\xe8\xe9\x0f\x84\x90\x00\xff\x8b\x05\x15\x25",
}
SIZE = 600


def random_object(machine: Machine, number: int, chance: random.Random, types: list[int], wild: bool) -> bytes:
    """Sections full of bytes of instructions, with relocations for symbols of every kind. wild: words in code as well."""
    names = [f"g{n}_{i}" for n in range(3) for i in range(9)] + [f"l{i}" for i in range(9)] + ["there", "absent"]
    symbols = [
        ObjectSymbol("fixed", 0x1234, section=ABSOLUTE, binding=STB_LOCAL),
        ObjectSymbol(f"fixed{number}", 0x4321, section=ABSOLUTE),
        ObjectSymbol("there", type=STT_FUNC),
        ObjectSymbol("absent", binding=STB_WEAK),
    ]
    names += ["fixed", f"fixed{number}"]
    sections = []
    for index, (name, flag) in enumerate(((".text", SHF_EXECINSTR), (".data", SHF_WRITE), (".text.x", SHF_EXECINSTR))):
        words = 8 if machine is Machine.X86_64 else 4
        rows = []
        for place in range(chance.randrange(3, 8), SIZE - 8, 11):
            kind = chance.choice(types)
            if flag == SHF_EXECINSTR and kind == 1 and not wild:
                kind = 4
            target = chance.choice(names)
            addend = (
                -4
                if kind in (9, 41, 42) and words == 8
                else 0
                if kind in (1, 43) and words == 4
                else chance.randrange(-9, 9)
            )
            rows.append(ObjectRelocation(place, target, kind, addend))
        content = bytes(chance.choice(BYTES[machine]) for _ in range(SIZE))
        sections.append(ObjectSection(name, content, SHF_ALLOC | flag, relocations=tuple(rows)))
        for i in range(index, 9, 3):
            kind = (STT_FUNC, STT_OBJECT, STT_NOTYPE, STT_GNU_IFUNC)[
                chance.randrange(4 if flag == SHF_EXECINSTR else 3)
            ]
            visibility = chance.choice((0, 0, 0, 2, 3))
            binding = {"binding": STB_WEAK} if chance.randrange(4) == 0 else {}
            value = chance.randrange(SIZE)
            symbols.append(
                ObjectSymbol(f"g{number}_{i}", value, 4, kind, section=name, visibility=visibility, **binding)
            )
            local = STT_GNU_IFUNC if kind == STT_GNU_IFUNC else STT_NOTYPE
            symbols.append(ObjectSymbol(f"l{i}", chance.randrange(SIZE), 0, local, binding=STB_LOCAL, section=name))
    symbols += [ObjectSymbol(name) for name in names if name[0] == "g" and name[1] != str(number)]
    if number == 0:
        symbols.append(ObjectSymbol("_start", section=".text"))
    return write_object(machine, sections, symbols)


OUTPUTS = (
    ["-pie", "-E"],
    ["-shared"],
    ["-shared", "-Bsymbolic"],
    ["-pie"],
    [],
    ["-shared", "--hash-style=both", "-z", "pack-relative-relocs"],
)


@pytest.mark.parametrize("output", OUTPUTS, ids=" ".join)
@pytest.mark.parametrize("seed", range(6))
def test_random_objects(
    machine: Machine,
    seed: int,
    output: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """0 to 2: what every output may have; 4: words in code, which are text relocations; 5: what dynamic outputs refuse."""
    chance = random.Random(seed)
    types = [*(CAREFUL if seed < 3 else GOOD)[machine], *(ODD[machine] if seed == 5 else ())]
    files = [tmp_path / f"{number}.o" for number in range(3)]
    for number, file in enumerate(files):
        file.write_bytes(random_object(machine, number, chance, types, seed == 4))
    library = tmp_path / "libthere.so"
    source = tmp_path / "there.o"
    text = ObjectSection(".text", b"\xc3", SHF_ALLOC | SHF_EXECINSTR)
    source.write_bytes(write_object(machine, [text], [ObjectSymbol("there", type=STT_FUNC, size=1, section=".text")]))
    assert every_way(["ld", "-shared", str(source)], library, capsys, monkeypatch)[0] == 0
    words = ["ld", *output, "-z", "notext", "--noinhibit-exec", *map(str, files), str(library)]
    status, said = every_way(words, tmp_path / "out", capsys, monkeypatch)
    assert not status or seed > 2, said


ROWS = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.sampled_from((1, 6, 7, 8, 37)),
        st.integers(0, 5) | st.integers(0, (1 << 24) - 1),
        st.integers(-9, 9),
    ),
    max_size=60,
)


@pytest.mark.skipif(not native.AVAILABLE, reason="the native part was not built")
@given(ROWS, st.sampled_from(sorted(CLASSES)), st.booleans())
@settings(max_examples=200)
def test_order_of_rows(rows: list[tuple[int, int, int, int]], number: int, rela: bool) -> None:
    """RELATIVE first, IRELATIVE last; rows that are equal in that keep their order."""
    rows = [(offset, kind, 0 if kind in (8, 37) else symbol, addend) for offset, kind, symbol, addend in rows]
    packed = bytearray(b"".join(ROW.pack(*row) for row in rows))
    found = sorted_rows(packed[:], 8, 37, CLASSES[number], rela)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic_words.native, "AVAILABLE", False)
        assert found == sorted_rows(packed, 8, 37, CLASSES[number], rela)


NAMES = st.lists(st.text("abcä\udcfe_", max_size=5) | st.integers(0, 10**6).map("f{}".format), max_size=60)


@pytest.mark.skipif(not native.AVAILABLE, reason="the native part was not built")
@given(NAMES, st.sampled_from((4, 8)), st.integers(1, 1000))
def test_hash_tables(names: list[str], word: int, first: int) -> None:
    found = hash_tables.hash_order(names), hash_tables.gnu_hash(names, first, word), hash_tables.sysv_hash(names)
    assert found[0] == dynamic_tables.in_hash_order(names)
    assert found[1:] == (dynamic_tables.gnu_hash_table(names, first, word), dynamic_tables.sysv_hash_table(names))


SOURCE = """
#include <stdarg.h>
extern int other(const char *, ...);
extern int shared_datum, %(absent)s __attribute__((weak));
static int hidden_datum = 3;
__attribute__((visibility("hidden"))) int own_datum = 4;
int open_datum_%(n)d = 5;
const char *const names_%(n)d[] = {"first", "second", "last of all"};
__attribute__((noinline)) static int helper(const char *text) { return text[0] + hidden_datum; }
int unused_%(n)d(void) { return other("never called"); }
int start%(n)d(int (*call)(const char *, ...)) {
    int sum = helper("first") + helper("of this object alone %(n)d") + open_datum_%(n)d + shared_datum;
    if (&%(absent)s) sum += %(absent)s;
    return sum + call("last") + other("second", names_%(n)d[1], own_datum, other) + (open_datum_%(n)d > 5 ? other("third") : 0);
}
"""
CALLED = "int shared_datum = 1; int other(const char *text, ...) { return text[0]; }"


@needs("gcc")
@pytest.mark.parametrize(
    "output", [["--gc-sections"], ["-pie", "--gc-sections"], ["-shared", "-s"], ["-shared"]], ids=" ".join
)
@pytest.mark.parametrize(
    "flags", [["-O2", "-fPIC", "-g"], ["-O0", "-g", "-fPIC", "-fno-plt"], ["-O2", "-fno-pic", "-g"]], ids=" ".join
)
def test_compiled_objects(
    machine: Machine,
    flags: list[str],
    output: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Merged strings, GOT accesses with and without relaxation, debug information of sections that are left out."""
    texts = {f"{n}.c": SOURCE % {"n": n, "absent": f"absent{n}"} for n in range(2)} | {"called.c": CALLED}
    texts["0.c"] = texts["0.c"].replace("own_datum = 4", "own_datum")
    texts["1.c"] = texts["1.c"].replace(
        '__attribute__((visibility("hidden"))) int own_datum = 4', "extern int own_datum"
    )
    objects = [compile_c(tmp_path, machine, name, text, *flags, "-ffunction-sections") for name, text in texts.items()]
    status, said = every_way(["ld", *output, "-e", "start0", *map(str, objects)], tmp_path / "out", capsys, monkeypatch)
    assert not status or "-fno-pic" in flags, said

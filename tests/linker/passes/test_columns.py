"""Links with the native part, and large ones with numpy: the output and the errors are those of links one by one, byte for byte."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from support.link_ways import WAYS, every_way
from support.mkshlib import compile_c
from support.tools import needs
from uselib.cli import main
from uselib.linker.formats.elf import SHF_ALLOC, SHF_EXECINSTR, SHF_MERGE, SHF_STRINGS, SHF_WRITE, STB_LOCAL, STT_OBJECT
from uselib.linker.formats.elf_object import ABSOLUTE, ObjectRelocation, ObjectSection, ObjectSymbol, write_object
from uselib.linker.image import Machine
from uselib.linker.passes import native, resolution
from uselib.linker.passes.machines import RELOCATIONS

SIZE = 400  # bytes of a section
GOOD = {Machine.I386: (1, 2, 4), Machine.X86_64: (1, 2, 4, 24)}


def random_object(machine: Machine, number: int, chance: random.Random, types: list[int], apart: int) -> bytes:
    """Sections of code, data and strings full of random bytes, with relocations at least `apart` bytes from one another."""
    names = [f"g{n}_{i}" for n in range(3) for i in range(8)] + [f"l{i}" for i in range(8)]
    symbols = [ObjectSymbol("huge", 0xFFFF_FFF0 << 32 * (machine.word == 8), section=ABSOLUTE, binding=STB_LOCAL)]
    sections = []
    strings = b"".join(b"%d\0" % (i % 5) for i in range(20))
    kinds = (".text", SHF_EXECINSTR), (".data", SHF_WRITE), (".text.x", SHF_EXECINSTR)
    for index, (name, flag) in enumerate(kinds):
        content = bytes(chance.choice(b"\xe8\xe9\x0f\x84\x90\x00\xff") for _ in range(SIZE))
        places = range(chance.randrange(8), SIZE - 8, apart)
        rows = [
            ObjectRelocation(place, chance.choice(names), chance.choice(types), chance.randrange(-9, 9))
            for place in places
        ]
        chance.shuffle(rows)
        sections.append(ObjectSection(name, content, SHF_ALLOC | flag, relocations=tuple(rows)))
        for i in range(index, 8, 3):
            symbols.append(ObjectSymbol(f"g{number}_{i}", chance.randrange(SIZE), 4, section=name))
            symbols.append(ObjectSymbol(f"l{i}", chance.randrange(SIZE), binding=STB_LOCAL, section=name))
    sections.append(ObjectSection(".rodata.str", strings, SHF_ALLOC | SHF_MERGE | SHF_STRINGS))
    symbols.append(ObjectSymbol("text", 4, type=STT_OBJECT, binding=STB_LOCAL, section=".rodata.str"))
    symbols += [ObjectSymbol(name) for name in names if name[0] == "g" and name[1] != str(number)]
    if number == 0:
        symbols.append(ObjectSymbol("_start", section=".text"))
    return write_object(machine, sections, symbols)


@pytest.mark.parametrize("seed", range(6))
def test_random_relocations(
    machine: Machine, seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Odd seeds: fields that overlap. 1 and 5: narrow fields, whose values are out of range; 5: an unknown relocation."""
    chance = random.Random(seed)
    types = list(GOOD[machine])
    if seed in (1, 5):
        types += [*RELOCATIONS[machine].linear, *([200] if seed == 5 else [])]
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.o")
        files[-1].write_bytes(random_object(machine, number, chance, types, 3 if seed % 2 else 8))
    status, _ = every_way(["ld", *map(str, files)], tmp_path / "out", capsys, monkeypatch)
    assert status == (seed in (1, 5))


LIBRARY = """
int counter = 5;
static int twice(int a) { return 2 * a; }
int add(int a, int b) { counter++; return a + b; }
int four(int a) { return twice(add(a, a)); }
int (*stored)(int, int) = add;
"""


@needs("gcc")
def test_target_library(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls get another value than other references there."""
    source = compile_c(tmp_path, machine, "lib.c", LIBRARY)
    words = ["mkshlib", "--name", "x", "--version", "1.0.0", "--text", "0x60000000", str(source)]
    results = []
    for many, in_c in WAYS:
        monkeypatch.setattr(resolution, "MANY", many)
        monkeypatch.setattr(native, "AVAILABLE", in_c)
        folder = tmp_path / f"{many}{in_c}"
        assert main([*words, "-o", str(folder)]) == 0
        capsys.readouterr()
        results.append({path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()})
    assert all(result == results[0] for result in results) and results[0]

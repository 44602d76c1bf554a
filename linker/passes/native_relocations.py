"""The two looks at relocations (scan.py, apply.py) in C: linker/native/relocations.c, apply.c."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct

from uselib.linker import _native
from uselib.linker.formats.elf import SHF_EXECINSTR, SymbolTable
from uselib.linker.passes.apply import relocate
from uselib.linker.passes.model import InputSection
from uselib.linker.passes.native_take import LAYOUT
from uselib.linker.passes.native_values import PackedValues
from uselib.linker.passes.relocations import (
    Applying,
    LinearRelocation,
    MachineRelocations,
    SymbolKey,
    value_of_discarded,
)

TYPES = 256  # relocation types below this have a row; others are left to Python
_KIND = Struct("<8b2q")  # width, s, p, g, branch, branch-like, other, range is checked; low, high


def odd_relocations(sections: Iterable[InputSection], plain: set[int]) -> Iterator[tuple[InputSection, list[int]]]:
    """The OddRelocations in C."""
    quiet = quiet_types(plain)
    for section in sections:
        if numbers := odd(section, quiet):
            yield section, numbers


def quiet_types(types: Iterable[int]) -> bytes:
    """A byte for each type: whether it is among these."""
    result = bytearray(TYPES)
    for kind in types:
        if kind < TYPES:
            result[kind] = 1
    return bytes(result)


def odd(section: InputSection, quiet: bytes, flags: bytes | None = None) -> list[int]:
    """The numbers of relocations that are not quiet, or damaged, or of a symbol with a flag."""
    file = section.file
    assert file is not None
    data, rela = section.packed_relocations()
    return _native.odd(data, file.elf.elf_class.word, rela, quiet, len(file.symbols), section.size, flags)


def relocate_all(run: Applying, places: Sequence[tuple[InputSection, int]]) -> None:
    """The RelocateAll in C."""
    kinds = _kinds(run.machine)
    got_entries = run.got_entries if isinstance(run.got_entries, dict) else dict(run.got_entries)
    for section, at in places:
        if section.file is not None:
            _relocate(run, section, at, kinds, got_entries)


def _relocate(run: Applying, section: InputSection, at: int, kinds: bytes, got_entries: dict[SymbolKey, int]) -> None:
    file = section.file
    assert file is not None
    values = run.values(file)
    references, branches = values.references, values.branches
    if (
        not isinstance(references, PackedValues)
        or not isinstance(branches, PackedValues)
        or not isinstance(file.symbols, SymbolTable)
    ):  # a file with a great many sections
        relocate(run, section, at, enumerate(section.relocation_rows()))
        return
    data, rela = section.packed_relocations()

    def left(number: int) -> int:
        return relocate(run, section, at, [(number, section.relocations()[number])])

    _native.apply(
        LAYOUT,
        run.out,
        at,
        section.address,
        section.size,
        section.content,
        data,
        file.elf.elf_class.word,
        rela,
        kinds,
        references.packed,
        branches.packed if branches is not references else None,
        bool(section.flags & SHF_EXECINSTR),
        run.got,
        value_of_discarded(section),
        file.symbols.data,
        file.first_global,
        file.sections,
        file.globals,
        got_entries,
        id(file),
        left,
    )


# What types do that are not linear, by bytes of a word: GOTPCREL, [REX_]GOTPCRELX; GOT32, GOT32X. The numbers are those of apply.c.
_NOTHING = 1
_GOT = {8: {9: 2, 41: 3, 42: 3}, 4: {3: 5, 43: 6}}
_GOT_DYNAMIC = {8: {9: 2, 41: 4, 42: 4}, 4: {3: 5, 43: 7}}


def _kinds(machine: MachineRelocations) -> bytes:
    """The rows of a machine's relocations."""
    absent = LinearRelocation("", 0, 0, 0, 0)
    others = dict.fromkeys(machine.none, _NOTHING)
    others |= (_GOT if machine.scan_linear is None else _GOT_DYNAMIC)[machine.word]
    rows = []
    for kind in range(TYPES):
        row = machine.linear.get(kind, absent)
        other = others.get(kind, 0) if row is absent else 0
        flags = row.branch, kind in machine.branch_like, other, row.low != row.high
        rows.append(_KIND.pack(row.size, row.s, row.p, row.g, *flags, row.low, row.high))
    return b"".join(rows)

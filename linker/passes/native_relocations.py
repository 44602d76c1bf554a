"""The two looks at relocations (scan.py, apply.py) in C: linker/native/relocations.c."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct

from uselib.linker import _native
from uselib.linker.formats.elf import SHF_EXECINSTR
from uselib.linker.passes.apply import relocate
from uselib.linker.passes.model import InputSection
from uselib.linker.passes.native_values import PackedValues
from uselib.linker.passes.relocations import Applying, LinearRelocation, MachineRelocations

TYPES = 256  # relocation types below this have a row; others are left to Python
_KIND = Struct("<8b2q")  # width, s, p, g, branch, branch-like, none, range is checked; low, high


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
    for section, at in places:
        if section.file is not None:
            _relocate(run, section, at, kinds)


def _relocate(run: Applying, section: InputSection, at: int, kinds: bytes) -> None:
    file = section.file
    assert file is not None
    values = run.values(file)
    references, branches = values.references, values.branches
    if not isinstance(references, PackedValues) or not isinstance(
        branches, PackedValues
    ):  # a file with a great many sections
        relocate(run, section, at, enumerate(section.relocation_rows()))
        return
    data, rela = section.packed_relocations()

    def left(number: int) -> int:
        return relocate(run, section, at, [(number, section.relocations()[number])])

    _native.apply(
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
        left,
    )


def _kinds(machine: MachineRelocations) -> bytes:
    """The rows of a machine's linear relocations, and of those that change nothing."""
    absent = LinearRelocation("", 0, 0, 0, 0)
    rows = []
    for kind in range(TYPES):
        row = machine.linear.get(kind, absent)
        none = row is absent and kind in machine.none
        flags = row.branch, kind in machine.branch_like, none, row.low != row.high
        rows.append(_KIND.pack(row.size, row.s, row.p, row.g, *flags, row.low, row.high))
    return b"".join(rows)

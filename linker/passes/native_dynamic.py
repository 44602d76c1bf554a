"""The first look at the relocations of a dynamic output (dynamic_scan.py) in C: linker/native/dynamic_scan.c."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from uselib.linker import _native
from uselib.linker.formats.elf import SHF_WRITE, SymbolTable
from uselib.linker.passes.dynamic_scan import DynamicNeeds, OddOfDynamic, chosen_by_word
from uselib.linker.passes.model import InputSection, ObjectFile
from uselib.linker.passes.native_relocations import TYPES
from uselib.linker.passes.native_take import LAYOUT
from uselib.linker.passes.relocations import LinearRelocation, MachineRelocations

# What C does about a relocation type; 0: it is left to Python. The numbers are those of dynamic_scan.c.
_NOTHING, _BASE, _BASED, _RELATIVE, _MAYBE_BRANCH, _BRANCH, _WORD, _NARROW = range(1, 9)
_SPECIAL = {
    8: {9: 9, 41: 10, 42: 10},
    4: {3: 11, 43: 12},
}  # by bytes of a word: GOTPCREL, [REX_]GOTPCRELX; GOT32, GOT32X
_SHARED, _PIC, _WRITABLE, _CHOSEN_BY_WORD, _BASE_KNOWN = 1, 2, 4, 8, 16  # the output, and the section
_HAS_GOT = 32  # of a symbol of a file


class NativeOddOfDynamic:
    """The OddRelocations of dynamic outputs. What C looks at goes into `needs`; the others come in the order of the file."""

    def __init__(self, machine: MachineRelocations, needs: DynamicNeeds) -> None:
        assert needs.plan is not None and needs.types is not None
        self._needs, self._sequences = needs, machine.tls_sequences
        self._types, plan = needs.types, needs.plan
        self._others = OddOfDynamic(machine, plan)
        self._kinds = _kinds(machine, needs.types.word)
        self._output = _SHARED * plan.shared | _PIC * plan.pic | _CHOSEN_BY_WORD * chosen_by_word(self._types, plan)
        self._flags: dict[int, bytearray] = {}

    def __call__(self, sections: Iterable[InputSection], plain: set[int]) -> Iterator[tuple[InputSection, list[int]]]:
        for section in sections:
            file = section.file
            assert file is not None
            if isinstance(file.symbols, SymbolTable):
                yield from self._odd(section, file, file.symbols)
            else:  # a file with a great many sections
                yield from self._others([section], plain)

    def _odd(
        self, section: InputSection, file: ObjectFile, symbols: SymbolTable
    ) -> Iterator[tuple[InputSection, list[int]]]:
        word, needs = file.elf.elf_class.word, self._needs
        flags = self._flags.get(id(file))
        if flags is None:
            flags = _native.symbol_flags(LAYOUT, symbols.data, word, file.first_global, file.globals)
            self._flags[id(file)] = flags
        data, rela = section.packed_relocations()
        records = section.relocations()
        output = self._output | (_WRITABLE if section.flags & SHF_WRITE else 0)
        start = 0
        while True:
            number, rows = _native.scan(
                LAYOUT,
                data,
                word,
                rela,
                self._kinds,
                flags,
                section.content,
                section.size,
                output | _BASE_KNOWN * needs.uses_got,
                self._types.relative,
                file.first_global,
                file.globals,
                file,
                needs.plt,
                needs.got,
                needs.imports,
                start,
            )
            needs.uses_got |= bool(needs.got)
            if rows:
                needs.words.extend(section, rows)
            if number < 0:
                return
            record = records[number]
            # the call behind a TLS sequence may go with it
            numbers = [number, number + 1] if record.type in self._sequences else [number]
            yield section, numbers[: len(records) - number]
            start = number + len(numbers)
            index = record.symbol
            if index < len(flags) and (file.global_symbol(index) or (id(file), index)) in needs.got:
                flags[index] |= _HAS_GOT


def _kinds(machine: MachineRelocations, word: int) -> bytes:
    """What C does about each relocation type."""
    rows = bytearray(TYPES)
    for kind in machine.none:
        rows[kind] = _NOTHING
    for kind, row in machine.linear.items():
        rows[kind] = _kind_of(kind, row, machine, word)
    for kind, how in _SPECIAL[machine.word].items():
        rows[kind] = how
    return bytes(rows)


def _kind_of(kind: int, row: LinearRelocation, machine: MachineRelocations, word: int) -> int:
    if kind in machine.got_based:
        return _BASE if not row.s else 0 if row.branch else _BASED
    if row.branch:
        return _BRANCH
    if row.p:
        return _MAYBE_BRANCH if kind in machine.branch_like else _RELATIVE
    return _WORD if kind == word else _NARROW

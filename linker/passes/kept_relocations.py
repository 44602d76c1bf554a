"""Relocations that stay in the output (-r, --emit-relocs): the symbols with their numbers, and the sections of relocations.

A relocation for a local symbol without a row of its own, and one for a section symbol, is for the output section's symbol. Relocations of
discarded sections (a COMDAT group that another file has) become R_*_NONE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from uselib.linker.formats import elf
from uselib.linker.formats.elf import (
    SHF_INFO_LINK,
    SHN_ABS,
    SHT_NOBITS,
    SHT_REL,
    SHT_RELA,
    STB_LOCAL,
    STT_SECTION,
    ElfRelocation,
)
from uselib.linker.image import Machine
from uselib.linker.passes.model import InputSection, ObjectFile, OutputSection
from uselib.linker.passes.output_symbols import OutputSymbol, SymbolList, local_rows
from uselib.linker.quick_dataclass import NamedTuple

Changed = Callable[[InputSection, ElfRelocation], ElfRelocation]
"""What a relocation is after the instructions around it were rewritten (--emit-relocs)."""

_NARROW = {20: 2, 21: 2, 22: 1, 23: 1}  # R_386_16, PC16, 8, PC8: bytes of a field that is not a word


class NumberedSymbols(NamedTuple):
    """The output's symbols, and the numbers of those that relocations may be for."""

    rows: SymbolList
    sections: dict[int, int]  # by the output section's index
    locals: dict[tuple[int, int], int]  # by id of the file and the symbol's number there
    globals: dict[int, int]  # by id of the Symbol


class NumberedRow(NamedTuple):
    """A row, and what refers to it: a Symbol's id, a file's id and the symbol's number there, or nothing."""

    row: OutputSymbol
    key: object = None


def number_symbols(
    sections: Sequence[OutputSection],
    files: Iterable[ObjectFile],
    further: Iterable[NumberedRow],
    keep: Callable[[ObjectFile, int, str], bool],
) -> NumberedSymbols:
    """Sections, then local symbols, then global ones. further: rows of other symbols. keep: whether a local symbol has a row."""
    rows = SymbolList(OutputSymbol("", STT_SECTION, 0, s.index, s.address, 0) for s in sections)
    of_sections = {section.index: number for number, section in enumerate(sections, 1)}
    of_locals: dict[tuple[int, int], int] = {}
    others = list(further)
    for file in files:
        for index, row in local_rows(file):
            if keep(file, index, row.name):
                rows.append(row)
                of_locals[id(file), index] = len(rows)
    of_globals: dict[int, int] = {}
    for row, key in sorted(others, key=lambda item: item.row.info >> 4 != STB_LOCAL):
        rows.append(row)
        if isinstance(key, int):
            of_globals[key] = len(rows)
        elif isinstance(key, tuple):
            of_locals[key] = len(rows)
    return NumberedSymbols(rows, of_sections, of_locals, of_globals)


class KeptRelocations:
    """The sections of relocations of an output: made with their sizes before the layout, filled in when symbols have their numbers."""

    def __init__(self, machine: Machine, outputs: Iterable[OutputSection]) -> None:
        self._machine, self._records = machine, elf.class_of(machine)
        self.rela = machine is Machine.X86_64
        size = (self._records.rela if self.rela else self._records.rel).size
        self.sections: list[OutputSection] = []
        self.targets: list[OutputSection] = []
        for output in outputs:
            count = sum(len(s.relocations()) for s in _relocated(output))
            if count:
                name = (".rela" if self.rela else ".rel") + output.name
                kind = SHT_RELA if self.rela else SHT_REL
                flags = SHF_INFO_LINK | output.flags & elf.SHF_GROUP
                section = OutputSection(name, kind, flags, self._records.word, size, size=count * size, link=".symtab")
                self.sections.append(section)
                self.targets.append(output)

    def fill(self, image: bytearray, symbols: NumberedSymbols, partial: bool, changed: Changed | None = None) -> None:
        """Writes the relocations to their places in the image. partial: -r, where REL's addends in the fields move as well."""
        pack = self._records.pack_relocation
        for section, target in zip(self.sections, self.targets, strict=True):
            section.info = elf.file_index(target.index)
            content = b"".join(
                pack(record)
                for source in _relocated(target)
                for record in self._moved(image, source, symbols, partial, changed)
            )
            image[section.offset : section.offset + len(content)] = content

    def _moved(
        self, image: bytearray, source: InputSection, symbols: NumberedSymbols, partial: bool, changed: Changed | None
    ) -> Iterator[ElfRelocation]:
        file, output = source.file, source.output
        assert file is not None and output is not None
        known: dict[int, tuple[int, int] | None] = {}
        for record in source.relocations():
            if changed is not None:
                record = changed(source, record)
            offset, kind, index, addend = record
            if index not in known:
                known[index] = _target(file, index, symbols)
            found, place = known[index], source.address + offset
            if addend is not None and _merged(file, index) is not None:
                found, addend = _piece(file, index, addend, symbols)
            if found is None:
                yield ElfRelocation(place, 0, 0, 0 if self.rela else None)
                continue
            number, delta = found
            if self.rela:
                yield ElfRelocation(place, kind, number, (addend or 0) + delta)
                continue
            yield ElfRelocation(place, kind, number, None)
            if partial and delta:
                width = _NARROW.get(kind, 4)
                at = output.offset + source.offset + offset
                value = int.from_bytes(image[at : at + width], "little") + delta
                image[at : at + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")


def _relocated(output: OutputSection) -> list[InputSection]:
    if output.type == SHT_NOBITS:
        return []
    return [s for s in output.inputs if s.file is not None and (s.relocated_by or s.records)]


def _target(file: ObjectFile, index: int, symbols: NumberedSymbols) -> tuple[int, int] | None:
    """Number of the output's symbol, and what the addend changes by. None: of a discarded section."""
    if not index or index >= len(file.symbols):
        return 0, 0
    symbol = file.global_symbol(index)
    if symbol is not None:
        if (number := symbols.globals.get(id(symbol))) is not None:
            return number, 0
        return _of_section(symbol.section, symbol.address, symbols)
    if (number := symbols.locals.get((id(file), index))) is not None:
        return number, 0
    record = file.symbols[index]
    if record.section == SHN_ABS:
        return 0, record.value
    section = file.section_of(index)
    return _of_section(section, section.address + record.value if section is not None else 0, symbols)


def _of_section(section: InputSection | None, address: int, symbols: NumberedSymbols) -> tuple[int, int] | None:
    """An address in a section, by the symbol of its output section."""
    if section is None or not section.live or section.output is None:
        return None
    return symbols.sections[section.output.index], address - section.output.address


def _merged(file: ObjectFile, index: int) -> InputSection | None:
    """The section of a section symbol, if its parts have gone to different places."""
    if not 0 < index < file.first_global or file.symbols[index].type != STT_SECTION:
        return None
    section = file.section_of(index)
    return section if section is not None and section.pieces is not None else None


def _piece(file: ObjectFile, index: int, addend: int, symbols: NumberedSymbols) -> tuple[tuple[int, int] | None, int]:
    """What `_target` gives for section symbol + addend where the part at that offset has gone, and the addend that is left."""
    section = _merged(file, index)
    assert section is not None and section.pieces is not None
    return _of_section(section, section.pieces.address(file.symbols[index].value + addend), symbols), 0


def used_locals(outputs: Iterable[OutputSection]) -> set[tuple[int, int]]:
    """The local symbols that relocations are for, as in `NumberedSymbols`."""
    used: set[tuple[int, int]] = set()
    for output in outputs:
        for section in _relocated(output):
            used.update((id(section.file), index) for _, _, index, _ in section.relocation_rows())
    return used

"""Source lines of an object file that is not linked yet, for messages: section and offset -> file and line.

The sections of an object all begin at address 0. Here each gets an address of its own, and the line tables' references to
sections are relocated with these.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from operator import itemgetter

from uselib.linker.dwarf.line_programs import LineSequence, SourceLine, sequences
from uselib.linker.dwarf.lines import read_header
from uselib.linker.dwarf.sections import Sections
from uselib.linker.dwarf.units import DAMAGE
from uselib.linker.errors import FormatError
from uselib.linker.formats import elf
from uselib.linker.formats.compressed_sections import decompress

_TABLES = (".debug_line", ".debug_line_str", ".debug_str")
_WORDS = {elf.SHT_RELA: {1: 8, 10: 4, 11: 4}, elf.SHT_REL: {1: 4}}  # R_X86_64_64, 32, 32S; R_386_32 -> bytes
_FIRST = 0x1000


class ObjectLines:
    """The line tables of one object file. A damaged one has no lines."""

    def __init__(self, file: elf.ElfFile) -> None:
        self._addresses: dict[int, int] = {}
        at = _FIRST
        for index, header in enumerate(file.sections):
            if header.flags & elf.SHF_EXECINSTR:
                self._addresses[index] = at
                at += (header.size + 15) & -16
        self._sequences: list[LineSequence] = []
        try:
            line, line_str, strings = (_content(file, name, self._addresses) for name in _TABLES)
            self._read(Sections(file.where, b"", line=line, line_str=line_str, strings=strings))
        except FormatError:
            return

    def _read(self, sections: Sections) -> None:
        at = 0
        try:
            while at < len(sections.line):
                header = read_header(sections, at)
                self._sequences += sequences(sections.line, header)
                if header.end <= at:
                    return
                at = header.end
        except DAMAGE:
            return

    def find(self, section: int, offset: int) -> SourceLine | None:
        """The line of the instruction around an offset of a section; None if no table has it."""
        start = self._addresses.get(section)
        if start is None:
            return None
        address = start + offset
        for sequence in self._sequences:
            if sequence.start <= address < sequence.end:
                row = sequence.rows[bisect_right(sequence.rows, address, key=itemgetter(0)) - 1]
                name = sequence.names[row[1]] if row[1] < len(sequence.names) else ""
                return SourceLine(name, row[2]) if name and row[2] else None
        return None


def _content(file: elf.ElfFile, name: str, addresses: Mapping[int, int]) -> bytes:
    """A debug section, relocated; empty if there is none. Raises FormatError."""
    for index, header in enumerate(file.sections):
        if header.type != elf.SHT_NOBITS and header.size and file.names[header.name] == name:
            content = file.content(index)
            if header.flags & elf.SHF_COMPRESSED:
                content, _ = decompress(content, file.elf_class, f"{file.where}:({name})")
            return _relocated(file, index, bytearray(content), addresses)
    return b""


def _relocated(file: elf.ElfFile, target: int, content: bytearray, addresses: Mapping[int, int]) -> bytes:
    for index, header in enumerate(file.sections):
        sizes = _WORDS.get(header.type)
        if sizes is None or header.info != target or header.link >= len(file.sections):
            continue
        symbols = file.symbols(header.link)
        for offset, kind, number, addend in file.relocations(index).rows():
            size = sizes.get(kind)
            if size is None or offset + size > len(content) or number >= len(symbols):
                continue
            symbol = symbols[number]
            old = int.from_bytes(content[offset : offset + size], "little") if addend is None else addend
            value = symbol.value + addresses.get(symbol.section, 0) + old
            content[offset : offset + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    return bytes(content)

"""The symbol table of the output: which symbols it has, and their records.

`SymbolList` has a named tuple for each; `native_symbols.NativeSymbols` packs them in C; `column_symbols.SymbolColumns`, of
large links without that, has arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from uselib.linker.formats import elf
from uselib.linker.formats.elf import (
    RESERVED,
    SHF_ALLOC,
    SHN_ABS,
    SHN_XINDEX,
    STB_GLOBAL,
    STB_LOCAL,
    STB_WEAK,
    STT_FILE,
    STT_SECTION,
    ElfClass,
)
from uselib.linker.formats.string_table import StringTableBuilder
from uselib.linker.options import Options
from uselib.linker.passes.layout import Layout
from uselib.linker.passes.libraries import read_file
from uselib.linker.passes.model import UNDEFINED, ObjectFile, Symbol
from uselib.linker.passes.provided import ENDS
from uselib.linker.passes.resolution import Resolution
from uselib.linker.quick_dataclass import NamedTuple
from uselib.linker.quick_typing import Protocol


class OutputSymbol(NamedTuple):
    """A row of the output's .symtab."""

    name: str
    info: int  # binding << 4 | type
    other: int
    section: int  # index of the output section
    value: int
    size: int


SymbolRows = Callable[[Symbol], Iterable[OutputSymbol] | None]
"""A policy's own rows for a global symbol, or None for the ordinary one."""


class PackedSymbols(NamedTuple):
    """The contents of .symtab and .strtab. first_global: sh_info. infos: every value of st_info. wide: the contents of .symtab_shndx, which
    an output with more than 0xff00 sections has."""

    table: bytes
    strings: bytes | bytearray
    first_global: int
    infos: frozenset[int]
    wide: bytes = b""


class OutputSymbols(Protocol):
    """The symbols of the output, local ones first."""

    def __iter__(self) -> Iterator[OutputSymbol]: ...

    def packed(self, records: ElfClass) -> PackedSymbols:
        """The symbols as ELF has them."""


class SymbolList(list[OutputSymbol]):
    """The symbols, each a named tuple."""

    def packed(self, records: ElfClass) -> PackedSymbols:
        strings = StringTableBuilder()
        pack, add = records.symbol.pack, strings.add
        wide = b""
        if any(row.section > SHN_XINDEX for row in self):
            indices = [elf.file_index(row.section) if row.section > SHN_XINDEX else 0 for row in self]
            wide = bytes(4) + b"".join(index.to_bytes(4, "little") for index in indices)
            narrow = [row._replace(section=SHN_XINDEX) if row.section > SHN_XINDEX else row for row in self]
            return SymbolList(narrow).packed(records)._replace(wide=wide)
        first = pack(0, 0, 0, 0, 0, 0)
        if records.word == 8:
            table = [pack(add(n), i, o, x, v & 0xFFFFFFFFFFFFFFFF, z) for n, i, o, x, v, z in self]
        else:
            table = [pack(add(n), v & 0xFFFFFFFF, z, i, o, x) for n, i, o, x, v, z in self]
        first_global = 1 + sum(1 for row in self if row.info >> 4 == STB_LOCAL)
        return PackedSymbols(b"".join([first, *table]), strings.data, first_global, frozenset(r.info for r in self))


def local_rows(file: ObjectFile) -> Iterator[tuple[int, OutputSymbol]]:
    """The local symbols of a file that lie in the output, with their numbers there. Not section symbols."""
    names, sections = file.strings, file.sections
    for index, (name_at, info, other, shndx, value, size) in enumerate(file.symbol_rows(1, file.first_global), 1):
        if info & 15 == STT_SECTION or not name_at:
            continue
        if info & 15 == STT_FILE:
            yield index, OutputSymbol(names[name_at], info, other, SHN_ABS, 0, 0)
        elif shndx not in RESERVED:
            section = sections[shndx]
            if section is None or section.output is None or not section.live:
                continue
            address = section.pieces.address(value) if section.pieces is not None else section.address + value
            yield index, OutputSymbol(names[name_at], info, other, section.output.index, address, size)
        elif shndx == SHN_ABS:
            yield index, OutputSymbol(names[name_at], info, other, SHN_ABS, value, size)


def _locals(files: Iterable[ObjectFile]) -> SymbolList:
    """Local symbols, without section symbols and the compiler's .L labels."""
    rows = SymbolList()
    for file in files:
        if file.stub is None:
            rows += [row for _, row in local_rows(file) if not row.name.startswith(".L")]
    return rows


def section_of_provided(layout: Layout, symbol: Symbol) -> int:
    """Section index for a symbol that the linker defines: the section it lies in, or the one that ends there (which comes first for _end
    and its like); of the headers: the first section."""
    address, inside, ending = symbol.address, SHN_ABS, SHN_ABS
    for section in layout.sections:
        if section.flags & SHF_ALLOC:
            if inside == SHN_ABS and section.address <= address < section.end:
                inside = section.index
            if address == section.end and (section.size or ending == SHN_ABS):
                ending = section.index
    first, second = (ending, inside) if symbol.name in ENDS or symbol.name.startswith("__stop_") else (inside, ending)
    if first != SHN_ABS or second != SHN_ABS or symbol.address != layout.base:
        return first if first != SHN_ABS else second
    loaded = [section for section in layout.sections if section.flags & SHF_ALLOC]
    return min(loaded, key=lambda section: section.address).index if loaded else SHN_ABS


def global_row(symbol: Symbol, layout: Layout) -> OutputSymbol | None:
    """The row of a global symbol; None if it has none: undefined and not referred to, or in a section that was left out."""
    if symbol.rank == UNDEFINED:
        if not symbol.strong_reference and symbol.referenced:
            return OutputSymbol(symbol.name, STB_WEAK << 4 | symbol.type, symbol.visibility, 0, 0, 0)
        return None
    section = symbol.section
    if section is not None:
        if section.output is None or not section.live:
            return None
        index = section.output.index
    else:
        index = section_of_provided(layout, symbol) if symbol.provided else SHN_ABS
    binding = STB_LOCAL if symbol.visibility in (elf.STV_HIDDEN, elf.STV_INTERNAL) else symbol.binding or STB_GLOBAL
    info = binding << 4 | symbol.type
    return OutputSymbol(symbol.name, info, symbol.visibility, index, symbol.location, symbol.size)


OrdinarySymbols = Callable[[Layout, Resolution, bool, SymbolRows | None], OutputSymbols]
"""What gives the symbols of an output: `ordinary_symbols`, or what does the same faster."""


def symbol_rows(
    layout: Layout, resolution: Resolution, options: Options, own: SymbolRows | None, ordinary: OrdinarySymbols
) -> OutputSymbols | None:
    """All output symbols, local ones first; None for -s. own: what gives the kind's own rows for a global symbol."""
    if options.strip_all:
        return None
    if options.retained_file:
        retained = set(read_file(options.retained_file).decode("utf-8", "surrogateescape").split())
        rows = ordinary_symbols(layout, resolution, not options.discard_locals, own)
        return SymbolList(row for row in rows if row.name in retained or not row.section)
    return ordinary(layout, resolution, not options.discard_locals, own)


def ordinary_symbols(
    layout: Layout, resolution: Resolution, keep_locals: bool, own: SymbolRows | None = None
) -> SymbolList:
    """The symbols, each a named tuple; those for which `own` gives rows have these."""
    rows = _locals(resolution.files) if keep_locals else SymbolList()
    for symbol in resolution.symbols.values():
        special = own(symbol) if own is not None else None
        if special is not None:
            rows += special
            continue
        row = global_row(symbol, layout)
        if row is not None:
            rows.append(row)
    rows.sort(key=lambda row: row.info >> 4 != STB_LOCAL)
    return rows


def named_rows(rows: Iterable[OutputSymbol]) -> Iterator[tuple[str, bool, int, int]]:
    """Symbols as other formats have them, without those for files and sections: (name, is local, section index, value)."""
    for name, info, _, index, value, _ in rows:
        if name and info & 15 not in (STT_FILE, STT_SECTION):
            yield name, info >> 4 == STB_LOCAL, index, value

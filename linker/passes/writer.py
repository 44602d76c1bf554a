"""The output file: headers, section contents, symbol table. Reproducible: no dates, no paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from uselib.linker.errors import LinkError, error
from uselib.linker.formats import elf
from uselib.linker.formats.elf import (
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHN_ABS,
    SHN_LORESERVE,
    SHT_NOBITS,
    SHT_STRTAB,
    SHT_SYMTAB,
    STB_GLOBAL,
    STB_LOCAL,
    STB_WEAK,
    STT_FILE,
    STT_SECTION,
    StringTableBuilder,
)
from uselib.linker.options import Options
from uselib.linker.passes.apply import relocate
from uselib.linker.passes.layout import Layout
from uselib.linker.passes.model import UNDEFINED, ObjectFile, Symbol
from uselib.linker.passes.relocations import Applying
from uselib.linker.passes.resolve import Resolution


class OutputSymbol(NamedTuple):
    """A row of the output's .symtab."""

    name: str
    info: int  # binding << 4 | type
    other: int
    section: int  # index of the output section
    value: int
    size: int


MAX_SIZE = 1 << 31  # bytes of an output file
SymbolRows = Callable[[Symbol], Iterable[OutputSymbol] | None]
"""A policy's own rows for a global symbol, or None for the ordinary one."""


def fill(layout: Layout, run: Applying) -> bytearray:
    """The contents of all sections, relocated, at their file offsets. Gaps in code are filled with nops.

    Raises LinkError for relocations that cannot be applied, and if the file would be larger than MAX_SIZE (a damaged input,
    or zeroes that belong into .bss).
    """
    if layout.size > MAX_SIZE:
        largest = max(layout.sections, key=lambda section: section.size if section.type != SHT_NOBITS else 0)
        raise error(
            "ld",
            f"the output would have {layout.size:#x} bytes, {largest.name} alone {largest.size:#x}; the limit is {MAX_SIZE:#x}",
        )
    image = run.out
    image += bytes(layout.size)
    for output in layout.sections:
        if output.type == SHT_NOBITS:
            continue
        start = output.offset
        if output.flags & SHF_EXECINSTR:
            image[start : start + output.size] = b"\x90" * output.size
        for section in output.inputs:
            content = section.build() if section.build is not None else section.content
            if content:
                at = start + section.offset
                image[at : at + len(content)] = content
            elif section.type == SHT_NOBITS and output.flags & SHF_EXECINSTR:
                at = start + section.offset
                image[at : at + section.size] = bytes(section.size)
        for section in output.inputs:
            if section.relocated_by or section.records:
                relocate(run, section, start + section.offset)
    if run.problems:
        raise LinkError(*dict.fromkeys(run.problems))
    return image


def _locals(files: Iterable[ObjectFile], keep: bool) -> list[OutputSymbol]:
    """Local symbols, without section symbols and the compiler's .L labels."""
    rows: list[OutputSymbol] = []
    for file in files:
        if file.stub is not None:
            continue
        names, sections = file.strings, file.sections
        for name_at, info, other, shndx, value, size in file.symbols[1 : file.first_global]:
            kind = info & 15
            if kind == STT_SECTION or not name_at:
                continue
            name = names[name_at]
            if kind == STT_FILE:
                if keep:
                    rows.append(OutputSymbol(name, info, other, SHN_ABS, 0, 0))
                continue
            if name.startswith(".L") or not keep:
                continue
            if shndx < SHN_LORESERVE:
                section = sections[shndx]
                if section is None or section.output is None or not section.live:
                    continue
                address = section.pieces.address(value) if section.pieces is not None else section.address + value
                rows.append(OutputSymbol(name, info, other, section.output.index, address, size))
            elif shndx == SHN_ABS:
                rows.append(OutputSymbol(name, info, other, SHN_ABS, value, size))
    return rows


def _containing(layout: Layout, address: int) -> int:
    """Section index for a symbol of the layout: the section it lies in, or the one that ends there."""
    best = SHN_ABS
    for section in layout.sections:
        if section.flags & SHF_ALLOC:
            if section.address <= address < section.end:
                return section.index
            if address == section.end:
                best = section.index
    return best


def _global(symbol: Symbol, layout: Layout) -> OutputSymbol | None:
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
        index = _containing(layout, symbol.address) if symbol.provided else SHN_ABS
    binding = STB_LOCAL if symbol.visibility in (elf.STV_HIDDEN, elf.STV_INTERNAL) else symbol.binding or STB_GLOBAL
    info = binding << 4 | symbol.type
    return OutputSymbol(symbol.name, info, symbol.visibility, index, symbol.location, symbol.size)


def symbol_rows(layout: Layout, resolution: Resolution, options: Options, own: SymbolRows) -> list[OutputSymbol] | None:
    """All output symbols, local ones first; None for -s. own: the kind's rows for a global symbol."""
    if options.strip_all:
        return None
    rows = _locals(resolution.files, not options.discard_locals)
    for symbol in resolution.symbols.values():
        special = own(symbol)
        if special is not None:
            rows += special
            continue
        row = _global(symbol, layout)
        if row is not None:
            rows.append(row)
    rows.sort(key=lambda row: row.info >> 4 != STB_LOCAL)
    return rows


def named_rows(rows: Iterable[OutputSymbol]) -> Iterator[tuple[str, bool, int, int]]:
    """Symbols as other formats have them, without those for files and sections: (name, is local, section index, value)."""
    for name, info, _, index, value, _ in rows:
        if name and info & 15 not in (STT_FILE, STT_SECTION):
            yield name, info >> 4 == STB_LOCAL, index, value


def complete(image: bytearray, layout: Layout, entry: int, rows: list[OutputSymbol] | None, file_type: int) -> None:
    """Adds symbol table, section headers, ELF header and program headers to the section contents.

    rows None: no symbol table (-s). file_type: e_type. Section indices must have been given (layout.number).
    """
    records = elf.class_of(layout.machine)
    headers: list[tuple[int, ...]] = [(0,) * 10]
    names = StringTableBuilder()
    for s in layout.sections:
        headers.append((names.add(s.name), s.type, s.flags, s.address, s.offset, s.size, 0, 0, s.alignment, s.entsize))
    if rows is not None:
        strings = StringTableBuilder()
        pack, add = records.symbol.pack, strings.add
        table = bytearray(pack(0, 0, 0, 0, 0, 0))
        if records.word == 8:
            packed = [pack(add(n), i, o, x, v & 0xFFFFFFFFFFFFFFFF, z) for n, i, o, x, v, z in rows]
        else:
            packed = [pack(add(n), v & 0xFFFFFFFF, z, i, o, x) for n, i, o, x, v, z in rows]
        table += b"".join(packed)
        image += bytes(-len(image) % 8)
        first_global = 1 + sum(1 for row in rows if row.info >> 4 == STB_LOCAL)
        link = len(headers) + 1
        headers.append(
            (names.add(".symtab"), SHT_SYMTAB, 0, 0, len(image), len(table), link, first_global, 8, records.symbol.size)
        )
        image += table
        headers.append((names.add(".strtab"), SHT_STRTAB, 0, 0, len(image), len(strings.data), 0, 0, 1, 0))
        image += strings.data
    names_at = names.add(".shstrtab")
    headers.append((names_at, SHT_STRTAB, 0, 0, len(image), len(names.data), 0, 0, 1, 0))
    image += names.data
    image += bytes(-len(image) % 8)
    table_at = len(image)
    image += b"".join(records.section.pack(*header) for header in headers)
    size = records.header.size
    kinds = {row.info for row in rows or ()}
    gnu = any(info & 15 == elf.STT_GNU_IFUNC or info >> 4 == elf.STB_GNU_UNIQUE for info in kinds)
    abi = elf.ELFOSABI_GNU if gnu else elf.ELFOSABI_NONE
    ident = elf.identification(layout.machine, abi)
    machine, segments, sections = layout.machine.value, len(layout.headers), len(headers)
    fields = (ident, file_type, machine, elf.EV_CURRENT, entry, size, table_at, 0, size)
    sizes = (records.segment.size, segments, records.section.size, sections, sections - 1)
    image[:size] = records.header.pack(*fields, *sizes)
    image[size : size + segments * records.segment.size] = b"".join(
        records.pack_segment(header) for header in layout.headers
    )

"""The output file: section contents, headers. Reproducible: no dates, no paths."""

from __future__ import annotations

from uselib.linker.errors import LinkError, error
from uselib.linker.formats import elf
from uselib.linker.formats.elf import (
    SHF_EXECINSTR,
    SHT_NOBITS,
    SHT_STRTAB,
    SHT_SYMTAB,
)
from uselib.linker.formats.string_table import StringTableBuilder
from uselib.linker.passes.apply import RelocateAll
from uselib.linker.passes.layout import Layout
from uselib.linker.passes.model import InputSection
from uselib.linker.passes.output_symbols import OutputSymbols
from uselib.linker.passes.relocations import Applying

MAX_SIZE = 1 << 31  # bytes of an output file


def fill(layout: Layout, run: Applying, relocate_all: RelocateAll) -> bytearray:
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
    relocate_all(run, contents(image, layout))
    if run.problems:
        raise LinkError(*dict.fromkeys(run.problems))
    return image


def contents(image: bytearray, layout: Layout) -> list[tuple[InputSection, int]]:
    """Writes the contents of all sections, as the inputs have them. Result: those that have relocations, and where they are."""
    image += bytes(layout.size)
    places: list[tuple[InputSection, int]] = []
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
        places += [(s, start + s.offset) for s in output.inputs if s.relocated_by or s.records]
    return places


def complete(image: bytearray, layout: Layout, entry: int, rows: OutputSymbols | None, file_type: int) -> None:
    """Adds symbol table, section headers, ELF header and program headers to the section contents.

    rows None: no symbol table (-s). file_type: e_type. Section indices must have been given (layout.number).
    """
    records = elf.class_of(layout.machine)
    headers: list[tuple[int, ...]] = [(0,) * 10]
    names = StringTableBuilder()
    numbers = {s.name: elf.file_index(s.index) for s in reversed(layout.sections)}
    if rows is not None:
        numbers[".symtab"] = len(layout.sections) + 1
    for s in layout.sections:
        links = elf.file_index(s.link_number) or numbers.get(s.link, 0), s.info
        headers.append(
            (names.add(s.name), s.type, s.flags, s.address, s.offset, s.size, *links, s.alignment, s.entsize)
        )
    infos = _add_symbols(image, headers, names, rows, records) if rows is not None else frozenset[int]()
    names_at = names.add(".shstrtab")
    headers.append((names_at, SHT_STRTAB, 0, 0, len(image), len(names.data), 0, 0, 1, 0))
    image += names.data
    image += bytes(-len(image) % 8)
    table_at = len(image)
    count, names_index = len(headers), len(headers) - 1
    if count >= elf.SHN_LORESERVE:  # gABI: the true numbers are in header 0
        headers[0] = (0, 0, 0, 0, 0, count, names_index, 0, 0, 0)
        count, names_index = 0, elf.SHN_XINDEX
    image += b"".join(records.section.pack(*header) for header in headers)
    size = records.header.size
    gnu = any(info & 15 == elf.STT_GNU_IFUNC or info >> 4 == elf.STB_GNU_UNIQUE for info in infos)
    gnu |= file_type == elf.ET_REL and any(s.flags & elf.SHF_GNU_RETAIN for s in layout.sections)
    abi = elf.ELFOSABI_GNU if gnu else elf.ELFOSABI_NONE
    ident = elf.identification(layout.machine, abi)
    machine, segments = layout.machine.value, len(layout.headers)
    fields = (ident, file_type, machine, elf.EV_CURRENT, entry, size if segments else 0, table_at, 0, size)
    sizes = (records.segment.size if segments else 0, segments, records.section.size, count, names_index)
    image[:size] = records.header.pack(*fields, *sizes)
    image[size : size + segments * records.segment.size] = b"".join(
        records.pack_segment(header) for header in layout.headers
    )


def _add_symbols(
    image: bytearray,
    headers: list[tuple[int, ...]],
    names: StringTableBuilder,
    rows: OutputSymbols,
    records: elf.ElfClass,
) -> frozenset[int]:
    """Adds .symtab, .strtab and, where sections have large numbers, .symtab_shndx, with their headers. Result: the values of st_info."""
    packed = rows.packed(records)
    image += bytes(-len(image) % 8)
    place, size, link = len(image), len(packed.table), len(headers) + 1
    name, record = names.add(".symtab"), records.symbol.size
    headers.append((name, SHT_SYMTAB, 0, 0, place, size, link, packed.first_global, 8, record))
    image += packed.table
    headers.append((names.add(".strtab"), SHT_STRTAB, 0, 0, len(image), len(packed.strings), 0, 0, 1, 0))
    image += packed.strings
    if packed.wide:
        image += bytes(-len(image) % 4)
        place, size = len(image), len(packed.wide)
        headers.append((names.add(".symtab_shndx"), elf.SHT_SYMTAB_SHNDX, 0, 0, place, size, link - 1, 0, 4, 4))
        image += packed.wide
    return packed.infos

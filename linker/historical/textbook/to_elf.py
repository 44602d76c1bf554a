"""Objects of the textbook's format as ELF ones: the linker's passes work on ELF.

A segment becomes a section of its name; `.text` is code; so is a segment without W whose name is none of data. An undefined symbol with a
value is a common block of that size (the book's project 3-1).
"""

from __future__ import annotations

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats.elf import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS, SHT_PROGBITS, STB_LOCAL
from uselib.linker.formats.elf_object import (
    ABSOLUTE,
    COMMON,
    UNDEFINED,
    ObjectRelocation,
    ObjectSection,
    ObjectSymbol,
    fits,
    write_object,
)
from uselib.linker.historical.textbook import format as textbook
from uselib.linker.historical.textbook.format import TextbookObject, TextbookRelocation, TextbookSymbol
from uselib.linker.image import Machine

_KINDS = {"A4": 1, "AS4": 1, "R4": 2, "RS4": 2}  # R_386_32, R_386_PC32
_DATA_NAMES = (".rodata", ".lib", ".eh_frame", ".note")


def to_elf(data: bytes, where: str) -> bytes:
    """The object as ELF. Raises FormatError: damaged, with two segments of one name, or with more segments than ELF has sections."""
    file = textbook.decode(data, where)
    names = [segment.name for segment in file.segments]
    if len(set(names)) != len(names):
        raise FormatError(Diagnostic(where, "has two segments of one name"))
    if not fits(len(names), len(names) + len(file.symbols)):
        raise FormatError(
            Diagnostic(where, f"has {len(names)} segments and {len(file.symbols)} symbols, which are too many")
        )
    symbols = [ObjectSymbol(f".Lsegment{n}", section=name, binding=STB_LOCAL) for n, name in enumerate(names, 1)]
    symbols += [_symbol(symbol, file, where) for symbol in file.symbols]
    rows: list[list[ObjectRelocation]] = [[] for _ in file.segments]
    for r in file.relocations:
        rows[r.segment - 1].append(_relocation(r, file))
    sections = []
    for segment, relocations in zip(file.segments, rows, strict=True):
        flags = SHF_ALLOC | (SHF_WRITE if "W" in segment.flags else 0)
        if not flags & SHF_WRITE and not segment.name.startswith(_DATA_NAMES):
            flags |= SHF_EXECINSTR
        kind, size = (SHT_PROGBITS, 0) if segment.present else (SHT_NOBITS, segment.length)
        sections.append(ObjectSection(segment.name, segment.contents, flags, kind, 4, tuple(relocations), size))
    return write_object(Machine.I386, sections, symbols)


def _symbol(symbol: TextbookSymbol, file: TextbookObject, where: str) -> ObjectSymbol:
    if symbol.type == "U":
        if symbol.value:
            return ObjectSymbol(symbol.name, min(symbol.value & -symbol.value, 4), symbol.value, section=COMMON)
        return ObjectSymbol(symbol.name, section=UNDEFINED)
    if not symbol.segment:
        return ObjectSymbol(symbol.name, symbol.value, section=ABSOLUTE)
    segment = file.segments[symbol.segment - 1]
    if not segment.start <= symbol.value <= segment.start + segment.length:
        raise FormatError(Diagnostic(where, f"lies outside its segment {segment.name}", symbol.name))
    return ObjectSymbol(symbol.name, symbol.value - segment.start, section=segment.name)


def _relocation(r: TextbookRelocation, file: TextbookObject) -> ObjectRelocation:
    segment = file.segments[r.segment - 1]
    offset = r.location - segment.start
    addend = int.from_bytes(segment.contents[offset : offset + 4], "little", signed=True)
    if r.type in ("AS4", "RS4"):
        name = file.symbols[r.reference - 1].name
    else:
        name = f".Lsegment{r.reference}"
        addend -= file.segments[r.reference - 1].start
    if r.type == "R4":
        addend += r.location  # the field is a distance from behind it, in the object's addresses; ELF's addend is not
    elif r.type == "RS4":
        addend -= 4  # the field is the addend alone
    return ObjectRelocation(offset, name, _KINDS[r.type], addend)

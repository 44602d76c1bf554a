"""Writer of small ET_REL objects: the members of stub libraries.

Sections, symbols and relocations by name in, bytes out; no policy. One string table serves symbols and sections (as in
objects of LLVM's assembler). Every object gets an empty .note.GNU-stack, so that no linker makes a stack executable
because of a stub. Relocations are REL with the addend in the section on i386 and RELA on x86-64 (psABI, both machines).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from uselib.linker.image import Machine

SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOTE, SHT_NOBITS, SHT_REL = 1, 2, 3, 4, 7, 8, 9
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_INFO_LINK, SHF_GNU_RETAIN = 0x1, 0x2, 0x4, 0x40, 0x200000
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STT_NOTYPE, STT_OBJECT, STT_FUNC = 0, 1, 2
SHN_UNDEF, SHN_ABS, SHN_COMMON = 0, 0xFFF1, 0xFFF2
STV_DEFAULT, STV_HIDDEN = 0, 2
ELFOSABI_NONE, ELFOSABI_GNU = 0, 3

# The relocation that stores a machine word S + A: R_386_32, R_X86_64_64.
WORD_RELOCATION = {Machine.I386: 1, Machine.X86_64: 1}

_FIELD_SIZE = {20: 2, 21: 2, 22: 1, 23: 1}  # R_386_16, PC16, 8, PC8: bytes where it is not 4

ABSOLUTE = "*ABS*"
COMMON = "*COM*"  # the symbol's value is its alignment
UNDEFINED = ""


@dataclass(frozen=True)
class ObjectSymbol:
    """A symbol: `section` is the name of a section of the object, ABSOLUTE, COMMON or UNDEFINED."""

    name: str
    value: int = 0
    size: int = 0  # bytes
    type: int = STT_NOTYPE
    binding: int = STB_GLOBAL
    section: str = UNDEFINED
    visibility: int = STV_DEFAULT


@dataclass(frozen=True)
class ObjectRelocation:
    """At `offset` of its section: the word `symbol` + `addend`, by relocation `type` of the machine's psABI."""

    offset: int
    symbol: str
    type: int
    addend: int = 0


@dataclass(frozen=True)
class ObjectSection:
    """A section. size: bytes in memory of one without contents (SHT_NOBITS), which has no data."""

    name: str
    data: bytes
    flags: int = SHF_ALLOC
    type: int = SHT_PROGBITS
    alignment: int = 1
    relocations: tuple[ObjectRelocation, ...] = ()
    size: int = 0


@dataclass(frozen=True)
class _Layout:
    """The structures of one ELF class (System V gABI, chapter 4)."""

    elf_class: int
    header: struct.Struct  # Elf_Ehdr behind e_ident
    section: struct.Struct  # Elf_Shdr
    relocation: struct.Struct
    relocation_type: int
    symbol_size: int
    word: int


_LAYOUTS = {
    Machine.I386: _Layout(
        1, struct.Struct("<HHIIIIIHHHHHH"), struct.Struct("<10I"), struct.Struct("<II"), SHT_REL, 16, 4
    ),
    Machine.X86_64: _Layout(
        2, struct.Struct("<HHIQQQIHHHHHH"), struct.Struct("<IIQQQQIIQQ"), struct.Struct("<QQq"), SHT_RELA, 24, 8
    ),
}
_SYMBOL_32 = struct.Struct("<IIIBBH")  # name, value, size, info, other, section
_SYMBOL_64 = struct.Struct("<IBBHQQ")  # name, info, other, section, value, size
_ET_REL, _EV_CURRENT, _IDENT_SIZE = 1, 1, 16
_STACK_NOTE = ".note.GNU-stack"


def fits(sections: int, symbols: int) -> bool:
    """Whether an object can have that many, each section with relocations: numbers of sections below SHN_LORESERVE, symbols that r_info has
    room for (gABI). Who translates files of others asks before it calls write_object."""
    return 2 * sections + 8 < 0xFF00 and symbols < 1 << 23


class _Strings:
    """A string table under construction."""

    def __init__(self) -> None:
        self.parts = [b"\0"]
        self.size = 1
        self.offsets = {"": 0}

    def add(self, text: str) -> int:
        offset = self.offsets.get(text)
        if offset is None:
            data = text.encode("utf-8", "surrogateescape") + b"\0"
            offset = self.offsets[text] = self.size
            self.parts.append(data)
            self.size += len(data)
        return offset


def write_object(
    machine: Machine, sections: Sequence[ObjectSection] = (), symbols: Sequence[ObjectSymbol] = ()
) -> bytes:
    """The bytes of an ET_REL object.

    Symbols keep their order, except that local ones come first (gABI: sh_info is the first that is not local).
    Raises KeyError on a relocation or symbol that names a symbol or section which is not there: a defect of the caller.
    """
    layout = _LAYOUTS[machine]
    strings = _Strings()
    section_index = {section.name: number for number, section in enumerate(sections, 1)}
    section_index[UNDEFINED] = SHN_UNDEF
    section_index[ABSOLUTE] = SHN_ABS
    section_index[COMMON] = SHN_COMMON

    # sorted() is stable: locals first, otherwise the caller's order
    ordered = symbols
    if any(symbol.binding == STB_LOCAL for symbol in symbols):
        ordered = sorted(symbols, key=lambda symbol: symbol.binding != STB_LOCAL)
    first_global = 1 + sum(symbol.binding == STB_LOCAL for symbol in ordered)
    table = [bytes(layout.symbol_size)]
    for s in ordered:
        at, info, number = strings.add(s.name), s.binding << 4 | s.type, section_index[s.section]
        if machine is Machine.I386:
            table.append(_SYMBOL_32.pack(at, s.value, s.size, info, s.visibility, number))
        else:
            table.append(_SYMBOL_64.pack(at, info, s.visibility, number, s.value, s.size))

    # (name, type, flags, data, link, info, alignment, entry size) of each section behind the null section
    rows: list[tuple[str, int, int, bytes, int, int, int, int]] = []
    sizes: dict[int, int] = {}  # of rows without contents
    with_relocations = [section for section in sections if section.relocations]
    symtab_index = len(sections) + 2 + len(with_relocations)
    symbol_index = {symbol.name: number for number, symbol in enumerate(ordered, 1)} if with_relocations else {}
    for section in sections:
        data = section.data
        if layout.relocation_type == SHT_REL:
            data = _with_addends(section)
        rows.append((section.name, section.type, section.flags, data, 0, 0, section.alignment, 0))
        if section.type == SHT_NOBITS:
            sizes[len(rows) - 1] = section.size
    rows.append((_STACK_NOTE, SHT_PROGBITS, 0, b"", 0, 0, 1, 0))
    for section in with_relocations:
        data = b"".join(_relocation(machine, layout, r, symbol_index[r.symbol]) for r in section.relocations)
        prefix = ".rel" if layout.relocation_type == SHT_REL else ".rela"
        rows.append(
            (prefix + section.name, layout.relocation_type, SHF_INFO_LINK, data, symtab_index,
             section_index[section.name], layout.word, layout.relocation.size)
        )  # fmt: skip
    rows.append(
        (".symtab", SHT_SYMTAB, 0, b"".join(table), symtab_index + 1, first_global, layout.word, layout.symbol_size)
    )
    for row in rows:
        strings.add(row[0])
    strings.add(".strtab")
    rows.append((".strtab", SHT_STRTAB, 0, b"".join(strings.parts), 0, 0, 1, 0))

    position = _IDENT_SIZE + layout.header.size
    body: list[bytes] = []
    headers = [bytes(layout.section.size)]
    for number, (name, kind, flags, data, link, info, alignment, entry_size) in enumerate(rows):
        padding = -position % alignment
        if padding:
            body.append(bytes(padding))
            position += padding
        headers.append(
            layout.section.pack(
                strings.offsets[name],
                kind,
                flags,
                0,
                position,
                sizes.get(number, len(data)),
                link,
                info,
                alignment,
                entry_size,
            )
        )
        body.append(data)
        position += len(data)
    padding = -position % layout.word
    body.append(bytes(padding))
    # GNU ld honours SHF_GNU_RETAIN only in objects that say they use GNU extensions
    osabi = ELFOSABI_GNU if any(section.flags & SHF_GNU_RETAIN for section in sections) else ELFOSABI_NONE
    ident = struct.pack("<4sBBBB8x", b"\x7fELF", layout.elf_class, 1, _EV_CURRENT, osabi)
    header = layout.header.pack(
        _ET_REL, machine.value, _EV_CURRENT, 0, 0, position + padding, 0, _IDENT_SIZE + layout.header.size, 0, 0,
        layout.section.size, len(headers), len(headers) - 1,
    )  # fmt: skip
    return b"".join((ident, header, *body, *headers))


_FIRST_NAMES = b"\0.note.GNU-stack\0.symtab\0.strtab\0"  # of the string table of an object without sections


class BareSymbol(NamedTuple):
    """A global symbol without a section: `section` is SHN_ABS or SHN_UNDEF, `info` is st_info (binding << 4 | type)."""

    name: str
    value: int
    size: int
    info: int
    section: int


def write_bare_object(machine: Machine, symbols: Sequence[BareSymbol]) -> bytes:
    """An object of global symbols and nothing else: nearly every member of a stub library, so worth a faster way."""
    layout = _LAYOUTS[machine]
    names, at = [_FIRST_NAMES], len(_FIRST_NAMES)
    table = [bytes(layout.symbol_size)]
    narrow = machine is Machine.I386
    pack = _SYMBOL_32.pack if narrow else _SYMBOL_64.pack
    for name, value, size, info, section in symbols:
        if narrow:
            table.append(pack(at, value, size, info, 0, section))
        else:
            table.append(pack(at, info, 0, section, value, size))
        text = name.encode("utf-8", "surrogateescape")
        names += (text, b"\0")
        at += len(text) + 1
    start = _IDENT_SIZE + layout.header.size
    table_size = len(table) * layout.symbol_size
    padding = -(start + table_size + at) % layout.word
    section_pack = layout.section.pack
    return b"".join((
        struct.pack("<4sBBBB8x", b"\x7fELF", layout.elf_class, 1, _EV_CURRENT, ELFOSABI_NONE),
        layout.header.pack(
            _ET_REL, machine.value, _EV_CURRENT, 0, 0, start + table_size + at + padding, 0, start, 0, 0,
            layout.section.size, 4, 3,
        ),
        *table,
        *names,
        bytes(padding),
        bytes(layout.section.size),
        section_pack(1, SHT_PROGBITS, 0, 0, start, 0, 0, 0, 1, 0),
        section_pack(17, SHT_SYMTAB, 0, 0, start, table_size, 3, 1, layout.word, layout.symbol_size),
        section_pack(25, SHT_STRTAB, 0, 0, start + table_size, at, 0, 0, 1, 0),
    ))  # fmt: skip


def _relocation(machine: Machine, layout: _Layout, relocation: ObjectRelocation, symbol: int) -> bytes:
    if machine is Machine.I386:
        return layout.relocation.pack(relocation.offset, symbol << 8 | relocation.type)
    return layout.relocation.pack(relocation.offset, symbol << 32 | relocation.type, relocation.addend)


def _with_addends(section: ObjectSection) -> bytes:
    """The section's bytes with the addends of its REL relocations stored in place."""
    if not section.relocations:
        return section.data
    data = bytearray(section.data)
    for relocation in section.relocations:
        size = _FIELD_SIZE.get(relocation.type, 4)
        field = relocation.addend & (1 << 8 * size) - 1
        data[relocation.offset : relocation.offset + size] = field.to_bytes(size, "little")
    return bytes(data)

"""Writer of small ET_REL objects: the members of stub libraries.

Sections, symbols and relocations by name in, bytes out; no policy. One string table serves symbols and sections (as in
objects of LLVM's assembler). Every object gets an empty .note.GNU-stack, so that no linker makes a stack executable
because of a stub. Relocations are REL with the addend in the section on i386 and RELA on x86-64 (psABI, both machines).
"""

from __future__ import annotations

from collections.abc import Sequence

from uselib.linker.formats import elf
from uselib.linker.formats.elf import (
    ELFOSABI_GNU,
    ELFOSABI_NONE,
    SHF_ALLOC,
    SHF_GNU_RETAIN,
    SHF_INFO_LINK,
    SHN_ABS,
    SHN_COMMON,
    SHN_UNDEF,
    SHT_NOBITS,
    SHT_PROGBITS,
    SHT_REL,
    SHT_RELA,
    SHT_STRTAB,
    SHT_SYMTAB,
    STB_GLOBAL,
    STB_LOCAL,
    STT_NOTYPE,
    STV_DEFAULT,
    ElfClass,
    ElfRelocation,
    ElfSymbol,
    SectionHeader,
)
from uselib.linker.formats.string_table import StringTableBuilder
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import NamedTuple, dataclass

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


_STACK_NOTE = ".note.GNU-stack"


def fits(sections: int, symbols: int) -> bool:
    """Whether an object can have that many, each section with relocations: numbers of sections below SHN_LORESERVE, symbols that r_info has
    room for (gABI). A translator of other formats asks this before it calls write_object."""
    return 2 * sections + 8 < 0xFF00 and symbols < 1 << 23


class _Part(NamedTuple):
    """A section of the file. size: in memory, where it is not that of the data."""

    name: str
    type: int
    data: bytes
    flags: int = 0
    link: int = 0
    info: int = 0
    alignment: int = 1
    entry_size: int = 0
    size: int | None = None


def write_object(
    machine: Machine, sections: Sequence[ObjectSection] = (), symbols: Sequence[ObjectSymbol] = ()
) -> bytes:
    """The bytes of an ET_REL object.

    Symbols keep their order, except that local ones come first (gABI: sh_info is the first that is not local).
    Raises KeyError on a relocation or symbol that names a symbol or section which is not there: a defect of the caller.
    """
    elf_class = elf.class_of(machine)
    strings = StringTableBuilder()
    numbers = {section.name: number for number, section in enumerate(sections, 1)}
    numbers |= {UNDEFINED: SHN_UNDEF, ABSOLUTE: SHN_ABS, COMMON: SHN_COMMON}
    # sorted() is stable: locals first, otherwise the caller's order
    ordered = sorted(symbols, key=lambda symbol: symbol.binding != STB_LOCAL)
    table = _symbol_table(elf_class, ordered, strings, numbers)
    relocated = [section for section in sections if section.relocations]
    symtab = len(sections) + 2 + len(relocated)  # behind the null section, the sections and the stack note
    parts = [_part(elf_class, section) for section in sections]
    parts.append(_Part(_STACK_NOTE, SHT_PROGBITS, b""))
    index_of = {symbol.name: number for number, symbol in enumerate(ordered, 1)} if relocated else {}
    for section in relocated:
        parts.append(_relocation_part(elf_class, section, index_of, symtab, numbers[section.name]))
    first_global = 1 + sum(symbol.binding == STB_LOCAL for symbol in ordered)
    size, word = elf_class.symbol.size, elf_class.word
    parts.append(_Part(".symtab", SHT_SYMTAB, table, 0, symtab + 1, first_global, word, size))
    for part in parts:
        strings.add(part.name)
    strings.add(".strtab")
    parts.append(_Part(".strtab", SHT_STRTAB, bytes(strings.data)))
    # GNU ld honours SHF_GNU_RETAIN only in objects that say they use GNU extensions
    retained = any(section.flags & SHF_GNU_RETAIN for section in sections)
    return _file(machine, parts, strings, ELFOSABI_GNU if retained else ELFOSABI_NONE)


def _symbol_table(
    elf_class: ElfClass, symbols: Sequence[ObjectSymbol], strings: StringTableBuilder, numbers: dict[str, int]
) -> bytes:
    rows = [bytes(elf_class.symbol.size)]
    for s in symbols:
        info = s.binding << 4 | s.type
        row = ElfSymbol(strings.add(s.name), info, s.visibility, numbers[s.section], s.value, s.size)
        rows.append(elf_class.pack_symbol(row))
    return b"".join(rows)


def _part(elf_class: ElfClass, section: ObjectSection) -> _Part:
    data = _with_addends(section) if _relocation_type(elf_class) == SHT_REL else section.data
    size = section.size if section.type == SHT_NOBITS else None
    return _Part(section.name, section.type, data, section.flags, alignment=section.alignment, size=size)


def _relocation_type(elf_class: ElfClass) -> int:
    return SHT_RELA if elf_class.word == 8 else SHT_REL


def _relocation_part(
    elf_class: ElfClass, section: ObjectSection, index_of: dict[str, int], symtab: int, number: int
) -> _Part:
    """The relocations of a section, which is section `number`."""
    rela = _relocation_type(elf_class) == SHT_RELA
    rows = [
        ElfRelocation(r.offset, r.type, index_of[r.symbol], r.addend if rela else None) for r in section.relocations
    ]
    data = b"".join(map(elf_class.pack_relocation, rows))
    size = (elf_class.rela if rela else elf_class.rel).size
    name = (".rela" if rela else ".rel") + section.name
    return _Part(name, SHT_RELA if rela else SHT_REL, data, SHF_INFO_LINK, symtab, number, elf_class.word, size)


def _file(machine: Machine, parts: Sequence[_Part], strings: StringTableBuilder, osabi: int) -> bytes:
    """ELF header, sections, section headers; the last section has the names."""
    elf_class = elf.class_of(machine)
    position = elf_class.header.size
    body: list[bytes] = []
    headers = [bytes(elf_class.section.size)]
    for part in parts:
        padding = bytes(-position % part.alignment)
        position += len(padding)
        name, size = strings.add(part.name), len(part.data) if part.size is None else part.size
        header = SectionHeader(name, part.type, part.flags, 0, position, size, *part[4:8])
        headers.append(elf_class.section.pack(*header))
        body += (padding, part.data)
        position += len(part.data)
    body.append(bytes(-position % elf_class.word))
    position += len(body[-1])
    return b"".join((_elf_header(machine, position, len(headers), osabi), *body, *headers))


def _elf_header(machine: Machine, sections_at: int, count: int, osabi: int) -> bytes:
    elf_class = elf.class_of(machine)
    ident = elf.identification(machine, osabi)
    size, section_size = elf_class.header.size, elf_class.section.size
    fields = (
        elf.ET_REL,
        machine.value,
        elf.EV_CURRENT,
        0,
        0,
        sections_at,
        0,
        size,
        0,
        0,
        section_size,
        count,
        count - 1,
    )
    return elf_class.header.pack(ident, *fields)


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
    elf_class = elf.class_of(machine)
    names, at = [_FIRST_NAMES], len(_FIRST_NAMES)
    table = [bytes(elf_class.symbol.size)]
    narrow, pack = elf_class.word == 4, elf_class.symbol.pack
    for name, value, size, info, section in symbols:
        if narrow:
            table.append(pack(at, value, size, info, 0, section))
        else:
            table.append(pack(at, info, 0, section, value, size))
        text = name.encode("utf-8", "surrogateescape")
        names += (text, b"\0")
        at += len(text) + 1
    start, word = elf_class.header.size, elf_class.word
    table_size = len(table) * elf_class.symbol.size
    names_at = start + table_size
    padding = -(names_at + at) % word
    header = elf_class.section.pack
    parts = [_elf_header(machine, names_at + at + padding, 4, ELFOSABI_NONE), *table, *names]
    parts.append(bytes(padding + elf_class.section.size))  # the null section's header is zeroes
    parts.append(header(1, SHT_PROGBITS, 0, 0, start, 0, 0, 0, 1, 0))
    parts.append(header(17, SHT_SYMTAB, 0, 0, start, table_size, 3, 1, word, elf_class.symbol.size))
    parts.append(header(25, SHT_STRTAB, 0, 0, names_at, at, 0, 0, 1, 0))
    return b"".join(parts)


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

"""What a dynamic linker reads of an ELF file: exports and imports with their symbol versions, needed libraries, relocated places.

Sources: System V ABI, chapter 5; GNU symbol versioning (.gnu.version, .gnu.version_d, .gnu.version_r) as described in the
Linux Standard Base, chapter 10.7.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from uselib.linker.formats.elf import (
    PT_DYNAMIC,
    PT_GNU_RELRO,
    PT_INTERP,
    PT_LOAD,
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHN_ABS,
    SHN_LORESERVE,
    SHN_UNDEF,
    SHT_DYNAMIC,
    SHT_DYNSYM,
    SHT_REL,
    SHT_RELA,
    STB_GLOBAL,
    STB_GNU_UNIQUE,
    STB_WEAK,
    STT_FUNC,
    STT_GNU_IFUNC,
    STT_NOTYPE,
    STT_OBJECT,
    STT_TLS,
    STV_HIDDEN,
    STV_INTERNAL,
    ElfFile,
    bad,
)
from uselib.linker.image import Segment

SHT_RELR, SHT_VERDEF, SHT_VERNEED, SHT_VERSYM = 19, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
DT_NULL, DT_NEEDED, DT_SONAME, DT_FLAGS_1 = 0, 1, 14, 0x6FFFFFFB
DF_1_PIE = 0x08000000
_HIDDEN_VISIBILITIES = frozenset((STV_HIDDEN, STV_INTERNAL))
_HIDDEN = 0x8000  # in .gnu.version: not the default version of its name
_BINDINGS = frozenset((STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE))
_TYPES = frozenset((STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_GNU_IFUNC, STT_TLS, 5))
# Symbols that link editors define at section boundaries in every file; they belong to no interface.
_LINKER_MADE_TEXT = """
    _init _fini _edata edata _end end __bss_start _etext etext _DYNAMIC _GLOBAL_OFFSET_TABLE_ _PROCEDURE_LINKAGE_TABLE_"""
_LINKER_MADE = frozenset(_LINKER_MADE_TEXT.split())


@dataclass(frozen=True, slots=True)
class DynamicSymbol:
    """version: empty without one. indirect: an IFUNC, whose address is that of its resolver. library: that an import's version names."""

    name: str
    address: int
    size: int
    function: bool
    weak: bool = False
    version: str = ""
    default: bool = True
    indirect: bool = False
    thread_local: bool = False
    library: str = ""


@dataclass(frozen=True)
class Dynamic:
    """relocated: addresses of the words that relocations fill, ascending. versions: those the file defines, in order."""

    soname: str
    needed: tuple[str, ...]
    exports: tuple[DynamicSymbol, ...]
    imports: tuple[DynamicSymbol, ...]
    versions: tuple[str, ...]
    segments: tuple[Segment, ...]
    relro: tuple[int, int]
    relocated: list[int]


def read(file: ElfFile) -> Dynamic:
    """Raises FormatError if the file is damaged, or has no dynamic symbols where it should."""
    segments, relro, dynamic, _ = _segments(file)
    soname, needed, _ = _tags(file)
    versions, names, libraries = _versions(file)
    exports, imports = _symbols(file, names, libraries)
    if dynamic and not any(section.type == SHT_DYNSYM for section in file.sections):
        raise bad(
            file.where,
            "it has no section headers for its dynamic symbols: they were stripped",
            "give the file as it was linked",
        )
    relocated = _relocated(file) if exports else []
    return Dynamic(soname, needed, exports, imports, versions, segments, relro, relocated)


def is_program(file: ElfFile) -> bool:
    """Whether an ET_DYN file is a position-independent program and not a library. The C library has an interpreter too, but also a soname.

    Raises FormatError.
    """
    soname, _, flags = _tags(file)
    return not soname and (bool(flags & DF_1_PIE) or _segments(file)[3])


def _segments(file: ElfFile) -> tuple[tuple[Segment, ...], tuple[int, int], bool, bool]:
    at, size, count = file.program_headers
    record = file.elf_class.segment
    if count and (size != record.size or at + size * count > len(file.data)):
        raise bad(file.where, "damaged program headers")
    loads: list[Segment] = []
    relro = (0, 0)
    dynamic = interpreter = False
    for kind, flags, offset, address, file_size, memory_size, alignment in file.elf_class.segments(
        file.data[at : at + size * count]
    ):
        if kind == PT_LOAD:
            if offset + file_size > len(file.data) or file_size > memory_size:
                raise bad(file.where, "truncated: a segment lies beyond the end of the file")
            loads.append(Segment(address, memory_size, offset, file_size, flags & 7, alignment or 1))
        elif kind == PT_GNU_RELRO:
            relro = (address, address + memory_size)
        dynamic |= kind == PT_DYNAMIC
        interpreter |= kind == PT_INTERP
    return tuple(sorted(loads, key=lambda s: s.address)), relro, dynamic, interpreter


def _tags(file: ElfFile) -> tuple[str, tuple[str, ...], int]:
    """DT_SONAME, DT_NEEDED and DT_FLAGS_1."""
    soname, needed, flags = "", [], 0
    for index, section in enumerate(file.sections):
        if section.type != SHT_DYNAMIC:
            continue
        word = file.elf_class.word
        strings = file.strings(section.link)
        for tag, value in struct.iter_unpack("<QQ" if word == 8 else "<II", file.records(index, 2 * word)):
            if tag == DT_NULL:
                break
            if tag == DT_NEEDED:
                needed.append(strings[value])
            elif tag == DT_SONAME:
                soname = strings[value]
            elif tag == DT_FLAGS_1:
                flags = value
        break
    return soname, tuple(needed), flags


def _versions(file: ElfFile) -> tuple[tuple[str, ...], dict[int, str], dict[int, str]]:
    """Versions defined; name by index (defined and needed); the library that a needed one comes from."""
    defined: list[str] = []
    names: dict[int, str] = {}
    libraries: dict[int, str] = {}
    for index, section in enumerate(file.sections):
        kind = section.type
        if kind not in (SHT_VERDEF, SHT_VERNEED):
            continue
        strings, content = file.strings(section.link), file.content(index)
        try:
            at = 0
            for _ in range(section.info):
                if kind == SHT_VERDEF:  # version, flags, index, count, hash, aux, next; then name, next
                    _, flags, number, _, _, aux, following = struct.unpack_from("<HHHHIII", content, at)
                    (name_at,) = struct.unpack_from("<I", content, at + aux)
                    names[number & 0x7FFF] = strings[name_at]
                    if not flags & 1:  # VER_FLG_BASE: the file itself
                        defined.append(strings[name_at])
                else:  # version, count, file, aux, next; then hash, flags, other, name, next
                    _, count, library, aux, following = struct.unpack_from("<HHIII", content, at)
                    below = at + aux
                    for _ in range(count):
                        _, _, number, name_at, after = struct.unpack_from("<IHHII", content, below)
                        names[number & 0x7FFF] = strings[name_at]
                        libraries[number & 0x7FFF] = strings[library]
                        below += after
                if not following:
                    break
                at += following
        except struct.error:
            raise bad(file.where, "its symbol version tables are damaged") from None
    return tuple(defined), names, libraries


def _symbols(
    file: ElfFile, names: dict[int, str], libraries: dict[int, str]
) -> tuple[tuple[DynamicSymbol, ...], tuple[DynamicSymbol, ...]]:
    """The exports and imports of .dynsym. names, libraries: of versions, by number."""
    table = next((index for index, section in enumerate(file.sections) if section.type == SHT_DYNSYM), None)
    return ((), ()) if table is None else _symbols_of(file, table, names, libraries)


def _symbols_of(
    file: ElfFile, table: int, names: dict[int, str], libraries: dict[int, str]
) -> tuple[tuple[DynamicSymbol, ...], tuple[DynamicSymbol, ...]]:
    exports: list[DynamicSymbol] = []
    imports: list[DynamicSymbol] = []
    code = [bool(section.flags & SHF_EXECINSTR) for section in file.sections]
    strings = file.strings(file.sections[table].link)
    version_names = frozenset(names.values())
    symbols = file.symbols(table)
    numbers = _version_numbers(file, table, len(symbols)) or (1,) * len(symbols)
    for row, (symbol, number) in enumerate(zip(symbols, numbers, strict=False)):
        name_at, info, other, shndx, value, size = symbol
        kind, binding = info & 15, info >> 4
        if not name_at or binding not in _BINDINGS or kind not in _TYPES:
            continue
        own = number & 0x7FFF
        if own > 1 and own not in names:
            raise bad(file.where, f"symbol {row} has version {own}, which no table names")
        name, version = strings[name_at], names[own] if own > 1 else ""
        function, weak = kind in (STT_FUNC, STT_GNU_IFUNC), binding == STB_WEAK
        if shndx == SHN_UNDEF:
            library = libraries.get(own, "")
            imports.append(DynamicSymbol(name, value, size, function, weak, version, library=library))
            continue
        is_version = shndx == SHN_ABS and not value and name in version_names  # the name of a version itself
        if is_version or not own or other & 3 in _HIDDEN_VISIBILITIES or name in _LINKER_MADE:
            continue
        function = (_in_code(file, shndx, code) and kind == STT_NOTYPE) or function
        flags = not number & _HIDDEN, kind == STT_GNU_IFUNC, kind == STT_TLS
        exports.append(DynamicSymbol(name, value, size, function, weak, version, *flags))
    return tuple(exports), tuple(imports)


def _in_code(file: ElfFile, section: int, code: list[bool]) -> bool:
    """Whether a section number is that of code. Raises FormatError for a number that no section has."""
    if section >= SHN_LORESERVE:
        return False
    if section >= len(code):
        raise bad(file.where, f"a symbol lies in section {section} of {len(code)}")
    return code[section]


def _version_numbers(file: ElfFile, table: int, count: int) -> tuple[int, ...]:
    for index, section in enumerate(file.sections):
        if section.type == SHT_VERSYM and section.link == table:
            content = file.records(index, 2)
            if len(content) < 2 * count:
                raise bad(file.where, "its table of symbol versions is shorter than its symbols")
            return struct.unpack_from(f"<{count}H", content)
    return ()


def _relocated(file: ElfFile) -> list[int]:
    """The addresses of words that relocations fill when the file is loaded."""
    result: list[int] = []
    word = file.elf_class.word
    for index, section in enumerate(file.sections):
        if not section.flags & SHF_ALLOC:
            continue
        if section.type in (SHT_REL, SHT_RELA):
            result += [row[0] for row in file.relocations(index)]
        elif section.type == SHT_RELR:
            content = file.records(index, word)
            at = 0
            for entry in struct.unpack(f"<{len(content) // word}{'Q' if word == 8 else 'I'}", content):
                if entry & 1:  # a bit for each of the words that follow
                    result += [at + bit * word for bit in range(8 * word - 1) if entry >> bit + 1 & 1]
                    at += (8 * word - 1) * word
                else:
                    result.append(entry)
                    at = entry + word
    result.sort()
    return result

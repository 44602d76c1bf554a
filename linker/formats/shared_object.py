"""Shared objects as inputs of a link: what one is called, needs, defines and refers to, by its section headers.

Source: gABI, chapter 5 ("Dynamic Section"); LSB core, "Symbol Versioning" (Elf_Verdef, Elf_Verneed, .gnu.version).
"""

from __future__ import annotations

import struct

from uselib.linker.formats import elf
from uselib.linker.formats.elf import ElfFile
from uselib.linker.formats.string_table import StringTable
from uselib.linker.quick_dataclass import NamedTuple

SHT_GNU_HASH, SHT_GNU_VERDEF, SHT_GNU_VERNEED, SHT_GNU_VERSYM = 0x6FFFFFF6, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
DT_NULL, DT_NEEDED, DT_SONAME, DT_RPATH, DT_RUNPATH = 0, 1, 14, 15, 29
DT_AUDIT, DT_FLAGS_1 = 0x6FFFFEFC, 0x6FFFFFFB
DF_1_PIE = 0x08000000
VERSYM_HIDDEN, VER_NDX_LOCAL, VER_NDX_GLOBAL = 0x8000, 0, 1
VER_FLG_BASE, VER_FLG_WEAK = 1, 2
_VERDEF = struct.Struct("<HHHHIII")  # version, flags, index, count of names, hash, offset of names, offset of the next
_VERDAUX = struct.Struct("<II")  # name, offset of the next


class SharedSymbol(NamedTuple):
    """A definition in a shared object. version: empty if it has none; default: `name@@version`, which an unversioned reference gets."""

    name: str
    version: str
    default: bool
    type: int
    binding: int
    visibility: int
    section: int
    value: int
    size: int


class SharedObject(NamedTuple):
    """What a link takes from a shared object. read_only (once it is relocated), alignments: of its sections, by index."""

    where: str
    soname: str  # the file's name if it has none
    needed: tuple[str, ...]
    defined: tuple[SharedSymbol, ...]
    undefined: tuple[tuple[str, bool], ...]  # name, whether the reference is weak
    read_only: tuple[bool, ...]
    alignments: tuple[int, ...]
    runpath: tuple[str, ...] = ()  # DT_RUNPATH or DT_RPATH
    audit: tuple[str, ...] = ()  # DT_AUDIT

    def alignment_of(self, symbol: SharedSymbol) -> int:
        """Of a copy of this variable: its section's, as far as its address allows (as GNU ld and lld do)."""
        limit = self.alignments[symbol.section] if symbol.section < len(self.alignments) else 1
        own = symbol.value & -symbol.value if symbol.value else limit
        return max(1, min(limit, own))


def is_shared(data: memoryview) -> bool:
    """Whether an ELF file is a shared object (e_type)."""
    return len(data) >= 18 and data[16] == elf.ET_DYN


def read_shared_object(data: memoryview, where: str, name: str) -> SharedObject:
    """Reads a shared object; name: that of the file, as the command line has it. Raises FormatError where it is damaged."""
    file = ElfFile(data, where)
    if file.kind != elf.ET_DYN:
        raise elf.bad(where, "is not a shared object")
    by_type = {header.type: index for index, header in reversed(list(enumerate(file.sections)))}
    if elf.SHT_DYNSYM not in by_type or elf.SHT_DYNAMIC not in by_type:
        raise elf.bad(
            where,
            "has no table of dynamic symbols",
            "take a shared object that was not stripped of its section headers",
        )
    names = _names(file, by_type[elf.SHT_DYNAMIC])
    table = by_type[elf.SHT_DYNSYM]
    strings = file.strings(file.sections[table].link)
    versions, nodes = _versions(file, by_type, strings)
    defined: list[SharedSymbol] = []
    undefined: list[tuple[str, bool]] = []
    for number, symbol in enumerate(file.symbols(table)):
        if not number or symbol.binding == elf.STB_LOCAL:
            continue
        text = strings[symbol.name]
        if not symbol.section:
            undefined.append((text, symbol.binding == elf.STB_WEAK))
            continue
        if symbol.other & 3 in (elf.STV_HIDDEN, elf.STV_INTERNAL):
            continue
        raw = versions[number] if number < len(versions) else VER_NDX_GLOBAL
        index = raw & ~VERSYM_HIDDEN
        if index == VER_NDX_LOCAL:
            continue
        version = nodes.get(index, "") if index > VER_NDX_GLOBAL else ""
        defined.append(
            SharedSymbol(
                text,
                version,
                not raw & VERSYM_HIDDEN,
                symbol.type,
                symbol.binding,
                symbol.other & 3,
                symbol.section,
                symbol.value,
                symbol.size,
            )
        )
    relro = [(p.address, p.address + p.memory_size) for p in file.segments() if p.type == elf.PT_GNU_RELRO]
    read_only = tuple(
        not header.flags & elf.SHF_WRITE or any(start <= header.address < end for start, end in relro)
        for header in file.sections
    )
    alignments = tuple(max(header.alignment, 1) for header in file.sections)
    return SharedObject(
        where,
        names.soname or name,
        names.needed,
        tuple(defined),
        tuple(undefined),
        read_only,
        alignments,
        names.runpath,
        names.audit,
    )


class _DynamicStrings(NamedTuple):
    """The strings of .dynamic."""

    soname: str
    needed: tuple[str, ...]
    runpath: tuple[str, ...]
    audit: tuple[str, ...]


def _names(file: ElfFile, index: int) -> _DynamicStrings:
    strings = file.strings(file.sections[index].link)
    entry = struct.Struct("<QQ" if file.elf_class.word == 8 else "<II")
    found: dict[int, list[str]] = {tag: [] for tag in (DT_NEEDED, DT_SONAME, DT_RPATH, DT_RUNPATH, DT_AUDIT)}
    for tag, value in entry.iter_unpack(file.records(index, entry.size)):
        if tag == DT_NULL:
            break
        if tag in found:
            found[tag].append(strings[value])
        elif tag == DT_FLAGS_1 and value & DF_1_PIE:
            raise elf.bad(file.where, "a position-independent program, not a shared object or a relocatable object")
    paths = [*found[DT_RUNPATH], *found[DT_RPATH]][:1]
    runpath = tuple(filter(None, "".join(paths).split(":")))
    return _DynamicStrings("".join(found[DT_SONAME][-1:]), tuple(found[DT_NEEDED]), runpath, tuple(found[DT_AUDIT]))


def _versions(
    file: ElfFile, by_type: dict[int, int], strings: StringTable
) -> tuple[memoryview | list[int], dict[int, str]]:
    """.gnu.version by symbol number; the names of the versions defined here, by index."""
    if SHT_GNU_VERSYM not in by_type:
        return [], {}
    numbers = file.records(by_type[SHT_GNU_VERSYM], 2).cast("H")
    nodes: dict[int, str] = {}
    if SHT_GNU_VERDEF in by_type:
        content = file.content(by_type[SHT_GNU_VERDEF])
        at = 0
        try:
            for _ in range(file.sections[by_type[SHT_GNU_VERDEF]].info):
                _, flags, index, _, _, names, following = _VERDEF.unpack_from(content, at)
                if not flags & VER_FLG_BASE:
                    nodes[index] = strings[_VERDAUX.unpack_from(content, at + names)[0]]
                at += following
        except struct.error:
            raise elf.bad(file.where, "its table of version definitions is damaged") from None
    return numbers, nodes

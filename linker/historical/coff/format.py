"""COFF of System V Release 3 on i386: objects, executables, target libraries.

    file header     20 bytes: u16 magic 0x14c, u16 sections, u32 time, u32 offset of the symbols, u32 their count, u16 size of the optional
                    header, u16 flags
    optional header 28 bytes: u16 magic (0413 executable, 0443 target library, 0407 impure), u16 version, u32 sizes of text, data and bss,
                    u32 entry, u32 start of text, u32 start of data
    section header  40 bytes: name[8], u32 paddr, vaddr, size, offsets of contents, relocations and line numbers, u16 counts of these,
                    u32 flags
    relocation      10 bytes: u32 vaddr, u32 symbol, u16 type.  A field holds the old value of its symbol (of a common one: its size) plus the
                    addend; a pc-relative one, less the old address behind the field
    symbol          18 bytes: name[8] (or u32 0, u32 offset in the strings), u32 value, i16 section (0 undefined or common, -1 absolute,
                    -2 debugging), u16 type, u8 class, u8 count of auxiliary entries that follow
    strings         u32 total size, then NUL-ended names

`.lib` section (STYP_LIB, paddr = number of libraries), for each: u32 size of the record, u32 offset of the path in it, both in words of 4
bytes, then the path, NUL-ended and padded.

Source: coff(4) and docs/historical-systems.md, System V Release 3. Bytes <-> dataclasses; no policy, no I/O.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats.magic import is_coff as is_coff
from uselib.linker.quick_typing import NoReturn

I386MAGIC = 0x14C
F_RELFLG, F_EXEC, F_LNNO, F_LSYMS, F_AR32WR = 0x1, 0x2, 0x4, 0x8, 0x100
OMAGIC, ZMAGIC, LIBMAGIC = 0o407, 0o413, 0o443
STYP_TEXT, STYP_DATA, STYP_BSS, STYP_INFO, STYP_LIB = 0x20, 0x40, 0x80, 0x200, 0x800
STYP_NOLOAD, STYP_DSECT = 0x2, 0x1
C_EXT, C_STAT, C_LABEL, C_FILE = 2, 3, 6, 103
N_UNDEF, N_ABS, N_DEBUG = 0, -1, -2
R_ABS, R_DIR16, R_DIR32, R_RELBYTE, R_RELWORD, R_PCRBYTE, R_PCRWORD, R_PCRLONG = 0, 1, 6, 15, 16, 18, 19, 20

_FILE = struct.Struct("<HHIIIHH")
_OPTIONAL = struct.Struct("<HHIIIIII")
_SECTION = struct.Struct("<8sIIIIIIHHI")
_RELOCATION = struct.Struct("<IIH")
_SYMBOL = struct.Struct("<8sIhHBB")


@dataclass(frozen=True, slots=True)
class OptionalHeader:
    magic: int
    text_size: int = 0
    data_size: int = 0
    bss_size: int = 0
    entry: int = 0
    text_start: int = 0
    data_start: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class CoffRelocation:
    """address: the section's address plus the offset. symbol: index, auxiliary entries counted."""

    address: int
    symbol: int
    type: int


@dataclass(frozen=True, slots=True)
class CoffSection:
    """content: empty for bss. paddr: of `.lib` the number of libraries, else the address. file_offset: where the contents lie."""

    name: str
    address: int
    size: int
    flags: int
    content: bytes = b""
    relocations: tuple[CoffRelocation, ...] = ()
    paddr: int | None = None
    file_offset: int = 0


@dataclass(frozen=True, slots=True)
class CoffSymbol:
    """section: number from 1, or N_UNDEF, N_ABS, N_DEBUG. index: in the table, auxiliary entries counted; set by decode."""

    name: str
    value: int
    section: int
    storage: int = C_EXT
    type: int = 0
    auxiliary: bytes = b""
    index: int = 0

    @property
    def common(self) -> int:
        """Size of a common symbol, or 0."""
        return self.value if self.section == N_UNDEF and self.storage == C_EXT else 0


@dataclass(frozen=True)
class Coff:
    """A whole file."""

    sections: tuple[CoffSection, ...]
    symbols: tuple[CoffSymbol, ...] = ()
    optional: OptionalHeader | None = None
    flags: int = F_AR32WR


@dataclass(frozen=True, slots=True)
class LibraryRecord:
    """A record of `.lib`."""

    path: str


def _bad(where: str, message: str) -> NoReturn:
    raise FormatError(Diagnostic(where, message))


def decode_headers(data: bytes, where: str) -> Coff:
    """File header, optional header and section headers, without contents and symbols: what exec reads. Raises FormatError."""
    if not is_coff(data):
        _bad(where, "is not a COFF file for i386")
    _, count, _, _, _, optional_size, flags = _FILE.unpack_from(data)
    at = _FILE.size
    if at + optional_size + count * _SECTION.size > len(data):
        _bad(where, "is truncated: it ends within its section headers")
    optional = None
    if optional_size:
        magic, version, text, content, bss, entry, text_start, data_start = _OPTIONAL.unpack_from(data, at)
        optional = OptionalHeader(magic, text, content, bss, entry, text_start, data_start, version)
    at += optional_size
    sections = []
    for index in range(count):
        name, paddr, vaddr, size, offset, _, _, _, _, styp = _SECTION.unpack_from(data, at + index * _SECTION.size)
        sections.append(
            CoffSection(name.rstrip(b"\0").decode("latin-1"), vaddr, size, styp, paddr=paddr, file_offset=offset)
        )
    return Coff(tuple(sections), (), optional, flags)


def _part(data: bytes, offset: int, size: int, what: str, where: str) -> bytes:
    if offset + size > len(data):
        _bad(where, f"is truncated: {what} ends at {offset + size:#x}, the file at {len(data):#x}")
    return bytes(data[offset : offset + size])


def decode(data: bytes, where: str) -> Coff:
    """Reads the whole file. Raises FormatError: not COFF, truncated, symbols or relocations that lead outside."""
    headers = decode_headers(data, where)
    _, count, _, symbols_at, symbol_count, optional_size, _ = _FILE.unpack_from(data)
    table = _part(data, symbols_at, symbol_count * _SYMBOL.size, "its symbol table", where) if symbol_count else b""
    strings_at = symbols_at + len(table)
    strings = b""
    if symbol_count and strings_at + 4 <= len(data):
        size = int.from_bytes(data[strings_at : strings_at + 4], "little")
        strings = _part(data, strings_at, max(size, 4), "its string table", where)
    symbols = _symbols(table, strings, count, where)
    sections = []
    claimed = 0  # bytes of contents and relocations: sections that overlap in the file could make a small file large in memory
    for index, section in enumerate(headers.sections):
        at = _FILE.size + optional_size + index * _SECTION.size
        _, _, _, size, offset, relocations_at, _, relocation_count, _, styp = _SECTION.unpack_from(data, at)
        content = b""
        if not styp & STYP_BSS and offset and size:
            content = _part(data, offset, size, f"section {section.name}", where)
        raw = _part(data, relocations_at, relocation_count * _RELOCATION.size, f"relocations of {section.name}", where)
        claimed += len(content) + len(raw)
        if claimed > len(data):
            _bad(where, f"is damaged: its sections have more bytes together than the file ({len(data):#x})")
        rows = tuple(CoffRelocation(*row) for row in _RELOCATION.iter_unpack(raw))
        for row in rows:
            if row.symbol >= symbol_count:
                _bad(where, f"has a relocation in {section.name} for symbol {row.symbol} of {symbol_count}")
        sections.append(
            CoffSection(section.name, section.address, size, styp, content, rows, section.paddr, section.file_offset)
        )
    return Coff(tuple(sections), symbols, headers.optional, headers.flags)


def _symbols(table: bytes, strings: bytes, sections: int, where: str) -> tuple[CoffSymbol, ...]:
    found = []
    index, count = 0, len(table) // _SYMBOL.size
    while index < count:
        raw, value, section, type_, storage, auxiliary = _SYMBOL.unpack_from(table, index * _SYMBOL.size)
        if raw[:4] == bytes(4) and raw[4:] != bytes(4):
            offset = int.from_bytes(raw[4:], "little")
            end = strings.find(b"\0", offset)
            if offset < 4 or end < 0:
                _bad(where, f"symbol {index} has its name at {offset:#x}, outside the strings")
            name = strings[offset:end]
        else:
            name = raw.rstrip(b"\0")
        if index + auxiliary >= count and auxiliary:
            _bad(where, f"symbol {index} has {auxiliary} auxiliary entries beyond the table")
        if not N_DEBUG <= section <= sections:
            _bad(where, f"symbol {index} lies in section {section} of {sections}")
        start = (index + 1) * _SYMBOL.size
        more = table[start : start + auxiliary * _SYMBOL.size]
        found.append(CoffSymbol(name.decode("latin-1"), value, section, storage, type_, more, index))
        index += 1 + auxiliary
    return tuple(found)


def encode(file: Coff, align: int = 4) -> bytes:
    """The file's bytes. align: of contents in the file (a page for what exec maps, with addresses congruent to their offsets)."""
    optional = b""
    if file.optional is not None:
        o = file.optional
        optional = _OPTIONAL.pack(
            o.magic, o.version, o.text_size, o.data_size, o.bss_size, o.entry, o.text_start, o.data_start
        )
    position = _FILE.size + len(optional) + _SECTION.size * len(file.sections)
    body = bytearray()
    offsets = []
    start = position
    for section in file.sections:
        offset = 0
        if section.content:
            here = start + len(body)
            target = (
                here + (section.address - here) % align
                if align > 4 and not section.flags & STYP_LIB
                else (here + 3) & -4
            )
            body += bytes(target - here) + section.content
            offset = target
        offsets.append(offset)
    relocation_offsets = []
    for section in file.sections:
        relocation_offsets.append(start + len(body) if section.relocations else 0)
        body += b"".join(_RELOCATION.pack(r.address, r.symbol, r.type) for r in section.relocations)
    body += bytes(-(start + len(body)) % 4)
    symbols_at = start + len(body)
    strings = bytearray(4)
    count = 0
    for symbol in file.symbols:
        name = symbol.name.encode("latin-1")
        if len(name) > 8:
            raw = bytes(4) + len(strings).to_bytes(4, "little")
            strings += name + b"\0"
        else:
            raw = name.ljust(8, b"\0")
        auxiliary = len(symbol.auxiliary) // _SYMBOL.size
        body += _SYMBOL.pack(raw, symbol.value & 0xFFFF_FFFF, symbol.section, symbol.type, symbol.storage, auxiliary)
        body += symbol.auxiliary
        count += 1 + auxiliary
    strings[:4] = len(strings).to_bytes(4, "little")
    headers = bytearray(
        _FILE.pack(I386MAGIC, len(file.sections), 0, symbols_at if count else 0, count, len(optional), file.flags)
    )
    headers += optional
    for section, offset, relocations in zip(file.sections, offsets, relocation_offsets, strict=True):
        paddr = section.address if section.paddr is None else section.paddr
        headers += _SECTION.pack(
            section.name.encode("latin-1"),
            paddr,
            section.address,
            section.size,
            offset,
            relocations,
            0,  # offset of line numbers
            len(section.relocations),
            0,  # count of line numbers
            section.flags,
        )
    return bytes(headers + body + (strings if count else b""))


# -- .lib ------------------------------------------------------------------------------------------------------------------


def encode_library(path: str) -> bytes:
    """One record of `.lib`."""
    raw = path.encode("utf-8", "surrogateescape") + b"\0"
    raw += bytes(-len(raw) % 4)
    return struct.pack("<II", 2 + len(raw) // 4, 2) + raw


def decode_libraries(content: bytes, where: str) -> tuple[LibraryRecord, ...]:
    """The records of `.lib`, with the kernel's checks: the path's offset lies within what is left, and within the record. Raises
    FormatError."""
    found = []
    at = 0
    while at < len(content):
        left = len(content) - at
        if left < 8:
            _bad(where, f".lib ends within a record, at offset {at:#x}")
        words, path = struct.unpack_from("<II", content, at)
        if not path * 4 < left or not words > path or words * 4 > left:
            _bad(where, f".lib has a record of {words} words with its path at word {path}, {left} bytes before the end")
        raw = content[at + 4 * path : at + 4 * words]
        end = raw.find(b"\0")
        if end <= 0:
            _bad(where, f".lib has a record at {at:#x} whose path is empty or has no end")
        found.append(LibraryRecord(raw[:end].decode("utf-8", "surrogateescape")))
        at += 4 * words
    return tuple(found)

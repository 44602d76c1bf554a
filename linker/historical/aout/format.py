"""a.out of Linux on i386: executables, libraries and objects, as in the kernels from 0.99 to 5.18 and the linkers of that time.

    exec header, 32 bytes, eight little-endian u32:
        a_info (magic | machine << 16 | flags << 24), a_text, a_data, a_bss, a_syms, a_entry, a_trsize, a_drsize
    text, data, text relocations, data relocations, symbols (nlist, 12 bytes each), strings (u32 total size, then NUL-ended)

    magic           text in the file at   text in memory at               data in memory at
    OMAGIC 0407     32                    0                               directly behind the text
    NMAGIC 0410     32                    0                               on the next page
    ZMAGIC 0413     1024                  0; a library: its a_entry       directly behind the text, which fills pages as a rule
    QMAGIC 0314     0 (header included)   0x1000; a library: its a_entry  on the next page

    nlist: u32 string offset, u8 type, i8 other, i16 desc, u32 value
        type: N_EXT 1; UNDF 0 (value: size of a common), ABS 2, TEXT 4, DATA 6, BSS 8, INDR 10, SETA 20, SETT 22, SETD 24, SETB 26,
        SETV 28, WARNING 30; any of the bits 0xe0: a debugging entry (stab)
    relocation: i32 address in the section, then 32 bits: symbol or section number:24, pcrel:1, length (log2 of bytes):2, extern:1, 4 unused

Sources: include/linux/a.out.h, fs/binfmt_aout.c of Linux; a.out(5). Bytes <-> dataclasses; no policy, no I/O.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, replace

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats.magic import is_aout as is_aout
from uselib.linker.image import EXEC, PAGE, READ, WRITE, Segment
from uselib.linker.quick_typing import NoReturn

_HEADER = struct.Struct("<8I")
_NLIST = struct.Struct("<IBbhI")
_RELOCATION = struct.Struct("<iI")
HEADER_SIZE = _HEADER.size
M_386 = 100

N_EXT, N_TYPE, N_STAB = 0x01, 0x1E, 0xE0
N_UNDF, N_ABS, N_TEXT, N_DATA, N_BSS, N_INDR = 0, 2, 4, 6, 8, 10
N_SETA, N_SETT, N_SETD, N_SETB, N_SETV, N_WARNING = 20, 22, 24, 26, 28, 30


def word(value: int) -> bytes:
    """A field of 32 bits; higher bits are cut off, so that differences of addresses may be negative."""
    return (value & 0xFFFF_FFFF).to_bytes(4, "little")


class Magic(enum.IntEnum):
    OMAGIC = 0o407
    NMAGIC = 0o410
    ZMAGIC = 0o413
    QMAGIC = 0o314


_TEXT_OFFSET = {Magic.OMAGIC: HEADER_SIZE, Magic.NMAGIC: HEADER_SIZE, Magic.ZMAGIC: 1024, Magic.QMAGIC: 0}


@dataclass(frozen=True, slots=True)
class ExecHeader:
    """The exec header. Sizes in bytes; bss has no bytes in the file."""

    magic: Magic
    text: int
    data: int
    bss: int = 0
    symbols: int = 0
    entry: int = 0
    text_relocations: int = 0
    data_relocations: int = 0
    machine: int = M_386
    flags: int = 0

    @property
    def text_offset(self) -> int:
        return _TEXT_OFFSET[self.magic]

    @property
    def data_offset(self) -> int:
        return self.text_offset + self.text

    @property
    def relocation_offset(self) -> int:
        return self.data_offset + self.data

    @property
    def symbol_offset(self) -> int:
        return self.relocation_offset + self.text_relocations + self.data_relocations

    @property
    def string_offset(self) -> int:
        return self.symbol_offset + self.symbols

    @property
    def mapped(self) -> bool:
        """Whether pages of the file are meant to be mapped, so that text and data lie on pages of their own."""
        return self.magic in (Magic.ZMAGIC, Magic.QMAGIC)

    def library_base(self) -> int:
        """Where uselib(2) maps the file, taken for a library: the page of its entry."""
        return self.entry & -PAGE

    def segments(self, base: int | None = None) -> tuple[Segment, ...]:
        """Text, and data with bss behind it, both readable, writable and executable, as kernels of that time mapped them.

        base: that of a library; None for a program. In a ZMAGIC file and in a library, text and data are one range of pages, so data follows
        the text directly, wherever that ends (the genuine libm's text ends within a page).
        """
        start = base if base is not None else PAGE if self.magic is Magic.QMAGIC else 0
        text_end = start + self.text
        joined = base is not None or self.magic in (Magic.OMAGIC, Magic.ZMAGIC)
        data = text_end if joined else (text_end + PAGE - 1) & -PAGE
        flags = READ | WRITE | EXEC
        parts = (
            Segment(start, self.text, self.text_offset, self.text, flags),
            Segment(data, self.data + self.bss, self.data_offset, self.data, flags),
        )
        return tuple(part for part in parts if part.memory_size)

    def encode(self) -> bytes:
        info = int(self.magic) | self.machine << 16 | self.flags << 24
        return _HEADER.pack(
            info, self.text, self.data, self.bss, self.symbols, self.entry, self.text_relocations, self.data_relocations
        )


@dataclass(frozen=True, slots=True)
class AoutSymbol:
    """An nlist entry. value: an address as linked, an offset in the object (text, data and bss follow one another), or a size."""

    name: str
    type: int
    value: int = 0
    other: int = 0
    desc: int = 0

    @property
    def external(self) -> bool:
        return bool(self.type & N_EXT) and not self.stab

    @property
    def stab(self) -> bool:
        return bool(self.type & N_STAB)

    @property
    def kind(self) -> int:
        """N_UNDF, N_ABS, ... (meaningless for stabs)."""
        return self.type & N_TYPE

    @property
    def common(self) -> int:
        """Size of a common symbol, or 0."""
        return self.value if self.external and self.kind == N_UNDF else 0

    @property
    def set_element(self) -> bool:
        """An element of a set vector: the linker collects all of one name into an array (nlist(5))."""
        return not self.stab and N_SETA <= self.kind <= N_SETB


@dataclass(frozen=True, slots=True)
class AoutRelocation:
    """address: offset in its section. number: index of a symbol if `external`, else the N_TEXT, N_DATA, N_BSS or N_ABS that the
    field already points into. size: bytes of the field."""

    address: int
    number: int
    external: bool
    relative: bool = False
    size: int = 4
    flags: int = 0  # the four bits that Linux's linkers leave 0


@dataclass(frozen=True)
class Aout:
    """A whole file."""

    header: ExecHeader
    text: bytes
    data: bytes
    text_relocations: tuple[AoutRelocation, ...] = ()
    data_relocations: tuple[AoutRelocation, ...] = ()
    symbols: tuple[AoutSymbol, ...] = ()


def _bad(where: str, message: str) -> NoReturn:
    raise FormatError(Diagnostic(where, message))


def decode_header(data: bytes, where: str) -> ExecHeader:
    """The exec header, from a file's first 32 bytes. Raises FormatError."""
    if not is_aout(data):
        _bad(where, "is not an a.out file for i386")
    if len(data) < HEADER_SIZE:
        _bad(where, "is truncated: it ends within the a.out header")
    info, text, contents, bss, symbols, entry, text_relocations, data_relocations = _HEADER.unpack_from(data)
    return ExecHeader(
        magic=Magic(info & 0xFFFF),
        text=text,
        data=contents,
        bss=bss,
        symbols=symbols,
        entry=entry,
        text_relocations=text_relocations,
        data_relocations=data_relocations,
        machine=info >> 16 & 0xFF,
        flags=info >> 24,
    )


def _part(data: bytes, offset: int, size: int, what: str, where: str) -> bytes:
    if offset + size > len(data):
        _bad(where, f"is truncated: {what} ends at {offset + size:#x}, the file at {len(data):#x}")
    return bytes(data[offset : offset + size])


def _relocations(raw: bytes, where: str) -> tuple[AoutRelocation, ...]:
    if len(raw) % _RELOCATION.size:
        _bad(where, f"has {len(raw)} bytes of relocations, not a multiple of {_RELOCATION.size}")
    found = []
    for address, word in _RELOCATION.iter_unpack(raw):
        length = word >> 25 & 3
        found.append(
            AoutRelocation(
                address, word & 0xFFFFFF, bool(word >> 27 & 1), bool(word >> 24 & 1), 1 << length, word >> 28
            )
        )
    return tuple(found)


def _symbols(raw: bytes, strings: bytes, where: str) -> tuple[AoutSymbol, ...]:
    if len(raw) % _NLIST.size:
        _bad(where, f"has {len(raw)} bytes of symbols, not a multiple of {_NLIST.size}")
    found = []
    for index, (offset, type_, other, desc, value) in enumerate(_NLIST.iter_unpack(raw)):
        name = ""
        if offset:
            end = strings.find(b"\0", offset)
            if offset < 4 or end < 0:
                _bad(where, f"symbol {index} has its name at {offset:#x}, outside the strings")
            name = strings[offset:end].decode("latin-1")
        found.append(AoutSymbol(name, type_, value, other, desc))
    return tuple(found)


def decode(data: bytes, where: str) -> Aout:
    """Reads the whole file. Raises FormatError: not a.out, truncated, names or relocations that lead outside."""
    header = decode_header(data, where)
    text = _part(data, header.text_offset, header.text, "its text", where)
    contents = _part(data, header.data_offset, header.data, "its data", where)
    at = header.relocation_offset
    text_relocations = _relocations(_part(data, at, header.text_relocations, "its text relocations", where), where)
    at += header.text_relocations
    data_relocations = _relocations(_part(data, at, header.data_relocations, "its data relocations", where), where)
    raw = _part(data, header.symbol_offset, header.symbols, "its symbol table", where)
    strings = b""
    if raw:
        size_field = _part(data, header.string_offset, 4, "its string table", where)
        strings = _part(data, header.string_offset, int.from_bytes(size_field, "little"), "its string table", where)
    return Aout(
        header,
        text,
        contents,
        text_relocations,
        data_relocations,
        _symbols(raw, strings, where),
    )


def encode(file: Aout) -> bytes:
    """The inverse of decode. Sizes in the header are those of the parts. Symbols of one name share a string."""
    strings, offsets = bytearray(4), {"": 0}
    rows = bytearray()
    for symbol in file.symbols:
        if symbol.name not in offsets:
            offsets[symbol.name] = len(strings)
            strings += symbol.name.encode("latin-1") + b"\0"
        rows += _NLIST.pack(offsets[symbol.name], symbol.type, symbol.other, symbol.desc, symbol.value)
    strings[:4] = len(strings).to_bytes(4, "little")
    relocations = [_encode_relocations(part) for part in (file.text_relocations, file.data_relocations)]
    header = replace(
        file.header,
        text=len(file.text),
        data=len(file.data),
        symbols=len(rows),
        text_relocations=len(relocations[0]),
        data_relocations=len(relocations[1]),
    )
    if header.magic is Magic.QMAGIC:  # its text begins with the header itself
        front = header.encode() + file.text[HEADER_SIZE:]
    else:
        front = header.encode() + bytes(header.text_offset - HEADER_SIZE) + file.text
    tail = bytes(rows) + (bytes(strings) if rows else b"")
    return front + file.data + relocations[0] + relocations[1] + tail


def _encode_relocations(relocations: tuple[AoutRelocation, ...]) -> bytes:
    out = bytearray()
    for r in relocations:
        word = r.number | r.relative << 24 | (r.size.bit_length() - 1) << 25 | r.external << 27 | r.flags << 28
        out += _RELOCATION.pack(r.address, word)
    return bytes(out)

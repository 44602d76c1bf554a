"""The four notes of uselib, little-endian and the same on both machines. Note name: "uselib" (7 bytes with its NUL).

    NT_LIBRARY  in a target library, section .note.uselib, on the header page: its identity and what its bootstrap maps
    NT_NEEDS    in a stub library's first object, so in every program linked with it (whichever linker is used) and in
                libraries that depend on it: the identity of the library at link time; one note per library
    NT_BINDINGS written by our ld only, in .note.uselib.bindings, which is not loaded: every (symbol, address) bound
    NT_SCHEME   in a program whose libraries others map (docs/bsdos.md), on its first page: where it keeps its list of them

runtime/include/uselib.h has the same layouts as C structures; tests/linker/formats/test_notes.py compares the two.

NT_LIBRARY descriptor                          NT_NEEDS descriptor
    0 u32 format (1)                               0 u32 format (1)
    4 u32 continuation - base, or 0                4 u32 slot_count at link time
    8 u16 major, minor, patch, e_machine           8 u16 major, minor, patch, e_machine
   16 u64 base                                    16 u64 base
   24 u64 size                                    24 u64 size
   32 u64 bootstrap                               32 u8 digest[32]
   40 u64 jump_table                              64 name, NUL
   48 u32 slot_size
   52 u32 slot_count                           NT_BINDINGS descriptor
   56 u64 init_array                               0 u32 format (1)
   64 u64 fini_array                               4 u32 library count, then u32 offset of each name in strings
   72 u32 init_count                               . u32 binding count, then for each
   76 u32 fini_count                                   u64 address, u32 name offset, u16 library index,
   80 u32 segment_count                                u16 kind (0 function, 1 data)
   84 u32 name_offset       (from the              . u32 size of strings, then strings, NUL after each
   88 u32 dependency_offset  descriptor's start)
   92 u32 dependency_count
   96 u8  digest[32]
  128 segments: u64 address, u64 offset, u64 file_size, u64 memory_size, u32 prot (PROT_*), u32 checksum (of the first; else 0)
    . strings: name NUL, then each dependency's file name NUL

checksum: FNV-1a (32 bits) of the bytes 4-7, 24-47, 56-95 and 128 to the end without the checksum: of the fields that start-up
uses and cannot check in another way.

NT_SCHEME descriptor
    0 u32 format (1)
    4 u32 scheme: 3 kernel, 4 bsdos, 5 interp (runtime/include/uselib.h)
    8 u64 address of the program's struct uselib_program: machine words path, rule, start and end of `.lib`, ...
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.image import (
    EXEC,
    READ,
    WRITE,
    Binding,
    ExportKind,
    Identity,
    LibraryHeader,
    Machine,
    Segment,
    Version,
)
from uselib.linker.quick_dataclass import dataclass
from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.linker.formats.elf import ElfFile

NOTE_NAME = b"uselib\0"
NT_LIBRARY, NT_NEEDS, NT_BINDINGS, NT_SCHEME = 1, 2, 3, 4
FORMAT = 1
SLOT_SIZE = 8
SECTION = ".note.uselib"
_SHT_NOTE = 7
BINDINGS_SECTION = ".note.uselib.bindings"

_LIBRARY = struct.Struct("<II4HQQQQIIQQIIIIII32s")
_SEGMENT = struct.Struct("<QQQQII")
_NEEDS = struct.Struct("<II4HQQ32s")
_BINDING = struct.Struct("<QIHH")
_SCHEME = struct.Struct("<IIQ")
CHECKSUM_OFFSET = 128 + 36  # in the NT_LIBRARY descriptor
_CHECKED = ((4, 8), (24, 48), (56, 96), (128, CHECKSUM_OFFSET), (CHECKSUM_OFFSET + 4, None))  # [start, end)
DIGEST_OFFSET = 96  # of the digest in the NT_LIBRARY descriptor
assert _LIBRARY.size == 128 and _NEEDS.size == 64

# mmap's PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4 against ELF's PF_R 4, PF_W 2, PF_X 1
_PROT = {READ: 1, WRITE: 2, EXEC: 4}


def _prot_of(flags: int) -> int:
    return sum(prot for flag, prot in _PROT.items() if flags & flag)


def _flags_of(prot: int) -> int:
    return sum(flag for flag, value in _PROT.items() if prot & value)


def _pad(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


@dataclass(frozen=True)
class Note:
    """One ELF note: name without NUL padding, type, descriptor, and the descriptor's offset in the section."""

    name: bytes
    type: int
    descriptor: bytes
    offset: int


def encode(note_type: int, descriptor: bytes) -> bytes:
    """An ELF note with our name: Elf_Nhdr (namesz, descsz, type), name and descriptor, each padded to 4 bytes."""
    return struct.pack("<III", len(NOTE_NAME), len(descriptor), note_type) + _pad(NOTE_NAME) + _pad(descriptor)


def notes(data: bytes, where: str) -> Iterator[Note]:
    """The notes of a section or segment. Raises FormatError on one that runs over the end."""
    position = 0
    while position + 12 <= len(data):
        name_size, size, note_type = struct.unpack_from("<III", data, position)
        name_at = position + 12
        at = name_at + ((name_size + 3) & ~3)
        if at + size > len(data):
            raise FormatError(Diagnostic(where, f"a note at offset {position:#x} runs over the end of its section"))
        yield Note(bytes(data[name_at : name_at + name_size]), note_type, bytes(data[at : at + size]), at)
        position = at + ((size + 3) & ~3)


def descriptors(data: bytes, where: str, note_type: int) -> Iterator[bytes]:
    """The descriptors of uselib's notes of one type in a section or segment. Raises FormatError."""
    return (note.descriptor for note in notes(data, where) if note.name == NOTE_NAME and note.type == note_type)


def needs(data: bytes, where: str) -> Iterator[Identity]:
    """The identities in the NT_NEEDS notes of a section or segment, in order. Raises FormatError at the first that is damaged."""
    return (decode_needs(descriptor, where) for descriptor in descriptors(data, where, NT_NEEDS))


def needs_of_object(file: ElfFile) -> list[Identity]:
    """The identities in the NT_NEEDS notes of an ELF object. Raises FormatError."""
    return [
        identity
        for index, section in enumerate(file.sections)
        if section.type == _SHT_NOTE and file.names[section.name] == SECTION
        for identity in needs(bytes(file.content(index)), file.where)
    ]


def _string(data: bytes, offset: int, where: str) -> str:
    end = data.find(b"\0", offset)
    if offset >= len(data) or end < 0:
        raise FormatError(Diagnostic(where, f"a uselib note has a string at {offset:#x} without an end"))
    return data[offset:end].decode("utf-8", "replace")


def _machine(value: int, where: str) -> Machine:
    try:
        return Machine(value)
    except ValueError:
        raise FormatError(
            Diagnostic(where, f"a uselib note names machine {value}, which is neither i386 nor x86-64")
        ) from None


def encode_library(header: LibraryHeader) -> bytes:
    """The NT_LIBRARY note (whole, with its ELF note header)."""
    who = header.identity
    segments = b"".join(
        _SEGMENT.pack(s.address, s.offset, s.file_size, s.memory_size, _prot_of(s.flags), 0) for s in header.segments
    )
    name = who.name.encode() + b"\0"
    name_offset = _LIBRARY.size + len(segments)
    fixed = _LIBRARY.pack(
        FORMAT, header.continuation and header.continuation - who.base,
        who.version.major, who.version.minor, who.version.patch, header.machine.value,
        who.base, who.size, header.bootstrap, header.jump_table, header.slot_size, who.slot_count,
        header.init_array[0], header.fini_array[0], header.init_array[1], header.fini_array[1],
        len(header.segments), name_offset, name_offset + len(name), len(header.dependencies), who.digest,
    )  # fmt: skip
    strings = name + b"".join(dependency.encode() + b"\0" for dependency in header.dependencies)
    descriptor = bytearray(fixed + segments + strings)
    if segments:
        struct.pack_into("<I", descriptor, CHECKSUM_OFFSET, checksum(descriptor))
    return encode(NT_LIBRARY, bytes(descriptor))


def checksum(descriptor: bytes | bytearray) -> int:
    """The checksum of an NT_LIBRARY descriptor with at least one segment, as its bytes give it."""
    value = 2166136261
    for start, end in _CHECKED:
        for byte in descriptor[start:end]:
            value = (value ^ byte) * 16777619 & 0xFFFF_FFFF
    return value


def checksum_matches(descriptor: bytes | bytearray) -> bool:
    """Whether the checksum of an NT_LIBRARY descriptor with at least one segment is right."""
    if len(descriptor) < CHECKSUM_OFFSET + 4:
        return False
    return struct.unpack_from("<I", descriptor, CHECKSUM_OFFSET) == (checksum(descriptor),)


def decode_library(data: bytes, where: str) -> LibraryHeader:
    """The inverse of encode_library, from the descriptor alone. Raises FormatError."""
    if len(data) < _LIBRARY.size:
        raise FormatError(Diagnostic(where, "the library note is too short"))
    (form, continuation, major, minor, patch, machine, base, size, bootstrap, table, slot_size, slots, init, fini, init_count,
     fini_count, segment_count, name_at, dependency_at, dependency_count, digest) = _LIBRARY.unpack_from(data)  # fmt: skip
    if form != FORMAT:
        raise FormatError(Diagnostic(where, f"the library note has format {form}; this version reads format {FORMAT}"))
    if _LIBRARY.size + segment_count * _SEGMENT.size > len(data):
        raise FormatError(Diagnostic(where, f"the library note is too short for its {segment_count} segments"))
    segments = []
    for index in range(segment_count):
        address, offset, file_size, memory_size, prot, _ = _SEGMENT.unpack_from(
            data, _LIBRARY.size + index * _SEGMENT.size
        )
        segments.append(Segment(address, memory_size, offset, file_size, _flags_of(prot)))
    dependencies, position = [], dependency_at
    for _ in range(dependency_count):
        dependencies.append(_string(data, position, where))
        position = data.index(b"\0", position) + 1
    return LibraryHeader(
        _machine(machine, where),
        Identity(_string(data, name_at, where), Version(major, minor, patch), base, size, digest, slots),
        bootstrap, table, slot_size, (init, init_count), (fini, fini_count), tuple(segments), tuple(dependencies),
        continuation and base + continuation,
    )  # fmt: skip


def encode_needs(identity: Identity, machine: Machine) -> bytes:
    """The NT_NEEDS note (whole)."""
    v = identity.version
    fixed = _NEEDS.pack(
        FORMAT,
        identity.slot_count,
        v.major,
        v.minor,
        v.patch,
        machine.value,
        identity.base,
        identity.size,
        identity.digest,
    )
    return encode(NT_NEEDS, fixed + identity.name.encode() + b"\0")


def decode_needs(data: bytes, where: str) -> Identity:
    """The identity in an NT_NEEDS descriptor. Raises FormatError."""
    if len(data) <= _NEEDS.size:
        raise FormatError(Diagnostic(where, "the note of a needed library is too short"))
    form, slots, major, minor, patch, _, base, size, digest = _NEEDS.unpack_from(data)
    if form != FORMAT:
        raise FormatError(
            Diagnostic(where, f"the note of a needed library has format {form}; this version reads {FORMAT}")
        )
    return Identity(_string(data, _NEEDS.size, where), Version(major, minor, patch), base, size, digest, slots)


def decode_scheme(data: bytes, where: str) -> tuple[int, int]:
    """(scheme, address of struct uselib_program) of an NT_SCHEME descriptor. Raises FormatError."""
    if len(data) < _SCHEME.size:
        raise FormatError(Diagnostic(where, "the note of the program's scheme is too short"))
    form, scheme, program = _SCHEME.unpack_from(data)
    if form != FORMAT:
        raise FormatError(Diagnostic(where, f"the note of the program's scheme has format {form}, not {FORMAT}"))
    return scheme, program


def encode_bindings(bindings: tuple[Binding, ...]) -> bytes:
    """The NT_BINDINGS note (whole). Libraries are numbered in order of first appearance."""
    strings = bytearray()
    offsets: dict[str, int] = {}

    def intern(text: str) -> int:
        if text not in offsets:
            offsets[text] = len(strings)
            strings.extend(text.encode() + b"\0")
        return offsets[text]

    libraries = list(dict.fromkeys(binding.library for binding in bindings))
    out = bytearray(struct.pack("<II", FORMAT, len(libraries)))
    out += b"".join(struct.pack("<I", intern(library)) for library in libraries)
    out += struct.pack("<I", len(bindings))
    index = {library: number for number, library in enumerate(libraries)}
    for b in bindings:
        out += _BINDING.pack(b.address, intern(b.symbol), index[b.library], 0 if b.kind is ExportKind.FUNCTION else 1)
    return encode(NT_BINDINGS, bytes(out + struct.pack("<I", len(strings)) + strings))


def decode_bindings(data: bytes, where: str) -> tuple[Binding, ...]:
    """The inverse of encode_bindings, from the descriptor alone. Raises FormatError."""
    try:
        form, library_count = struct.unpack_from("<II", data)
        if form != FORMAT:
            raise FormatError(Diagnostic(where, f"the binding note has format {form}; this version reads {FORMAT}"))
        library_offsets = struct.unpack_from(f"<{library_count}I", data, 8)
        position = 8 + 4 * library_count
        (count,) = struct.unpack_from("<I", data, position)
        rows = [_BINDING.unpack_from(data, position + 4 + i * _BINDING.size) for i in range(count)]
        (size,) = struct.unpack_from("<I", data, position + 4 + count * _BINDING.size)
    except (struct.error, MemoryError):
        raise FormatError(Diagnostic(where, "the binding note is truncated")) from None
    start = position + 8 + count * _BINDING.size
    strings = data[start : start + size]
    libraries = [_string(strings, offset, where) for offset in library_offsets]
    result = []
    for address, name, library, kind in rows:
        if library >= len(libraries):
            raise FormatError(Diagnostic(where, f"the binding note names library {library} of {len(libraries)}"))
        result.append(
            Binding(
                libraries[library],
                _string(strings, name, where),
                address,
                ExportKind.DATA if kind else ExportKind.FUNCTION,
            )
        )
    return tuple(result)

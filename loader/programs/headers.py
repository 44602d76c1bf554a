"""The headers of an executable, as the kernel's loaders read them: ELF header, program headers, the note of a library.

exec and uselib(2) need no symbols, so they do not read a symbol table. Code that needs the whole file uses
uselib.linker.formats.elf_image.read_image (which also says in detail what is wrong with a file).
tests/loader/programs/test_loader_exec.py compares the two.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats import notes
from uselib.linker.image import Image, LibraryHeader, Machine, Segment
from uselib.linker.quick_dataclass import NamedTuple, dataclass

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP, _PT_NOTE, _PT_TLS, _PT_GNU_STACK = 1, 2, 3, 4, 7, 0x6474E551
_ET_EXEC, _ET_DYN = 2, 3
_MAX_TABLE = 65536  # bytes of program headers that the kernel reads
_PATH_MAX = 4096
_PAGE = 4096

More = Callable[[int, int], bytes]  # bytes of the file: size, offset


@dataclass(frozen=True)
class _Header:
    type: int
    segment: Segment


def _headers(data: bytes, where: str, more: More | None = None) -> tuple[Machine, bool, int, int, int, list[_Header]]:
    """Machine, whether it is ET_DYN, entry, offset and size of program headers, and these. Raises FormatError, struct.error."""
    if data[:4] != b"\x7fELF" or data[4] not in (1, 2) or data[5] != 1:
        raise FormatError(Diagnostic(where, "is not an ELF file for this kind of machine"))
    wide = data[4] == 2
    kind, number = struct.unpack_from("<HH", data, 16)
    if number not in (3, 62) or (number == 62) != wide or kind not in (_ET_EXEC, _ET_DYN):
        raise FormatError(Diagnostic(where, "is not an executable (ET_EXEC or ET_DYN) for i386 or x86-64"))
    relative = kind == _ET_DYN
    entry, table = struct.unpack_from("<QQ" if wide else "<II", data, 24)
    size, count = struct.unpack_from("<HH", data, 54 if wide else 42)
    if size != (56 if wide else 32) or count * size > _MAX_TABLE:
        raise FormatError(Diagnostic(where, "has program headers of the wrong size"))
    rows, first = data, table
    if more is not None and table + count * size > len(data):
        rows, first = more(count * size, table), 0
    found = []
    for index in range(count):
        at = first + index * size
        if wide:
            kind, flags, offset, address, _, file_size, memory_size, align = struct.unpack_from("<IIQQQQQQ", rows, at)
        else:
            kind, offset, address, _, file_size, memory_size, flags, align = struct.unpack_from("<IIIIIIII", rows, at)
        found.append(_Header(kind, Segment(address, memory_size, offset, file_size, flags & 7, align)))
    return Machine(number), relative, entry, table, size, found


def _interpreter(data: bytes, segment: Segment, where: str, more: More | None) -> str:
    """Raises FormatError, as the kernel refuses it: empty, too long, or without a NUL at its end."""
    if not 2 <= segment.file_size <= _PATH_MAX:
        raise FormatError(Diagnostic(where, "has a damaged interpreter name"))
    raw = data[segment.offset : segment.offset + segment.file_size]
    if more is not None and len(raw) < segment.file_size:
        raw = more(segment.file_size, segment.offset)
    if len(raw) < segment.file_size or raw[-1]:
        raise FormatError(Diagnostic(where, "has a damaged interpreter name"))
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def read_headers(data: bytes, where: str, more: More | None = None) -> Image:
    """An Image without symbols and notes, from the first bytes of a file: a page holds the headers of most programs.
    more: reads what lies elsewhere. Raises FormatError, OSError."""
    try:
        machine, relative, entry, table, size, headers = _headers(data, where, more)
        loads = tuple(header.segment for header in headers if header.type == _PT_LOAD)
        in_memory = next((s.address + table - s.offset for s in loads if s.offset <= table < s.offset + s.file_size), 0)
        interpreter, executable_stack, tls = "", True, None
        for header in headers:
            segment = header.segment
            if header.type == _PT_GNU_STACK:
                executable_stack = bool(segment.flags & 1)
            elif header.type == _PT_TLS:
                tls = segment
            elif header.type == _PT_INTERP and not interpreter:
                interpreter = _interpreter(data, segment, where, more)
    except (struct.error, IndexError, OverflowError):
        raise FormatError(Diagnostic(where, "is truncated")) from None
    place = (in_memory, size, len(headers))
    return Image(machine, entry, loads, tls, place, executable_stack, interpreter, relative=relative)


def _note_segments(page: bytes) -> Iterator[tuple[int, int]]:
    """Offset and size of the notes that lie on the page."""
    for header in _headers(page, "")[5]:
        if header.type == _PT_NOTE and header.segment.offset + header.segment.file_size <= len(page):
            yield header.segment.offset, header.segment.file_size


def library_header(page: bytes, where: str) -> LibraryHeader | None:
    """What the first page of a target library says of it (note NT_LIBRARY); None if the page is not that of one."""
    try:
        for offset, size in _note_segments(page):
            for descriptor in notes.descriptors(page[offset : offset + size], where, notes.NT_LIBRARY):
                return notes.decode_library(descriptor, where)
    except (FormatError, struct.error, IndexError, OverflowError, ValueError):
        return None
    return None


class DynamicPlace(NamedTuple):
    """Where a file with a dynamic section wants to be: its pages [start, end), and the section. relative: it is an ET_DYN."""

    start: int
    end: int
    dynamic: int
    relative: bool


def dynamic_place(page: bytes) -> DynamicPlace | None:
    """Of a dynamic program or shared object, from its first page; None for other files."""
    try:
        _, relative, _, _, _, headers = _headers(page, "")
    except (FormatError, struct.error):
        return None
    loads = [header.segment for header in headers if header.type == _PT_LOAD]
    dynamic = next((header.segment.address for header in headers if header.type == _PT_DYNAMIC), None)
    if dynamic is None or not loads:
        return None
    start = min(segment.address for segment in loads)
    return DynamicPlace(start - start % _PAGE, max(segment.end for segment in loads), dynamic, relative)


_SCHEME_NOTE = struct.pack("<III", 7, 16, notes.NT_SCHEME) + notes.NOTE_NAME


def program_scheme(page: bytes) -> tuple[int, int] | None:
    """(scheme, address of its struct uselib_program) of a program with a mark in the notes on its first page, else None.

    Most programs have none, so the bytes are looked for before anything is decoded."""
    if _SCHEME_NOTE not in page:
        return None
    try:
        for offset, size in _note_segments(page):
            for descriptor in notes.descriptors(page[offset : offset + size], "", notes.NT_SCHEME):
                return notes.decode_scheme(descriptor, "")
    except (FormatError, struct.error, IndexError, OverflowError):
        return None
    return None

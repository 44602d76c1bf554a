"""Reader of linked ELF files, programs and target libraries, into an `Image`.

Segments come from the program headers; notes from PT_NOTE (a stripped file keeps them) and, for the bindings, from the
section .note.uselib.bindings; the rest from sections and symbols, as far as the file has them. Nothing is trusted:
whatever is out of bounds is a FormatError that names the file.

Source: System V gABI, chapters 4 and 5; formats/notes.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from linker.errors import Diagnostic, FormatError
from linker.formats import elf, notes
from linker.image import (
    Binding,
    Export,
    ExportKind,
    Identity,
    Image,
    ImageSymbol,
    LibraryHeader,
    Segment,
)
from linker.interpose import IMPLEMENTATION_SUFFIX

LIB_SECTION = ".lib"
LIBRARY_LIST, LIBRARY_PATH = "_SHARED_LIBRARIES", "_SHARED_LIBRARY_PATH"
_DIGEST_SIZE = 32
_MAX_PATH = 1 << 16


def _bad(where: str, message: str, remedy: str = "") -> FormatError:
    return FormatError(Diagnostic(where, message, remedy=remedy))


@dataclass(frozen=True)
class _Headers:
    """The program headers, sorted out."""

    loads: tuple[Segment, ...]
    tls: Segment | None
    stack_executable: bool
    interpreter: str
    notes: tuple[Segment, ...]
    table: tuple[int, int, int]


class _Reader:
    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where = data, where
        self.file = elf.File(memoryview(data), where)
        kind = self.file.kind
        if kind != elf.ET_EXEC:
            what = {elf.ET_REL: "a relocatable object", elf.ET_DYN: "a dynamic shared library or position-independent"}
            remedy = "link it with -static -no-pie" if kind == elf.ET_DYN else "link it first"
            raise _bad(where, f"is {what.get(kind, 'a core file')}, not a static executable (ET_EXEC)", remedy)

    @cached_property
    def headers(self) -> _Headers:
        offset, size, count = self.file.program_headers
        record = self.file.layout.segment.size
        if count and (size != record or offset + count * record > len(self.data)):
            raise _bad(self.where, "truncated: the program headers lie beyond the end of the file")
        limit = 1 << 8 * self.file.layout.word
        loads, note_segments = [], []
        tls, executable, interpreter, table = None, True, "", 0
        rows = self.file.layout.segments(self.data[offset : offset + count * record]) if count else []
        for kind, flags, at, address, file_size, memory_size, alignment in rows:
            segment = Segment(address, memory_size, at, file_size, flags & 7, alignment)
            if kind not in (elf.PT_LOAD, elf.PT_NOTE, elf.PT_INTERP, elf.PT_TLS):
                if kind == elf.PT_GNU_STACK:
                    executable = bool(flags & 1)
                continue
            if at + file_size > len(self.data):
                raise _bad(self.where, f"truncated: the segment at {address:#x} ends at {at + file_size:#x} of the file, "
                           f"which has {len(self.data):#x} bytes")  # fmt: skip
            if kind == elf.PT_LOAD:
                if file_size > memory_size or address + memory_size > limit:
                    raise _bad(self.where, f"the sizes of the segment at {address:#x} make no sense")
                loads.append(segment)
                if at <= offset < at + file_size:
                    table = address + offset - at
            elif kind == elf.PT_TLS:
                tls = segment
            elif kind == elf.PT_NOTE:
                note_segments.append(segment)
            else:
                interpreter = self.data[at : at + file_size].rstrip(b"\0").decode("utf-8", "replace")
        return _Headers(
            tuple(loads), tls, executable, interpreter, tuple(note_segments), (table, size, count)
        )  # fmt: skip

    def our_notes(self) -> Iterator[tuple[notes.Note, int]]:
        """(note, offset of its descriptor in the file) of each uselib note, each once."""
        ranges = [(s.offset, s.file_size) for s in self.headers.notes]
        covered = list(ranges)
        for index, section in enumerate(self.file.sections):
            if section[1] != elf.SHT_NOTE or any(a <= section[4] < a + n for a, n in covered):
                continue
            if self.file.names[section[0]] in (notes.SECTION, notes.BINDINGS_SECTION):
                ranges.append((section[4], len(self.file.content(index))))
        for start, size in ranges:
            for note in notes.notes(self.data[start : start + size], self.where):
                if note.name == notes.NOTE_NAME:
                    yield note, start + note.offset

    def at(self, address: int, size: int) -> bytes:
        """The file's bytes behind a range of memory, as far as there are any."""
        for segment in self.headers.loads:
            if segment.address <= address < segment.address + segment.file_size:
                start = segment.offset + address - segment.address
                return self.data[start : min(start + size, segment.offset + segment.file_size)]
        return b""

    @cached_property
    def symbols(self) -> tuple[tuple[str, elf.Symbol], ...]:
        """Named symbols with their records: defined ones only, no sections and files."""
        found = []
        for index, section in enumerate(self.file.sections):
            if section[1] != elf.SHT_SYMTAB:
                continue
            names = self.file.strings(section[6])
            for symbol in self.file.symbols(index):
                if symbol[0] and symbol[3] and symbol[1] & 15 not in (elf.STT_SECTION, elf.STT_FILE):
                    found.append((names[symbol[0]], symbol))
        return tuple(found)

    def library_names(self) -> tuple[str, ...]:
        """The names in `.lib`, which ends at the first empty one."""
        for index, section in enumerate(self.file.sections):
            if self.file.names[section[0]] == LIB_SECTION and section[1] == elf.SHT_PROGBITS:
                raw = bytes(self.file.content(index))
                break
        else:
            start = next((s[4] for name, s in self.symbols if name == LIBRARY_LIST), 0)
            if not start:
                return ()
            raw = self.at(start, 1 << 20)
        names: list[str] = []
        while raw and raw[0]:
            name, end, raw = raw.partition(b"\0")
            if not end:
                raise _bad(self.where, "`.lib` has no terminator: its last name does not end")
            names.append(name.decode("utf-8", "surrogateescape"))
        if names and not raw:
            raise _bad(self.where, "`.lib` has no terminator", "link crtn.o last: it ends the list of libraries")
        return tuple(names)

    def library_path(self) -> str:
        address = next((s[4] for name, s in self.symbols if name == LIBRARY_PATH), 0)
        raw, end, _ = self.at(address, _MAX_PATH).partition(b"\0") if address else (b"", b"", b"")
        return raw.decode("utf-8", "surrogateescape") if end else ""

    def exports(self, header: LibraryHeader) -> tuple[Export, ...]:
        """Global symbols of a target library: those in the jump table are functions, the others data."""
        end = header.slot_address(header.identity.slot_count + 1)
        slot_size = max(header.slot_size, 1)
        implementation = {
            name.removesuffix(IMPLEMENTATION_SUFFIX): symbol
            for name, symbol in self.symbols
            if name.endswith(IMPLEMENTATION_SUFFIX)
        }
        functions, data = [], []
        for name, (_, info, _, shndx, value, size) in self.symbols:
            if info >> 4 == elf.STB_LOCAL or shndx == elf.SHN_ABS:
                continue
            if header.jump_table <= value < end:
                real = implementation.get(name)
                slot = (value - header.jump_table) // slot_size + 1
                functions.append(
                    Export(name, ExportKind.FUNCTION, value, real[5] if real else size, slot, real[4] if real else 0)
                )
            else:
                data.append(Export(name, ExportKind.DATA, value, size))
        functions.sort(key=lambda export: export.slot)
        data.sort(key=lambda export: (export.address, export.name))
        return (*functions, *data)


def read_image(data: bytes, where: str, *, symbols: bool = True) -> Image:
    """Reads a program or target library. Without `symbols` the image has none, and no exports and library path.

    Raises FormatError: not ELF, not ET_EXEC, another machine, truncated or damaged.
    """
    reader = _Reader(data, where)
    headers = reader.headers
    library: LibraryHeader | None = None
    needs: list[Identity] = []
    bindings: tuple[Binding, ...] = ()
    for note, _ in reader.our_notes():
        if note.type == notes.NT_LIBRARY:
            library = notes.decode_library(note.descriptor, where)
        elif note.type == notes.NT_NEEDS:
            needs.append(notes.decode_needs(note.descriptor, where))
        elif note.type == notes.NT_BINDINGS:
            bindings += notes.decode_bindings(note.descriptor, where)
    if library is not None:
        _check_library(library, reader)
    named = reader.symbols if symbols else ()
    return Image(
        machine=reader.file.machine,
        entry=reader.file.entry,
        segments=headers.loads,
        tls=headers.tls,
        program_headers=headers.table,
        stack_executable=headers.stack_executable,
        interpreter=headers.interpreter,
        library=library,
        needs=tuple(needs),
        library_names=reader.library_names() if library is None else (),
        library_path=reader.library_path() if symbols and library is None else "",
        bindings=bindings,
        symbols=tuple(
            ImageSymbol(name, s[4], s[5], s[1] & 15 in (elf.STT_FUNC, elf.STT_GNU_IFUNC), s[3] == elf.SHN_ABS)
            for name, s in named
        ),
        exports=reader.exports(library) if library is not None and symbols else (),
    )


def _check_library(header: LibraryHeader, reader: _Reader) -> None:
    """What start-up checks too: the header is of this machine, and the file covers every segment."""
    if header.machine is not reader.file.machine:
        raise _bad(
            reader.where, f"its library note is for {header.machine.label}, the file for {reader.file.machine.label}"
        )
    who = header.identity
    for segment in header.segments:
        if segment.offset + segment.file_size > len(reader.data):
            raise _bad(reader.where, f"the library is shorter than its header says: the segment at {segment.address:#x} "
                       f"ends at {segment.offset + segment.file_size:#x} of the file, which has {len(reader.data):#x} bytes")  # fmt: skip
        if not who.base <= segment.address <= segment.end <= who.end:
            raise _bad(reader.where, f"the segment at {segment.address:#x} lies outside the library's own addresses")


def digest_offset(data: bytes, where: str) -> int:
    """Offset in the file of NT_LIBRARY's digest field. Raises FormatError if the file is no target library."""
    for note, at in _Reader(data, where).our_notes():
        if note.type == notes.NT_LIBRARY and len(note.descriptor) >= notes.DIGEST_OFFSET + _DIGEST_SIZE:
            return at + notes.DIGEST_OFFSET
    raise _bad(where, "is not a target library: it has no NT_LIBRARY note")


def digest(data: bytes, where: str) -> bytes:
    """SHA-256 of a target library with its digest field zeroed. Raises FormatError."""
    at = digest_offset(data, where)
    return digest_at(data, at)


def digest_at(data: bytes | bytearray, at: int) -> bytes:
    """The same where the field's offset is known."""
    view = memoryview(data)
    state = hashlib.sha256(view[:at])
    state.update(bytes(_DIGEST_SIZE))
    state.update(view[at + _DIGEST_SIZE :])
    return state.digest()

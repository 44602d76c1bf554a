"""A target library's content digest: SHA-256 of the file with the digest field of its NT_LIBRARY note zeroed."""

from __future__ import annotations

import hashlib

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats import elf, notes

SIZE = 32


def digest_at(data: bytes | bytearray, at: int) -> bytes:
    """The digest of a file whose digest field is at offset `at`."""
    view = memoryview(data)
    state = hashlib.sha256(view[:at])
    state.update(bytes(SIZE))
    state.update(view[at + SIZE :])
    return state.digest()


def digest_offset(data: bytes, where: str) -> int:
    """Offset in the file of the digest field. Raises FormatError if the file is not a target library."""
    file = elf.ElfFile(memoryview(data), where)
    at, size, count = file.program_headers
    record = file.elf_class.segment.size
    if size == record and at + size * count <= len(data):
        for kind, _, offset, _, length, _, _ in file.elf_class.segments(data[at : at + size * count]):
            if kind != elf.PT_NOTE or offset + length > len(data):
                continue
            for note in notes.notes(data[offset : offset + length], where):
                whole = len(note.descriptor) >= notes.DIGEST_OFFSET + SIZE
                if note.name == notes.NOTE_NAME and note.type == notes.NT_LIBRARY and whole:
                    return offset + note.offset + notes.DIGEST_OFFSET
    raise FormatError(Diagnostic(where, "not a target library: it has no NT_LIBRARY note"))


def digest(data: bytes, where: str) -> bytes:
    """The digest computed from the file's bytes; the note's value does not count. Raises FormatError."""
    return digest_at(data, digest_offset(data, where))

"""A file of any kind -> its facts.

    read_facts(path)    a library: target library, stub library (archive or directory), or ordinary ELF shared object
    read_program(path)  a program, or a library seen as a user of other libraries
    read_any(path)      either, by what the file is

All raise ToolError with the file's name, whatever the bytes are. What could be read only in part is in `unknown` of the result.
Readers are imported when a file of their kind comes: a check of two shared objects has nothing to do with stubs and histories.
"""

from __future__ import annotations

import os

from uselib.abi.static.model.facts import Facts, FileKind, ProgramFacts
from uselib.abi.static.readers import elf_dynamic
from uselib.abi.static.readers.elf_facts import shared_object_facts
from uselib.abi.static.readers.program_facts import program_facts
from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats import elf, notes
from uselib.linker.formats.ar import MAGIC, THIN_MAGIC
from uselib.linker.reading import read_file

_WANTED = "give a target library, a stub library, a shared object (.so) or a program"


def read_facts(path: str | os.PathLike[str]) -> Facts:
    """The facts of the library at `path`. Raises FormatError (also where the file cannot be read)."""
    name = os.fspath(path)
    return _library(name, *_classified(name))


def read_program(path: str | os.PathLike[str]) -> ProgramFacts:
    """What the program at `path` takes from libraries; a library's own view of others as well. Raises FormatError."""
    name = os.fspath(path)
    kind, data = _classified(name)
    if kind is FileKind.STUB:
        raise _bad(name, "is a stub library: it uses nothing", "give a program or a target library")
    return program_facts(data, name)


def read_any(path: str | os.PathLike[str]) -> Facts | ProgramFacts:
    """Facts of a library or of a program, whichever the file is. Raises FormatError."""
    name = os.fspath(path)
    kind, data = _classified(name)
    return program_facts(data, name) if kind is FileKind.PROGRAM else _library(name, kind, data)


def kind_of(path: str | os.PathLike[str]) -> FileKind:
    """What the file at `path` is. Raises FormatError if it is nothing that can be compared."""
    return _classified(os.fspath(path))[0]


def _library(path: str, kind: FileKind, data: bytes) -> Facts:
    match kind:
        case FileKind.STUB:
            return _stub(path)
        case FileKind.TARGET:
            from uselib.abi.static.readers.target_facts import target_facts

            return target_facts(data, path)
        case FileKind.SHARED_OBJECT:
            return shared_object_facts(data, path)
        case FileKind.PROGRAM:
            raise _bad(path, "is a program, not a library", "give programs behind the two libraries")


def _classified(path: str) -> tuple[FileKind, bytes]:
    """What a file is, and its bytes (none for a stub library)."""
    try:
        if os.path.isdir(path):
            if not _is_stub(path):
                raise _bad(path, "is a directory without `LIBRARY NAME`: not a stub library", _WANTED)
            return FileKind.STUB, b""
        data = read_file(path)
        if data[:8] in (MAGIC, THIN_MAGIC):
            if not _is_stub(path):
                raise _bad(path, "is an archive without `LIBRARY NAME`: not a stub library", _WANTED)
            return FileKind.STUB, b""
    except OSError as failure:
        raise _bad(path, f"cannot be read: {failure.strerror}") from None
    return _kind(data, path), data


def _stub(path: str) -> Facts:
    from uselib.abi.static.readers.stub_facts import stub_facts

    try:
        return stub_facts(path)
    except OSError as failure:
        raise _bad(str(failure.filename or path), f"cannot be read: {failure.strerror}") from None


def _kind(data: bytes, path: str) -> FileKind:
    if not data:
        raise _bad(path, "is empty", _WANTED)
    if data[:4] != elf.MAGIC:
        raise _bad(path, "is neither an ELF file nor a stub library", _WANTED)
    file = elf.ElfFile(memoryview(data), path)
    if file.kind == elf.ET_REL:
        raise _bad(path, "is an object file", "link it to a library first")
    if file.kind == elf.ET_EXEC:
        return FileKind.TARGET if _is_target(file) else FileKind.PROGRAM
    if file.kind != elf.ET_DYN:
        raise _bad(path, f"is neither a library nor a program (ELF type {file.kind})", _WANTED)
    return FileKind.PROGRAM if elf_dynamic.is_program(file) else FileKind.SHARED_OBJECT


def _is_stub(path: str) -> bool:
    from uselib.linker.library.stub import is_stub

    return is_stub(path)


def _is_target(file: elf.ElfFile) -> bool:
    """Whether it has the note of a target library. Raises FormatError."""
    at, size, count = file.program_headers
    if not count or size != file.elf_class.segment.size or at + size * count > len(file.data):
        raise elf.bad(file.where, "it has no program headers, or they are damaged or truncated")
    return any(
        note.type == notes.NT_LIBRARY and note.name == notes.NOTE_NAME
        for kind, _, offset, _, length, _, _ in file.elf_class.segments(file.data[at : at + size * count])
        if kind == elf.PT_NOTE
        for note in notes.notes(bytes(file.data[offset : offset + length]), file.where)
    )


def _bad(path: str, message: str, remedy: str = "") -> FormatError:
    return FormatError(Diagnostic(path, message, remedy=remedy))

"""A file of any kind -> what is known of it.

    read_facts(path)    a library: target library, stub library (archive or directory), or ordinary ELF shared object
    read_program(path)  a program, or a library seen as a user of other libraries
    read_any(path)      either, by what the file is

All raise ToolError with the file's name, whatever the bytes are. What could be read only in part is in `unknown` of the result.
"""

from __future__ import annotations

import os

from linker.abi import elf_dynamic
from linker.abi.elf_facts import shared_object_facts, target_facts
from linker.abi.facts import Facts, FileKind, ProgramFacts
from linker.abi.program_facts import program_facts
from linker.abi.stub_facts import stub_facts
from linker.errors import Diagnostic, FormatError
from linker.formats import elf, elf_image
from linker.formats.ar import MAGIC, THIN_MAGIC
from linker.reading import read_file

_WANTED = "give a target library, a stub library, a shared object (.so) or a program"


def read_facts(path: str | os.PathLike[str]) -> Facts:
    """The facts of the library at `path`. Raises FormatError (also where the file cannot be read)."""
    name = os.fspath(path)
    data = _read(name)
    kind = FileKind.STUB if data is None else _kind(data, name)
    match kind:
        case FileKind.STUB:
            return _stub(name)
        case FileKind.TARGET:
            assert data is not None
            return target_facts(data, name)
        case FileKind.SHARED_OBJECT:
            assert data is not None
            return shared_object_facts(data, name)
    raise _bad(name, "is a program, and a library is wanted here", "give programs behind the two libraries")


def read_program(path: str | os.PathLike[str]) -> ProgramFacts:
    """What the program at `path` takes from libraries; a library's own view of others as well. Raises FormatError."""
    name = os.fspath(path)
    data = _read(name)
    if data is None or _kind(data, name) is FileKind.STUB:
        raise _bad(name, "is a stub library: it uses nothing", "give a program or a target library")
    return program_facts(data, name)


def read_any(path: str | os.PathLike[str]) -> Facts | ProgramFacts:
    """Facts of a library or of a program, whichever the file is. Raises FormatError."""
    name = os.fspath(path)
    return program_facts(_read(name) or b"", name) if kind_of(name) is FileKind.PROGRAM else read_facts(name)


def kind_of(path: str | os.PathLike[str]) -> FileKind:
    """What the file at `path` is. Raises FormatError if it is nothing that can be compared."""
    name = os.fspath(path)
    data = _read(name)
    return FileKind.STUB if data is None else _kind(data, name)


def _read(path: str) -> bytes | None:
    """The bytes of a file; None for a directory, which can only be a stub library."""
    if os.path.isdir(path):
        return None
    try:
        return read_file(path)
    except OSError as failure:
        raise _bad(path, f"cannot be read: {failure.strerror}") from None


def _stub(path: str) -> Facts:
    try:
        return stub_facts(path)
    except OSError as failure:
        raise _bad(str(failure.filename or path), f"cannot be read: {failure.strerror}") from None


def _kind(data: bytes, path: str) -> FileKind:
    if data[:8] in (MAGIC, THIN_MAGIC):
        return FileKind.STUB
    if not data:
        raise _bad(path, "is empty", _WANTED)
    if data[:4] != elf.MAGIC:
        raise _bad(path, "is neither an ELF file nor a stub library", _WANTED)
    file = elf.File(memoryview(data), path)
    if file.kind == elf.ET_REL:
        raise _bad(path, "is an object file", "link it to a library first")
    if file.kind == elf.ET_EXEC:
        return FileKind.TARGET if elf_image.read_image(data, path).library is not None else FileKind.PROGRAM
    if file.kind != elf.ET_DYN:
        raise _bad(path, f"is neither a library nor a program (ELF type {file.kind})", _WANTED)
    dynamic = elf_dynamic.read(file)
    if not dynamic.soname and (dynamic.pie or dynamic.interpreter):
        return FileKind.PROGRAM
    return FileKind.SHARED_OBJECT


def _bad(path: str, message: str, remedy: str = "") -> FormatError:
    return FormatError(Diagnostic(path, message, remedy=remedy))

"""Puts mkshlib's files in place: all of them or none."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from uselib.linker.errors import error
from uselib.linker.image import PAGE
from uselib.linker.library import stub
from uselib.linker.quick_typing import TYPE_CHECKING
from uselib.linker.writing import permissions, temporary_file

if TYPE_CHECKING:
    from typing import BinaryIO


def write(target_bytes: bytes, library: stub.StubContents, directory: str | Path, form: str) -> None:
    """Writes target and stub: all files under temporary names first, then renamed. Raises OSError; then no file has changed."""
    who = library.identity
    root = Path(directory)
    target, versioned = root / "shlib" / who.file_name, root / "lib" / f"{who.file_name}.a"
    plain = root / "lib" / f"{who.name}.a"
    pending: list[tuple[Path, Path]] = []  # (temporary, final)
    retired: list[Path] = []
    try:
        for folder in (target.parent, plain.parent):
            folder.mkdir(parents=True, exist_ok=True)
        if form in ("archive", "both"):
            members = stub.archive(library)
            for path in (versioned, plain):
                _stage(pending, path, members, 0o666)
        if form in ("directory", "both"):
            _stage_directory(pending, root / "lib" / who.name, library)
        _stage(pending, target, target_bytes, 0o777)
        for temporary, final in pending:
            _check_place(temporary, final)
        # all steps that can fail are done; only renames follow
        for temporary, final in pending:
            if final.is_dir():
                old = _temporary_directory(f".{final.name}.old.", final.parent)
                retired.append(old)
                os.replace(final, old)
            os.replace(temporary, final)
    finally:
        for leftover in (*(temporary for temporary, _ in pending), *retired):
            _remove(leftover)


def _stage(pending: list[tuple[Path, Path]], path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor, name = temporary_file(str(path))
        pending.append((Path(name), path))
        with os.fdopen(descriptor, "wb") as file:
            _write_sparse(file, data)
        os.chmod(name, permissions(mode))
    except OSError as failure:  # the exception has no name for a full disk, else the temporary one
        raise OSError(failure.errno, failure.strerror, str(path)) from None


def _write_sparse(file: BinaryIO, data: bytes) -> None:
    """Writes `data`, leaving holes where whole pages are zero: a target library has gaps for growth."""
    zero = bytes(PAGE)
    start = 0  # of the part not yet written
    for at in range(0, len(data), PAGE):
        if data[at : at + PAGE] == zero:
            if at > start:
                file.write(data[start:at])
            file.seek(PAGE, os.SEEK_CUR)
            start = at + PAGE
    file.write(data[start:])
    file.truncate(len(data))


def _stage_directory(pending: list[tuple[Path, Path]], path: Path, library: stub.StubContents) -> None:
    temporary = _temporary_directory(f".{path.name}.", path.parent)
    pending.append((temporary, path))
    for member in stub.members(library):
        (temporary / member.name).write_bytes(member.content)
    os.chmod(temporary, permissions(0o777))


def _temporary_directory(prefix: str, parent: Path) -> Path:
    import tempfile  # only for the directory form: it takes 3 ms

    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))


def _check_place(temporary: Path, final: Path) -> None:
    """Only a stub directory may be replaced by one, and only a file by a file. Raises LinkError."""
    if temporary.is_dir():
        if final.exists() and not stub.is_stub(final):
            raise error(str(final), "exists already and is not a stub library", remedy="move it away")
    elif final.is_dir():
        raise error(str(final), "is a directory, and mkshlib needs its name for a file", remedy="move it away")


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            for item in path.iterdir():
                item.unlink()
            path.rmdir()
        else:
            path.unlink()

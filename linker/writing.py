"""Writing files: under a temporary name in the same directory first, then renamed. There is never a half-written output.

The mode is what open(2) would have given: the caller's mode without the umask's bits. A device or a pipe is written as it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence

from uselib.linker.errors import error
from uselib.linker.quick_dataclass import NamedTuple
from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

_BUFFER = 1 << 20  # bytes
_MOST_ATTEMPTS = 1000


def permissions(mode: int) -> int:
    """`mode` without the bits of the umask."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mode & ~mask


def temporary_file(path: str) -> tuple[int, str]:
    """A new file beside `path`: descriptor, name. Raises OSError with `path` as its name.

    (The tempfile module would take longer to import than a small link takes.)"""
    directory, name = os.path.split(path)
    for attempt in range(_MOST_ATTEMPTS):
        other = os.path.join(directory, f".{name}.{os.getpid()}.{attempt}")
        try:
            return os.open(other, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), other
        except FileExistsError:
            continue
        except OSError as failure:
            raise OSError(failure.errno, failure.strerror, path) from None
    raise FileExistsError(errno.EEXIST, "there are too many temporary files", path)


@contextlib.contextmanager
def replacing(path: str, mode: int | None) -> Iterator[BinaryIO]:
    """A file to write, which takes the name `path` when the block ends without an exception.

    mode: before the umask; None: that of the file which is there, 0o666 for a new one. Raises OSError with `path` as its name."""
    target, name = os.path.realpath(path), ""
    try:
        if path.endswith("/"):  # realpath drops it: `-o /dev/null/` must not replace the device
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if os.path.exists(target) and not os.path.isfile(target):  # /dev/null, a pipe
            with open(target, "wb") as file:
                yield file
            return
        kept = _mode_of(target) if mode is None else permissions(mode)
        handle, name = temporary_file(target)
        try:
            with os.fdopen(handle, "wb", buffering=_BUFFER) as file:
                yield file
            os.chmod(name, kept)
            os.replace(name, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    except OSError as failure:
        if failure.filename in (None, name, target):  # the exception for a full disk has no name
            raise OSError(failure.errno, failure.strerror, path) from None
        raise


def _mode_of(path: str) -> int:
    return os.stat(path).st_mode & 0o7777 if os.path.exists(path) else permissions(0o666)


class OutputFile(NamedTuple):
    """One of the files that a command writes. mode: before the umask."""

    path: str
    content: bytes | bytearray
    mode: int = 0o666


def write_together(files: Sequence[OutputFile]) -> None:
    """Writes all files or none: each is whole under its temporary name before the first is renamed. Raises LinkError naming the file
    that cannot be written."""
    with contextlib.ExitStack() as stack:
        for path, content, mode in files:
            try:
                if os.path.isdir(path):
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
                file = stack.enter_context(replacing(path, mode))
                file.write(content)
                file.flush()  # at the end of the block it is only renamed
            except OSError as failure:
                raise error(path, f"cannot be written: {failure.strerror}") from None


def write_atomically(path: str, data: bytes | bytearray, mode: int = 0o777) -> None:
    """Writes a whole file. mode: before the umask. Raises LinkError naming the file, if it cannot be written."""
    try:
        with replacing(path, mode) as file:
            file.write(data)
    except OSError as failure:
        raise error(path, f"cannot be written: {failure.strerror}") from None

"""Open files whose contents are made here: the texts of /proc, and random bytes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.vfs.descriptions import Description, FileUser
from uselib.emulator.kernel.vfs.host_files import HostFile
from uselib.emulator.kernel.vfs.places import SyntheticFile

_CHUNK = 1 << 20  # bytes that are made at a time


class TextFile(HostFile):
    """A file of /proc. Its text is made when it is opened, and again when it is read from its beginning, as seq_file does.

    It lies in a memory file of the host, so that offsets are shared with children, and sendfile and poll work.
    """

    def __init__(
        self,
        path: bytes,
        flags: int,
        special: SyntheticFile,
        make: Callable[[], bytes],
        store: Callable[[bytes], None],
    ) -> None:
        text = make()
        super().__init__(os.memfd_create("uselib", os.MFD_CLOEXEC), path, flags)
        os.write(self.fd, text)
        os.lseek(self.fd, 0, os.SEEK_SET)
        self.special = special
        self._make, self._store = make, store
        self._fresh = True

    def _renew(self, offset: int | None) -> None:
        if self.flags & C.O_ACCMODE == C.O_WRONLY:
            raise GuestError(errno.EBADF)
        start = os.lseek(self.fd, 0, os.SEEK_CUR) if offset is None else offset
        if start == 0 and not self._fresh:
            os.ftruncate(self.fd, 0)
            os.pwrite(self.fd, self._make(), 0)
        self._fresh = False

    def read(self, process: FileUser, address: int, count: int) -> int:
        self._renew(None)
        return super().read(process, address, count)

    def readv(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        self._renew(offset)
        return super().readv(process, parts, offset)

    def write(self, process: FileUser, address: int, count: int) -> int:
        return self.writev(process, [(address, count)], None)

    def writev(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        if self.flags & C.O_ACCMODE == C.O_RDONLY:
            raise GuestError(errno.EBADF)
        data = b"".join(process.memory.read(address, min(size, C.PATH_MAX)) for address, size in parts)
        self._store(data)
        return sum(size for _, size in parts)


class RandomFile(Description):
    """/dev/random and /dev/urandom: the process's deterministic bytes."""

    def __init__(self, path: bytes, flags: int, special: SyntheticFile) -> None:
        super().__init__(-1, path, flags)
        self.special = special

    def read(self, process: FileUser, address: int, count: int) -> int:
        return self.readv(process, [(address, count)], None)

    def readv(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        if self.flags & C.O_ACCMODE == C.O_WRONLY:
            raise GuestError(errno.EBADF)
        done = 0
        for address, size in _chunks(parts):
            process.memory.write(address, process.random.take(size))
            done += size
        return done

    def write(self, process: FileUser, address: int, count: int) -> int:
        return self.writev(process, [(address, count)], None)

    def writev(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        if self.flags & C.O_ACCMODE == C.O_RDONLY:
            raise GuestError(errno.EBADF)
        return sum(size for _, size in parts)

    def seek(self, process: FileUser, offset: int, whence: int) -> int:
        return 0


def _chunks(parts: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """(address, size) of at most _CHUNK bytes each, IO_MAX in all."""
    left = C.IO_MAX
    for address, size in parts:
        while size and left:
            step = min(size, _CHUNK, left)
            yield address, step
            address += step
            size -= step
            left -= step

"""Files and directories of the host, opened: reading, writing, seeking."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.signals.job_control import may_read, may_write
from uselib.emulator.kernel.vfs.descriptions import Description, FileUser
from uselib.emulator.kernel.vfs.places import GuestDirectory
from uselib.emulator.kernel.waiting import READ, WRITE, patient, wait_for
from uselib.loader.memory.address_space import MemoryFault

_SMALL = 4096  # bytes up to which a copy is cheaper than a view of guest memory
_CHUNK = 1 << 20  # bytes that a write copies at a time
_PIPE_BUF = 4096  # bytes that a ready pipe takes in one piece
_MAY_READ, _MAY_WRITE, _MAY_SEEK, _WAITS = 1, 2, 4, 8
_PTMX = os.makedev(5, 2)  # masters of pseudo-terminals. Their foreground group is the slave's (tty_io.c, tiocgpgrp)
SIGPIPE = 13
SIGXFSZ = 25


def _writable(process: FileUser, address: int, count: int) -> int:
    """How many of the bytes from `address` on may be written. Raises MemoryFault if none may."""
    try:
        process.memory.check(address, count, "write")
    except MemoryFault as fault:
        if fault.address <= address:
            raise
        return fault.address - address
    return count


class HostFile(Description):
    """A file, pipe, terminal or socket of the host. most: bytes that the file may grow to (files in memory). identity: of a regular file,
    which may be mapped."""

    most: int | None = None

    def __init__(self, fd: int, path: bytes = b"", flags: int = 0, mutable: bool = False, owned: bool = True) -> None:
        super().__init__(fd, path, flags, mutable, owned)
        status = os.fstat(fd)
        kind = stat.S_IFMT(status.st_mode)
        self.identity = (status.st_dev, status.st_ino) if kind == stat.S_IFREG else None
        self.waits = kind in (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR)  # a read may have to wait
        self.terminal = kind == stat.S_IFCHR and status.st_rdev != _PTMX and os.isatty(fd)  # maybe the controlling one

    @property
    def native(self) -> int:
        """Writes to regular files are not included, since code may be mapped from them. Terminals are not either, because of job control."""
        if type(self) is not HostFile or self.terminal or self.fd < 0:
            return 0
        may = _MAY_READ | _MAY_WRITE | _WAITS if self.waits else _MAY_READ | _MAY_SEEK if self.identity else 0
        return self.fd << 8 | may

    def host(self) -> int:
        return self.fd

    def contents_changed(self, process: FileUser) -> None:
        if self.identity is not None:
            process.memory.file_changed(self.identity)

    def read(self, process: FileUser, address: int, count: int) -> int:
        if count and self.waits and not (self.terminal and not may_read(process, self.fd)):
            wait_for(process, self.fd, READ)
        if self.waits:  # bytes read from a pipe cannot be put back
            count = _writable(process, address, count)
        if count > _SMALL:
            try:
                return os.readv(self.fd, process.memory.views(address, min(count, C.IO_MAX)))
            except MemoryFault:
                count = min(count, _CHUNK)  # the buffer ends early: no error if the file ends before it
        data = os.read(self.fd, count)
        try:
            process.memory.write(address, data)
        except MemoryFault:
            with suppress(OSError):  # not read after all: undo it where possible
                os.lseek(self.fd, -len(data), os.SEEK_CUR)
            raise
        return len(data)

    def readv(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        views = [view for address, size in parts if size for view in process.memory.views(address, size)]
        if offset is not None:
            return os.preadv(self.fd, views, offset)
        if views and self.waits and not (self.terminal and not may_read(process, self.fd)):
            wait_for(process, self.fd, READ)
        return os.readv(self.fd, views or [bytearray(0)])

    def write(self, process: FileUser, address: int, count: int) -> int:
        if self.terminal:
            may_write(process, self.fd)
        limited = self.most is not None or not process.limits.file_size_free
        if count > _CHUNK or limited or (self.waits and patient(process)):
            return self.writev(process, [(address, count)], None)
        try:
            done = os.write(self.fd, process.memory.read(address, count))
        except BrokenPipeError:
            process.signals.send(SIGPIPE)
            raise
        self.contents_changed(process)
        return done

    def writev(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        """Writes in pieces, so that a huge write needs no copy of its size. An error or a short write ends it."""
        waits = offset is None and self.waits and patient(process)  # a signal may end the wait
        pieces = _gather(process, parts, self.room(process, offset), _PIPE_BUF if waits else _CHUNK)
        done = 0
        while True:
            try:
                data = next(pieces, None)
                if data is None:
                    break
                if waits and data:
                    wait_for(process, self.fd, WRITE)
                count = os.write(self.fd, data) if offset is None else os.pwrite(self.fd, data, offset + done)
            except BrokenPipeError:
                process.signals.send(SIGPIPE)
                raise
            except (GuestError, OSError, MemoryFault):
                if done:
                    break
                raise
            done += count
            if count < len(data):
                break
        self.contents_changed(process)
        return done

    def room(self, process: FileUser, offset: int | None) -> int:
        """The number of bytes that may be written at `offset`, or at the file's own offset. Raises GuestError(EFBIG) if the file has reached
        its own limit or RLIMIT_FSIZE, and sends SIGXFSZ for the latter.
        """
        if self.most is None and (process.limits.file_size_free or not stat.S_ISREG(os.fstat(self.fd).st_mode)):
            return C.IO_MAX
        if offset is None:
            end = self.flags & C.O_APPEND
            offset = os.fstat(self.fd).st_size if end else os.lseek(self.fd, 0, os.SEEK_CUR)
        room = min(process.limits.file_size, self.most if self.most is not None else C.IO_MAX + offset) - offset
        if room <= 0:
            if offset >= process.limits.file_size:
                process.signals.send(SIGXFSZ)
            raise GuestError(errno.EFBIG)
        return min(room, C.IO_MAX)

    def seek(self, process: FileUser, offset: int, whence: int) -> int:
        return os.lseek(self.fd, offset, whence)


class DirectoryFile(Description):
    """An open directory. Entries are read at the first getdents and again after a seek to 0, sorted by name."""

    def __init__(self, fd: int, directory: GuestDirectory, flags: int, mutable: bool) -> None:
        super().__init__(fd, directory.name, flags, mutable)
        self.directory = directory
        self.position = 0
        self.entries: list[tuple[bytes, int, int]] | None = None  # name, inode, d_type

    def read(self, process: FileUser, address: int, count: int) -> int:
        raise GuestError(errno.EISDIR)

    def readv(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        raise GuestError(errno.EISDIR)

    def seek(self, process: FileUser, offset: int, whence: int) -> int:
        if whence == os.SEEK_END and self.fd >= 0:
            # The end depends on the file system: EINVAL (tmpfs), or the largest hash (ext4_get_htree_eof), which has
            # 31 bits where the caller is a 32-bit program.
            self.position = min(os.lseek(self.fd, offset, whence), process.structs.word_mask >> 1)
            return self.position
        if whence == os.SEEK_CUR:
            offset += self.position
        elif whence != os.SEEK_SET:
            raise GuestError(errno.EINVAL)
        if offset < 0:
            raise GuestError(errno.EINVAL)
        if offset == 0:
            self.entries = None
        self.position = offset
        return offset

    def host(self) -> int:
        if self.fd < 0:
            raise GuestError(errno.EINVAL)
        return self.fd


def _gather(process: FileUser, parts: Sequence[tuple[int, int]], most: int, unit: int) -> Iterator[bytes]:
    """The bytes of several (address, size), `most` in all, in pieces of at most `unit`; always at least one piece."""
    small = sum(size for _, size in parts)
    if small <= min(unit, most):  # one call stays one write
        yield b"".join(process.memory.read(address, size) for address, size in parts)
        return
    for address, size in parts:
        while size and most:
            step = min(size, unit, most)
            yield process.memory.read(address, step)
            address, size, most = address + step, size - step, most - step

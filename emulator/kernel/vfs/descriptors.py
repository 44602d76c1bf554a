"""Open files: descriptions (struct file of the kernel) and the table of descriptors that refer to them.

A description owns a host descriptor wherever the host has the object; file offset, status flags and locks are then the
host kernel's, and are shared with children of a fork as they should be.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.clock import RandomBytes
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.identity import ProcessIdentity
from uselib.emulator.kernel.limits import Limits
from uselib.emulator.kernel.pids import PidTable
from uselib.emulator.kernel.signals.job_control import JobMember, may_read, may_write
from uselib.emulator.kernel.structs import KernelStructs
from uselib.emulator.kernel.vfs.places import GuestDirectory, SyntheticFile
from uselib.emulator.kernel.waiting import READ, WRITE, Waiter, patient, wait_for
from uselib.linker.quick_dataclass import dataclass
from uselib.linker.quick_typing import Protocol
from uselib.loader.memory.address_space import AddressSpace, MemoryFault

_SMALL = 4096  # bytes up to which a copy is cheaper than a view of guest memory
_CHUNK = 1 << 20  # bytes that a write copies at a time
_PIPE_BUF = 4096  # bytes that go into a pipe whole as soon as it is ready
_FIONREAD = 0x541B
_NATIVE = 1024  # descriptors that native code knows
_MAY_READ, _MAY_WRITE, _MAY_SEEK, _WAITS = 1, 2, 4, 8
SIGPIPE = 13
SIGXFSZ = 25


class FileUser(Waiter, JobMember, Protocol):
    """Who reads and writes: a process. Its memory, what it may write, its random bytes, and its structures."""

    @property
    def memory(self) -> AddressSpace: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def random(self) -> RandomBytes: ...
    @property
    def structs(self) -> KernelStructs: ...
    @property
    def identity(self) -> ProcessIdentity: ...
    @property
    def pids(self) -> PidTable: ...


def scatter(process: FileUser, parts: Sequence[tuple[int, int]], data: bytes) -> int:
    """Fills the parts (address, size) of a readv one after the other. Returns the number of bytes. Raises MemoryFault."""
    done = len(data)
    for address, size in parts:
        process.memory.write(address, data[:size])
        data = data[size:]
    return done


class Description:
    """An open file. The base class answers as an O_PATH descriptor does: EBADF to all that needs the file's contents.

    fd: host descriptor, or -1. path: guest path, for /proc/self/fd and --strace. mutable: the inode may be changed
    (fchmod). directory: for an open directory, where it is in the namespace. special: what it is, if it is made here.
    inside: it is the guest's own, so that nobody outside of the run makes it ready.
    """

    inside = False
    directory: GuestDirectory | None = None
    special: SyntheticFile | None = None
    owner = (1, 0)  # of F_SETOWN_EX: F_OWNER_PID, nobody
    signal = 0  # of F_SETSIG

    def __init__(self, fd: int, path: bytes = b"", flags: int = 0, mutable: bool = False, owned: bool = True) -> None:
        self.fd = fd
        self.path = path
        self.flags = flags
        self.mutable = mutable
        self.references = 0
        self._owned = owned

    def read(self, process: FileUser, address: int, count: int) -> int:
        raise GuestError(errno.EBADF)

    def readv(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        """Into several (address, size); at `offset`, or where the file stands."""
        raise GuestError(errno.EBADF)

    def write(self, process: FileUser, address: int, count: int) -> int:
        raise GuestError(errno.EBADF)

    def writev(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        raise GuestError(errno.EBADF)

    def seek(self, process: FileUser, offset: int, whence: int) -> int:
        raise GuestError(errno.EBADF)

    def contents_changed(self, process: FileUser) -> None:
        """The file has been written or has become shorter: code may be mapped from it."""

    def status(self) -> os.stat_result:
        """Raises GuestError(EBADF) for a synthesised thing: its status comes from the namespace."""
        if self.fd < 0:
            raise GuestError(errno.EBADF)
        return os.fstat(self.fd)

    def host(self) -> int:
        """The host descriptor for calls that go straight to it. Raises GuestError(EBADF) where there is none."""
        raise GuestError(errno.EBADF)

    def unread(self) -> int:
        """Bytes that can be read without waiting (FIONREAD). Raises OSError."""
        return int.from_bytes(fcntl.ioctl(self.fd, _FIONREAD, bytes(4)), "little")

    @property
    def native(self) -> int:
        """What native code may do with the host's descriptor by itself: a word of machine/native/calls/calls.h; 0: nothing."""
        return 0

    def refresh(self) -> None:
        """Before somebody looks whether it is ready."""

    def asked(self, events: int) -> int:
        """The events of poll(2) that the host is asked for when the guest asks for these."""
        return events

    def seen(self, events: int) -> int:
        """poll(2)'s events as the guest has them, from those of the host's descriptor."""
        return events

    def close(self) -> None:
        """The last reference went away."""
        if self._owned and self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


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
        self.terminal = kind == stat.S_IFCHR and os.isatty(fd)

    @property
    def native(self) -> int:
        """Writes to regular files are not among it: code may be mapped from them; nor are terminals, which have jobs."""
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
        if self.waits:  # what has been read from a pipe cannot be put back
            count = _writable(process, address, count)
        if count > _SMALL:
            try:
                return os.readv(self.fd, process.memory.views(address, min(count, C.IO_MAX)))
            except MemoryFault:
                count = min(count, _CHUNK)  # the buffer ends early: all is well if the file does, too
        data = os.read(self.fd, count)
        try:
            process.memory.write(address, data)
        except MemoryFault:
            with suppress(OSError):  # not read after all, where that can be undone
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
        """In pieces, so that a huge write needs no copy of its size; an error or a short write ends it."""
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
        """Bytes that may be written at `offset`, or where the file stands. Raises GuestError(EFBIG) if the file has reached RLIMIT_FSIZE, and
        then sends SIGXFSZ, or its own limit."""
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
    if small <= min(unit, most):  # what was written with one call stays one write
        yield b"".join(process.memory.read(address, size) for address, size in parts)
        return
    for address, size in parts:
        while size and most:
            step = min(size, unit, most)
            yield process.memory.read(address, step)
            address, size, most = address + step, size - step, most - step


@dataclass
class Descriptor:
    """A descriptor."""

    description: Description
    cloexec: bool


class FileTable:
    """Descriptor -> description. limit: RLIMIT_NOFILE."""

    def __init__(self, limit: int = 1024) -> None:
        self.descriptors: dict[int, Descriptor] = {}
        self.limit = limit
        self.native = (ctypes.c_uint64 * _NATIVE)()  # by number, what native code may do with it
        self.locks = False  # the process has set record locks

    @classmethod
    def standard(cls, limit: int = 1024) -> FileTable:
        """With the host's descriptors 0, 1 and 2, as far as they are open."""
        table = cls(limit)
        for fd in range(3):
            try:
                status = os.fstat(fd)
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode):
                continue  # a directory from outside would be a way out of the namespace
            name = (b"/dev/stdin", b"/dev/stdout", b"/dev/stderr")[fd]
            flags = fcntl.fcntl(fd, fcntl.F_GETFL) & (C.O_ACCMODE | C.O_LARGEFILE)
            table.put(fd, HostFile(fd, name, flags, owned=False), False)
        return table

    def get(self, fd: int) -> Description:
        """Raises GuestError(EBADF)."""
        try:
            return self.descriptors[fd].description
        except KeyError:
            raise GuestError(errno.EBADF) from None

    def descriptor(self, fd: int) -> Descriptor:
        """Raises GuestError(EBADF)."""
        try:
            return self.descriptors[fd]
        except KeyError:
            raise GuestError(errno.EBADF) from None

    def check_room(self, count: int = 1) -> None:
        """Raises GuestError(EMFILE) if `count` more descriptors would be too many."""
        if len(self.descriptors) + count > self.limit:
            raise GuestError(errno.EMFILE)

    def add(self, description: Description, cloexec: bool = False, lowest: int = 0) -> int:
        """The lowest free descriptor from `lowest` on. Raises GuestError(EMFILE); then the description is closed if
        nothing else refers to it."""
        fd = lowest
        while fd in self.descriptors:
            fd += 1
        if fd >= self.limit:
            if not description.references:
                description.close()
            raise GuestError(errno.EMFILE)
        self.put(fd, description, cloexec)
        return fd

    def put(self, fd: int, description: Description, cloexec: bool) -> None:
        """Makes `fd` refer to the description, closing what it was. Raises GuestError(EBADF) for a number too high."""
        if not 0 <= fd < self.limit:
            raise GuestError(errno.EBADF)
        description.references += 1
        if fd in self.descriptors:
            self.close(fd)
        self.descriptors[fd] = Descriptor(description, cloexec)
        if fd < _NATIVE:
            self.native[fd] = description.native

    def close(self, fd: int) -> None:
        """Raises GuestError(EBADF)."""
        entry = self.descriptors.pop(fd, None)
        if entry is None:
            raise GuestError(errno.EBADF)
        if fd < _NATIVE:
            self.native[fd] = 0
        entry.description.references -= 1
        if not entry.description.references:
            entry.description.close()
        elif self.locks and isinstance(entry.description, HostFile):
            os.close(
                os.dup(entry.description.fd)
            )  # fcntl(2): any close of a file ends the process's record locks on it

    def only_inside(self, fds: Sequence[tuple[int, int]]) -> bool:
        """Whether all these host descriptors are the guest's own, so that nobody outside makes them ready (waiting.OpenFiles)."""
        if not fds:
            return True
        inside = {entry.description.fd for entry in self.descriptors.values() if entry.description.inside}
        return all(fd in inside for fd, _ in fds)

    def close_all(self) -> None:
        """The end of the process."""
        for fd in list(self.descriptors):
            self.close(fd)

    def close_on_exec(self) -> None:
        """What execve closes."""
        for fd in [fd for fd, entry in self.descriptors.items() if entry.cloexec]:
            self.close(fd)

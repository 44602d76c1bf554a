"""Descriptions: open files (the kernel's struct file).

A description owns a host descriptor if the object exists on the host. The host's kernel then keeps file offset, status flags and locks, and
shares them with children of a fork.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence

from uselib.emulator.kernel.clock import RandomBytes
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.identity import ProcessIdentity
from uselib.emulator.kernel.limits import Limits
from uselib.emulator.kernel.pids import PidTable
from uselib.emulator.kernel.signals.job_control import JobMember
from uselib.emulator.kernel.structs import KernelStructs
from uselib.emulator.kernel.vfs.places import GuestDirectory, SyntheticFile
from uselib.emulator.kernel.waiting import Waiter
from uselib.linker.quick_typing import Protocol
from uselib.loader.memory.address_space import AddressSpace

_FIONREAD = 0x541B


class FileUser(Waiter, JobMember, Protocol):
    """The process that reads and writes: its memory, what it may write, its random bytes, and its structures."""

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
    """An open file. The base class behaves like an O_PATH descriptor: EBADF for all operations on the file's contents.

    fd: host descriptor, or -1. path: guest path, for /proc/self/fd and --strace. mutable: the inode may be changed
    (fchmod). directory: for an open directory, where it is in the namespace. special: what it is, if it is made here. inside: it belongs to
    the guest alone, so that no process outside of the run makes it ready.
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
        """Reads into several (address, size), at `offset` or at the file's own offset."""
        raise GuestError(errno.EBADF)

    def write(self, process: FileUser, address: int, count: int) -> int:
        raise GuestError(errno.EBADF)

    def writev(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        raise GuestError(errno.EBADF)

    def seek(self, process: FileUser, offset: int, whence: int) -> int:
        raise GuestError(errno.EBADF)

    def contents_changed(self, process: FileUser) -> None:
        """Called when the file has been written or shortened, since code may be mapped from it."""

    def status(self) -> os.stat_result:
        """The host's status. Raises GuestError(EBADF) for a synthesised file, whose status comes from the namespace."""
        if self.fd < 0:
            raise GuestError(errno.EBADF)
        return os.fstat(self.fd)

    def host(self) -> int:
        """The host descriptor, for calls that are passed on to the host. Raises GuestError(EBADF) where there is none."""
        raise GuestError(errno.EBADF)

    def unread(self) -> int:
        """Bytes that can be read without waiting (FIONREAD). Raises OSError."""
        return int.from_bytes(fcntl.ioctl(self.fd, _FIONREAD, bytes(4)), "little")

    @property
    def native(self) -> int:
        """What native code may do with the host's descriptor: a word of machine/native/calls/calls.h; 0: nothing."""
        return 0

    def refresh(self) -> None:
        """Called before the file's readiness is looked at."""

    def asked(self, events: int) -> int:
        """The events of poll(2) to ask the host for when the guest asks for these."""
        return events

    def seen(self, events: int) -> int:
        """The guest's events of poll(2), from those of the host's descriptor."""
        return events

    def close(self) -> None:
        """Closes the file, after its last reference has been dropped."""
        if self._owned and self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

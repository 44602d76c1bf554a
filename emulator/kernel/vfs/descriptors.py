"""FileTable: the descriptors of a process, and the open files that they refer to."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
from collections.abc import Sequence

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.vfs.descriptions import Description
from uselib.emulator.kernel.vfs.host_files import HostFile
from uselib.linker.quick_dataclass import dataclass

_NATIVE = 1024  # number of descriptors that native code handles


@dataclass
class Descriptor:
    """An entry of the table. cloexec: execve closes it."""

    description: Description
    cloexec: bool


class FileTable:
    """Descriptor -> description. limit: RLIMIT_NOFILE."""

    def __init__(self, limit: int = 1024) -> None:
        self.descriptors: dict[int, Descriptor] = {}
        self.limit = limit
        self.native = (ctypes.c_uint64 * _NATIVE)()  # by descriptor: what native code may do with it
        self.locks = False  # the process has set record locks

    @classmethod
    def standard(cls, limit: int = 1024) -> FileTable:
        """A table with the host's descriptors 0, 1 and 2, as far as they are open."""
        table = cls(limit)
        for fd in range(3):
            try:
                status = os.fstat(fd)
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode):
                continue  # a directory from outside would lead out of the namespace
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
        """Raises GuestError(EMFILE) if there is no room for `count` more descriptors."""
        if len(self.descriptors) + count > self.limit:
            raise GuestError(errno.EMFILE)

    def add(self, description: Description, cloexec: bool = False, lowest: int = 0) -> int:
        """Puts the description under the lowest free descriptor from `lowest` on. Raises GuestError(EMFILE); the description is then closed
        if nothing else refers to it.
        """
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
        """Makes `fd` refer to the description and closes the one it had. Raises GuestError(EBADF) for a number that is too high."""
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
        """Whether all these host descriptors belong to the guest alone, so that no process outside makes them ready (waiting.OpenFiles)."""
        if not fds:
            return True
        inside = {entry.description.fd for entry in self.descriptors.values() if entry.description.inside}
        return all(fd in inside for fd, _ in fds)

    def close_all(self) -> None:
        """Closes all descriptors, at the end of the process."""
        for fd in list(self.descriptors):
            self.close(fd)

    def close_on_exec(self) -> None:
        """Closes the descriptors that execve closes."""
        for fd in [fd for fd, entry in self.descriptors.items() if entry.cloexec]:
            self.close(fd)

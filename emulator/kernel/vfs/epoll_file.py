"""The open file of an epoll instance, which is an epoll instance of the host. The host's kernel keeps the data that the guest gives for a
descriptor, so that children that have inherited the instance share all of it.

Source: epoll(7), fs/eventpoll.c. An entry belongs to an open file and the descriptor's number. A duplicate of a descriptor is another entry,
and the host gets a duplicate as well.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.host_calls import call
from uselib.emulator.kernel.vfs.descriptions import Description, FileUser
from uselib.linker.quick_dataclass import dataclass

ADD, DELETE, MODIFY = 1, 2, 3
_EVENT = struct.Struct("<IQ")  # struct epoll_event of x86-64: packed; that of i386 is the same
_MOST = 1024  # events that one call returns
_EXCLUSIVE, _EXCLUSIVE_OK = 1 << 28, 0xF000001F  # bits that are allowed with EPOLLEXCLUSIVE


@dataclass
class EpollEntry:
    """host: the descriptor that the host watches; own: it is a duplicate made for this entry."""

    file: Description
    host: int
    own: bool
    data: int


def _new_epoll() -> int:
    epoll = select.epoll()
    fd = os.dup(epoll.fileno())
    os.set_inheritable(fd, False)
    epoll.close()
    return fd


class EpollFile(Description):
    """entries: by descriptor's number and open file. known: the host's descriptor, of an instance that another process has made and filled."""

    def __init__(self, known: int = -1) -> None:
        super().__init__(_new_epoll() if known < 0 else known, b"anon_inode:[eventpoll]", C.O_RDWR)
        self._foreign = known >= 0
        self._entries: dict[tuple[int, int], EpollEntry] = {}
        self._buffer = ctypes.create_string_buffer(_EVENT.size * _MOST)

    @property
    def inside(self) -> bool:  # type: ignore[override]
        return not self._foreign and all(entry.file.inside for entry in self._entries.values())

    def control(self, operation: int, number: int, file: Description, event: tuple[int, int]) -> None:
        """epoll_ctl(2). event: events, data. Raises GuestError, OSError."""
        if operation not in (ADD, DELETE, MODIFY):
            raise GuestError(errno.EINVAL)
        self._drop_closed()
        event = file.asked(event[0]), event[1]
        key = number, id(file)
        entry = self._entries.get(key)
        if operation == ADD:
            if entry is not None:
                raise GuestError(errno.EEXIST)
            own = any(other.file is file for other in self._entries.values())
            entry = EpollEntry(file, os.dup(file.fd) if own else file.fd, own, event[1])
            try:
                self._tell(ADD, entry.host, event)
            except OSError:
                if own:
                    os.close(entry.host)
                raise
            self._entries[key] = entry
            return
        host = entry.host if entry is not None else file.fd
        self._tell(operation, host, event)
        if operation == DELETE and entry is not None:
            self._forget(key)
        elif entry is not None:
            entry.data = event[1]

    def _tell(self, operation: int, host: int, event: tuple[int, int]) -> None:
        call("epoll_ctl", self.fd, operation, host, _EVENT.pack(*event))

    def _forget(self, key: tuple[int, int]) -> None:
        entry = self._entries.pop(key)
        if entry.own:
            os.close(entry.host)

    def _drop_closed(self) -> None:
        """Removes the entries of files that have been closed."""
        for key in [key for key, entry in self._entries.items() if entry.file.fd < 0]:
            self._forget(key)

    def wait(self, most: int) -> bytes:
        """The struct epoll_events of the descriptors that are ready now, at most `most`."""
        count = call("epoll_wait", self.fd, self._buffer, min(most, _MOST), 0)
        data = self._buffer.raw[: count * _EVENT.size]
        if any(events & select.EPOLLHUP for events, _ in _EVENT.iter_unpack(data)):
            files = {entry.data: entry.file for entry in self._entries.values()}
            shown = [
                (files[value].seen(events) if value in files else events, value)
                for events, value in _EVENT.iter_unpack(data)
            ]
            data = b"".join(_EVENT.pack(*event) for event in shown if event[0])
        return data

    def read(self, process: FileUser, address: int, count: int) -> int:
        raise GuestError(errno.EINVAL)

    def write(self, process: FileUser, address: int, count: int) -> int:
        raise GuestError(errno.EINVAL)

    def close(self) -> None:
        for key in list(self._entries):
            self._forget(key)
        super().close()

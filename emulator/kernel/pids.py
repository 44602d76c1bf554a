"""Process numbers of the guest: 1000, 1001, ... in order of creation, and the host processes behind them.

The table is shared memory that every process of the guest inherits, so that any of them can send a signal to any other.
A pipe with one byte in it is the lock: whoever holds the byte may change the table.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct

FIRST = 1000
_ROOM = 32768  # processes in one run


class PidTable:
    """Guest pid -> host pid. Entry 0 holds the count; host pid 0 means: ended and waited for. The shared memory is made
    when the first process forks."""

    def __init__(self) -> None:
        self._first = os.getpid()
        self._opened: tuple[mmap.mmap, int, int] | None = None

    def _open(self) -> tuple[mmap.mmap, int, int]:
        if self._opened is None:
            table = mmap.mmap(-1, 4 * (_ROOM + 1))
            struct.pack_into("<II", table, 0, 1, self._first)
            take, give = os.pipe2(os.O_CLOEXEC)
            os.write(give, b"x")
            self._opened = table, take, give
        return self._opened

    def _get(self, index: int) -> int:
        return int(struct.unpack_from("<I", self._open()[0], 4 * index)[0])

    def _set(self, index: int, value: int) -> None:
        struct.pack_into("<I", self._open()[0], 4 * index, value)

    def reserve(self) -> int:
        """A new guest pid. Raises OSError (EAGAIN) when the table is full."""
        _, take, give = self._open()
        os.read(take, 1)
        try:
            count = self._get(0)
            if count >= _ROOM:
                raise OSError(errno.EAGAIN, "too many processes")
            self._set(0, count + 1)
            return FIRST + count
        finally:
            os.write(give, b"x")

    def assign(self, pid: int, host: int) -> None:
        self._set(pid - FIRST + 1, host)

    def host(self, pid: int) -> int | None:
        """The host's pid; None if there is no such guest process."""
        index = pid - FIRST + 1
        if not 1 <= index <= self._get(0):
            return None
        return self._get(index) or None

    def guest(self, host: int) -> int | None:
        """The guest's pid of a host process."""
        for index in range(self._get(0), 0, -1):
            if self._get(index) == host:
                return FIRST + index - 1
        return None

    def all(self) -> list[int]:
        """Guest pids of the processes there are."""
        return [FIRST + index - 1 for index in range(1, self._get(0) + 1) if self._get(index)]

"""Process numbers of the guest: 1000, 1001, ... in order of creation, and the host processes behind them.

The table is shared memory that every process of the guest inherits, so that any of them can send a signal to any other.
A pipe with one byte in it is the lock: whoever holds the byte may change the table.

A host pid says nothing by itself: when its process has ended and has been waited for, the host gives the number to somebody else. So each
process holds a record lock (fcntl(2), F_SETLK) on its own byte of an inherited file. The host's kernel lets it go when the process ends,
however it ends, and F_GETLK tells who holds it. A signal is sent through a pidfd that was opened while the lock was held: it reaches that
process or none.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import signal
import struct
from contextlib import suppress

from uselib.linker.quick_dataclass import dataclass

FIRST = 1000
_ROOM = 32768  # processes in one run
_ENTRY = struct.Struct("<II")  # host pid, guest pid of the parent
_LOCK = struct.Struct("<hh4xqqi4x")  # struct flock of a 64-bit host: type, whence, start, length, pid


@dataclass(frozen=True)
class _Shared:
    """What all processes of the guest have in common: the table, the two ends of the pipe, the file of record locks."""

    table: mmap.mmap
    take: int
    give: int
    locks: int


class PidTable:
    """Guest pid -> host pid. Entry 0 holds the count; host pid 0 means: ended and waited for. The shared memory is made
    when the first process forks."""

    def __init__(self) -> None:
        self._first = os.getpid()
        self._opened: _Shared | None = None

    def _open(self) -> _Shared:
        if self._opened is None:
            take, give = os.pipe2(os.O_CLOEXEC)
            locks = os.memfd_create("processes", os.MFD_CLOEXEC)
            self._opened = _Shared(mmap.mmap(-1, _ENTRY.size * (_ROOM + 1)), take, give, locks)
            _ENTRY.pack_into(self._opened.table, 0, 1, 0)
            self._enter(FIRST, self._first, 0)
            os.write(give, b"x")
        return self._opened

    def close(self) -> None:
        """In the process that made it, when the run is over."""
        if self._opened is not None:
            for fd in (self._opened.take, self._opened.give, self._opened.locks):
                os.close(fd)
            self._opened = None

    def _get(self, index: int) -> tuple[int, int]:
        host, parent = _ENTRY.unpack_from(self._open().table, _ENTRY.size * index)
        return host, parent

    def _index(self, pid: int) -> int:
        """Of an entry; 0 if there is no such guest process."""
        index = pid - FIRST + 1
        return index if 1 <= index <= self._get(0)[0] else 0

    def has_room(self, most: int) -> bool:
        """Whether fewer than `most` processes run, of the whole guest. A process that has ended does not count."""
        count, _ = self._get(0)
        if count < most:
            return True
        return sum(bool(self._get(index)[0] and self._holder(index)) for index in range(1, count + 1)) < most

    def reserve(self) -> int:
        """A new guest pid. Raises OSError (EAGAIN) when the table is full."""
        shared = self._open()
        os.read(shared.take, 1)
        try:
            count, _ = self._get(0)
            if count >= _ROOM:
                raise OSError(errno.EAGAIN, "too many processes")
            _ENTRY.pack_into(shared.table, 0, count + 1, 0)
            return FIRST + count
        finally:
            os.write(shared.give, b"x")

    def register(self, pid: int, parent: int) -> None:
        """In the new process itself, before its parent goes on: it is guest process `pid` from now on."""
        self._enter(pid, os.getpid(), parent)

    def _enter(self, pid: int, host: int, parent: int) -> None:
        shared, index = self._open(), pid - FIRST + 1
        fcntl.fcntl(shared.locks, fcntl.F_SETLK, _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, index, 1, 0))
        _ENTRY.pack_into(shared.table, _ENTRY.size * index, host, parent)

    def forget(self, pid: int) -> None:
        """It has ended and has been waited for."""
        if index := self._index(pid):
            _ENTRY.pack_into(self._open().table, _ENTRY.size * index, 0, 0)

    def child(self, pid: int, parent: int) -> int | None:
        """The host's pid of a child of `parent` that has not been waited for; None if it is none."""
        index = self._index(pid)
        host, found = self._get(index) if index else (0, 0)
        return host if host and found == parent else None

    def guest(self, host: int) -> int | None:
        """The guest's pid of a host process that is a child of this one."""
        for index in range(self._get(0)[0], 0, -1):
            if self._get(index)[0] == host:
                return FIRST + index - 1
        return None

    def all(self) -> list[int]:
        """Guest pids of the processes that have not been waited for."""
        return [FIRST + index - 1 for index in range(1, self._get(0)[0] + 1) if self._get(index)[0]]

    # -- signals ------------------------------------------------------------------------------------------------------

    def send(self, pid: int, number: int) -> None:
        """kill(2) of another guest process; 0: only whether it is there. Raises ProcessLookupError."""
        index = self._index(pid)
        if not index or not self._get(index)[0]:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        holder = self._holder(index)
        if not holder:
            self._ended(index)
            return
        try:
            fd = os.pidfd_open(holder)
        except OSError as failure:
            if failure.errno != errno.ENOSYS:
                self._ended(index)
                return
            os.kill(holder, number)  # Linux before 5.3
            return
        try:
            if self._holder(index) != holder:  # it ended before the descriptor was opened, which may be somebody else's
                self._ended(index)
                return
            with suppress(ProcessLookupError):  # it ended just now
                signal.pidfd_send_signal(fd, number)
        finally:
            os.close(fd)

    def _holder(self, index: int) -> int:
        """The host's pid of the process that holds a lock; 0: nobody."""
        question = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, index, 1, 0)
        kind, *_, pid = _LOCK.unpack(fcntl.fcntl(self._open().locks, fcntl.F_GETLK, question))
        if kind == fcntl.F_UNLCK:
            return os.getpid() if self._get(index)[0] == os.getpid() else 0  # one's own lock is not told
        return int(pid)

    def _ended(self, index: int) -> None:
        """A process that has ended is there until its parent waits for it; the host waits for orphans. Raises ProcessLookupError."""
        parent = self._index(self._get(index)[1])
        if not parent or not self._holder(parent):
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))

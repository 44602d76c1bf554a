"""The open file of a timer (timerfd_create(2)).

Its host descriptor is an eventfd that counts expiries, so that the host does read, poll and epoll. The time of the next expiry is in shared
memory, for all processes that have inherited the timer. The first whose clock reaches it counts the expiry.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from collections.abc import Sequence
from contextlib import suppress

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.signals.state import SignalState
from uselib.emulator.kernel.signals.timers import Timer
from uselib.emulator.kernel.vfs.descriptions import FileUser
from uselib.emulator.kernel.vfs.host_files import HostFile

_OUT = 0x4 | 0x100 | 0x200  # POLLOUT, POLLWRNORM, POLLWRBAND
_CELL = struct.Struct("<qq")  # deadline (0: not armed), period; ns


def _new_cell() -> int:
    fd = os.memfd_create("timer", os.MFD_CLOEXEC)
    os.ftruncate(fd, _CELL.size)
    return fd


class TimerFile(HostFile):
    """which: the clock's number. signals: those of the process, which keep its timers. known: the host's descriptors, of a timer that another
    process has made; the second is that of the shared memory."""

    inside = True

    def __init__(self, which: int, flags: int, known: tuple[int, int] | None = None) -> None:
        host = os.EFD_CLOEXEC | (os.EFD_NONBLOCK if flags & C.O_NONBLOCK else 0)
        fd, self.cell = known or (os.eventfd(0, host), _new_cell())
        super().__init__(fd, b"anon_inode:[timerfd]", C.O_RDWR | flags & C.O_NONBLOCK)
        self.waits = True
        self.which = which
        self._cell = mmap.mmap(self.cell, _CELL.size)

    def follow(self, signals: SignalState) -> None:
        """This process's clock counts expiries as well, of a timer that another process has armed."""
        deadline, period = _CELL.unpack_from(self._cell)
        if deadline:
            self._arm(signals, deadline, period)

    def asked(self, events: int) -> int:
        return events & ~_OUT  # the host's eventfd can be written to

    def setting(self, now: int) -> tuple[int, int]:
        """Remaining time and period, ns; 0: not armed."""
        deadline, period = _CELL.unpack_from(self._cell)
        if not deadline:
            return 0, period
        if deadline <= now and not period:
            return 0, 0
        return (deadline - now if deadline > now else period - (now - deadline) % period), period

    def set(self, signals: SignalState, deadline: int, period: int) -> None:
        """Arms the timer for a monotonic time in ns; 0 disarms it. Unread expiries are dropped."""
        with suppress(BlockingIOError):
            was = os.get_blocking(self.fd)
            os.set_blocking(self.fd, False)
            try:
                os.eventfd_read(self.fd)
            finally:
                os.set_blocking(self.fd, was)
        _CELL.pack_into(self._cell, 0, deadline, period)
        if deadline:
            self._arm(signals, deadline, period)
        else:
            signals.timers.disarm(self)

    def _arm(self, signals: SignalState, deadline: int, period: int) -> None:
        signals.timers.arm(self, Timer(deadline, period, lambda count: self._expired(count, deadline), inherited=True))
        signals.timers.check()

    def close(self) -> None:
        os.close(self.cell)
        super().close()

    def _expired(self, count: int, first: int) -> None:
        """first: the deadline when it was armed by this process."""
        deadline, period = _CELL.unpack_from(self._cell)
        if not deadline or (not period and deadline != first):
            return  # another process has set it anew, or has counted this
        _CELL.pack_into(self._cell, 0, deadline + count * period if period else 0, period)
        os.eventfd_write(self.fd, count)

    def read(self, process: FileUser, address: int, count: int) -> int:
        if count < 8:
            raise GuestError(errno.EINVAL)
        process.signals.timers.check()
        return super().read(process, address, 8)

    def readv(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        if offset is not None:
            raise GuestError(errno.ESPIPE)
        if sum(size for _, size in parts) < 8:
            raise GuestError(errno.EINVAL)
        process.signals.timers.check()
        return super().readv(process, parts, None)

    def write(self, process: FileUser, address: int, count: int) -> int:
        raise GuestError(errno.EINVAL)

    def writev(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        raise GuestError(errno.EINVAL)

"""The open file of signalfd(2): reading it takes signals.

Signals that the guest blocks wait in two places: those from another process in the host's kernel, the process's own in SignalState. So the
host descriptor is an epoll instance over a host signalfd and an eventfd that is readable while a signal in SignalState waits. Source:
fs/signalfd.c.
"""

from __future__ import annotations

import errno
import os
import select
import signal as host_signal
import struct
from collections.abc import Sequence
from contextlib import suppress

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.host_calls import call
from uselib.emulator.kernel.signals.frames import SI_TIMER, SignalInfo
from uselib.emulator.kernel.signals.numbers import bit, order
from uselib.emulator.kernel.signals.state import SignalState
from uselib.emulator.kernel.vfs.descriptions import FileUser, scatter
from uselib.emulator.kernel.vfs.host_files import HostFile
from uselib.emulator.kernel.waiting import READ, until

# struct signalfd_siginfo: signo errno code pid uid fd tid band overrun trapno status int; ptr utime stime addr
_INFO = struct.Struct("<IiiIIiIIIIiiQQQQ48x")
SIZE = 128
_NONBLOCK, _CLOEXEC = C.O_NONBLOCK, C.O_CLOEXEC


def _encoded(info: SignalInfo) -> bytes:
    timer = info.code == SI_TIMER
    value = info.value & 0xFFFF_FFFF
    number = value - (value >> 31 << 32)
    return _INFO.pack(
        info.signal, 0, info.code, info.pid, info.uid, 0, info.timer if timer else 0, 0, info.overrun, 0, info.status,
        number, info.value & (1 << 64) - 1, 0, 0, info.address,
    ).ljust(SIZE, b"\0")  # fmt: skip


class SignalFile(HostFile):
    """mask: the signals, bit 0 for signal 1."""

    inside = True

    def __init__(self, signals: SignalState, mask: int, flags: int) -> None:
        self._signals = signals
        self.mask = mask
        self._host = call("signalfd", -1, mask.to_bytes(8, "little"), _NONBLOCK | _CLOEXEC)
        self._up = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        epoll = select.epoll()
        for fd in (self._host, self._up):
            epoll.register(fd, select.EPOLLIN)
        fd = os.dup(epoll.fileno())
        os.set_inheritable(fd, False)
        epoll.close()
        super().__init__(fd, b"anon_inode:[signalfd]", C.O_RDWR | flags & C.O_NONBLOCK)
        self.waits = True
        signals.on_post.append(self._posted)
        self.refresh()

    def set(self, mask: int) -> None:
        self.mask = mask
        call("signalfd", self._host, mask.to_bytes(8, "little"), 0)
        self.refresh()

    def _posted(self, info: SignalInfo) -> None:
        if self.mask & bit(info.signal):
            os.eventfd_write(self._up, 1)

    def _queues(self) -> tuple[list[SignalInfo], list[SignalInfo]]:
        return self._signals.thread.pending, self._signals.pending

    def refresh(self) -> None:
        """Called before its readiness is looked at: a signal may have been taken in another way."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._up)
        if any(self.mask & bit(info.signal) for queue in self._queues() for info in queue):
            os.eventfd_write(self._up, 1)

    def _take(self, process: FileUser, most: int) -> bytes | None:
        """Takes the signals that are there, at most `most`; None if there is none."""
        self._signals.timers.check()
        found = b""
        while len(found) < most * SIZE and (data := self._first()):
            found += data
        self.refresh()
        return found or None

    def _first(self) -> bytes:
        """Takes the next signal in the kernel's order; empty if there is none."""
        own, shared = self._queues()
        held = [number for number in host_signal.sigpending() if self.mask & bit(number)]
        for queue, others in ((own, []), (shared, held)):
            waiting = [info for info in queue if self.mask & bit(info.signal)]
            first = min([*(info.signal for info in waiting), *others], key=order, default=0)
            for info in waiting:
                if info.signal == first:
                    queue.remove(info)
                    return _encoded(info)
            if first:
                taken = host_signal.sigtimedwait([first], 0)
                if taken is not None:
                    return _encoded(self._signals.arrivals.one(first, taken.si_code, taken.si_pid, taken.si_status))
        return b""

    def read(self, process: FileUser, address: int, count: int) -> int:
        return self.readv(process, [(address, count)], None)

    def readv(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        if offset is not None:
            raise GuestError(errno.ESPIPE)
        most = sum(size for _, size in parts) // SIZE
        if not most:
            raise GuestError(errno.EINVAL)
        data = self._take(process, most)
        if data is None:
            if not os.get_blocking(self.fd) or self.flags & C.O_NONBLOCK:
                raise GuestError(errno.EAGAIN)
            data = until(process, lambda: self._take(process, most), fds=[(self.fd, READ)])
            assert data is not None  # there is no time limit
        return scatter(process, parts, data)

    def write(self, process: FileUser, address: int, count: int) -> int:
        raise GuestError(errno.EINVAL)

    def writev(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        raise GuestError(errno.EINVAL)

    def close(self) -> None:
        self._signals.on_post.remove(self._posted)
        os.close(self._host)
        os.close(self._up)
        super().close()

"""Waiting for host descriptors in a way that a guest signal ends (EINTR)."""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from uselib.emulator.kernel.clock import Clock
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.signals.state import SignalState
from uselib.emulator.kernel.threads.thread import Thread


class Waiter(Protocol):
    """Who waits: a process.

    A wait ends with EINTR if a signal arrives that is not blocked and not ignored; the signal code then decides whether
    the call is restarted (SA_RESTART).
    """

    @property
    def signals(self) -> SignalState: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def thread(self) -> Thread: ...


READ, WRITE = select.POLLIN, select.POLLOUT
_MILLISECOND = 1_000_000  # ns
_LONGEST = 2**31 - 1  # ms that poll(2) takes; longer waits are several
_RETRY = 0.01  # s between attempts at a lock
_Result = TypeVar("_Result")


def wait_for(process: Waiter, fd: int, events: int) -> None:
    """Waits until the host's `fd` is ready; returns at once for one in non-blocking mode (the call then says EAGAIN).

    Raises GuestError(EINTR) if a signal arrives first.
    """
    wakeup = process.signals.wakeup_fd
    if wakeup < 0:
        return  # no signal can arrive: the host's own blocking call will do
    if not os.get_blocking(fd):
        return
    while not poll(process, [(fd, events)], None):
        pass


def poll(process: Waiter, wanted: Sequence[tuple[int, int]], timeout: int | None) -> list[tuple[int, int]]:
    """poll(2) on host descriptors: (fd, events) pairs in, (fd, revents) out. timeout in ns; None: for ever.

    In deterministic time a wait for nothing but time takes none. Raises GuestError(EINTR) if a signal arrives first.
    """
    poller = select.poll()
    for fd, events in wanted:
        poller.register(fd, events)
    ready = poller.poll(0)
    if ready or timeout == 0:
        return ready
    if process.signals.deliverable():
        raise GuestError(errno.EINTR)
    clock = process.clock
    if not wanted and not clock.sleeps and timeout is not None:
        sleep(process, timeout)
        return []
    return _wait(process, poller, timeout)


def _wait(process: Waiter, poller: select.poll, timeout: int | None) -> list[tuple[int, int]]:
    """The wait of `poll`, which a signal or a timer of the guest's ends. Raises GuestError(EINTR)."""
    clock, wakeup = process.clock, process.signals.wakeup_fd
    if wakeup >= 0:
        poller.register(wakeup, READ)
    limit = timeout
    if clock.alarm_at is not None:  # a timer may go off before
        until = max(clock.alarm_at - clock.now, 0)
        limit = until if limit is None else min(limit, until)
    ready = _poll_for(poller, limit)
    if any(fd == wakeup for fd, _ in ready):
        ready = [(fd, events) for fd, events in ready if fd != wakeup]
        if not ready:
            raise GuestError(errno.EINTR)
    if ready:
        return ready
    clock.advance(limit or 0)
    if process.signals.deliverable() or limit != timeout:
        raise GuestError(errno.EINTR)
    return []


def _poll_for(poller: select.poll, nanoseconds: int | None) -> list[tuple[int, int]]:
    """The host's poll(2) for any time; None: for ever."""
    if nanoseconds is None:
        return poller.poll()
    left = -(-nanoseconds // _MILLISECOND)
    while left > _LONGEST:
        if ready := poller.poll(_LONGEST):
            return ready
        left -= _LONGEST
    return poller.poll(left)


def attempt(process: Waiter, action: Callable[[bool], _Result]) -> _Result:
    """For calls that wait but have nothing to poll (locks): `action(wait)` does it, raising BlockingIOError if it would
    have to wait and `wait` is false. Raises GuestError(EINTR) if a signal arrives first."""
    wakeup = process.signals.wakeup_fd
    if wakeup < 0:
        return action(True)
    while True:
        try:
            return action(False)
        except BlockingIOError:
            if process.signals.deliverable() or select.select([wakeup], [], [], _RETRY)[0]:
                raise GuestError(errno.EINTR) from None


def sleep(process: Waiter, nanoseconds: int) -> None:
    """Lets time pass; none if `nanoseconds` is negative. Raises Interrupted, with what is left, if a signal or a timer of the guest
    comes first."""
    clock, nanoseconds = process.clock, max(nanoseconds, 0)
    end = clock.now + nanoseconds
    if process.signals.deliverable():
        raise Interrupted(end - clock.now)
    if clock.alarm_at is not None and clock.alarm_at < end and not clock.sleeps:
        left = end - clock.alarm_at
        clock.advance(clock.alarm_at - clock.now)
        raise Interrupted(left)
    if not clock.sleeps:
        clock.advance(nanoseconds)
        return
    started = time.monotonic_ns()
    try:
        poll(process, [], nanoseconds)
    except GuestError:
        raise Interrupted(max(nanoseconds - (time.monotonic_ns() - started), 0)) from None


class Interrupted(GuestError):
    """A sleep ended early: EINTR. left: ns that were still to sleep."""

    def __init__(self, left: int) -> None:
        super().__init__(errno.EINTR)
        self.left = max(left, 0)


@contextmanager
def blocked(process: Waiter, mask: int | None) -> Iterator[None]:
    """Another signal mask during a wait (ppoll, pselect6, epoll_pwait); None: none. After EINTR the old mask comes back
    only when the handler has run."""
    if mask is None:
        yield
        return
    signals = process.signals
    old = process.thread.blocked
    signals.set_blocked(mask)
    try:
        yield
    except GuestError as failure:
        if failure.errno == errno.EINTR:
            process.thread.suspended_mask = old
        else:
            signals.set_blocked(old)
        raise
    except BaseException:
        signals.set_blocked(old)
        raise
    signals.set_blocked(old)

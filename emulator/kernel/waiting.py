"""Waiting in a way that a guest signal ends (EINTR), and that lets other threads of the guest run.

A handler never blocks the host by itself: it calls one of these functions. In a process with several threads they park the calling thread
(threads/scheduler.py) and return when its wait is over, with its registers on the CPU; other threads have run meanwhile. With one thread
they wait in the host. In deterministic time a wait for time alone takes no real time.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from uselib.emulator.kernel.clock import Clock
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.signals.state import SignalState
from uselib.emulator.kernel.threads import host_futex
from uselib.emulator.kernel.threads.group import ThreadGroup
from uselib.emulator.kernel.threads.thread import Thread
from uselib.emulator.kernel.threads.wait import HostWord, Wait
from uselib.linker.quick_typing import Protocol, TypeVar


class OpenFiles(Protocol):
    """The open files, as waits use them."""

    def only_inside(self, fds: Sequence[tuple[int, int]]) -> bool:
        """Whether all these host descriptors are the guest's own, so that nobody outside makes them ready."""


class Waiter(Protocol):
    """The process that waits.

    A wait ends with EINTR if a signal arrives that is not blocked and not ignored; the signal code then decides whether
    the call is restarted (SA_RESTART).
    """

    @property
    def signals(self) -> SignalState: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def thread(self) -> Thread: ...
    @property
    def threads(self) -> ThreadGroup: ...
    @property
    def files(self) -> OpenFiles: ...


READ, WRITE = select.POLLIN, select.POLLOUT
_MILLISECOND = 1_000_000  # ns
_LONGEST = 2**31 - 1  # ms that poll(2) takes; longer waits are several
_FIRST_RETRY, _LAST_RETRY = 1_000_000, 20_000_000  # ns of real time between attempts
_Result = TypeVar("_Result")


def patient(process: Waiter) -> bool:
    """Whether host calls must not block: a signal may end the wait, or other threads are to run. If not, the host's own blocking call does."""
    return process.threads.many or process.signals.wakeup_fd >= 0


def wait_for(process: Waiter, fd: int, events: int) -> None:
    """Waits until the host's `fd` is ready; returns at once for one in non-blocking mode (the call then says EAGAIN).

    Raises GuestError(EINTR) if a signal arrives first.
    """
    if not patient(process) or not os.get_blocking(fd):
        return
    poller = select.poll()
    poller.register(fd, events)
    while not poller.poll(0):  # another thread that has waited for the same may have come first
        until(process, lambda: poller.poll(0) or None, fds=[(fd, events)])


def poll(process: Waiter, wanted: Sequence[tuple[int, int]], timeout: int | None) -> list[tuple[int, int]]:
    """poll(2) on host descriptors: (fd, events) pairs in, (fd, revents) out. timeout in ns; None: for ever.

    Raises GuestError(EINTR) if a signal arrives first.
    """
    poller = select.poll()
    for fd, events in wanted:
        poller.register(fd, events)
    return until(process, lambda: poller.poll(0) or None, timeout=timeout, fds=wanted) or []


def until(
    process: Waiter,
    condition: Callable[[], _Result | None],
    *,
    timeout: int | None = None,
    fds: Sequence[tuple[int, int]] = (),
    retry: bool = False,
    word: HostWord | None = None,
) -> _Result | None:
    """Waits until `condition` gives a value, and returns it; None: the time (ns) is over. Raises GuestError(EINTR) if a signal arrives first.

    The condition is asked at the start and whenever something may have changed it: another thread has run, a descriptor of `fds` is ready
    (for the events of poll(2)), a signal has arrived. retry: it may also change without notice, so it is asked again after some real
    time. word: likewise, but a host's futex tells of it.
    """
    value = condition()
    if value is not None or timeout == 0:
        return value
    clock = process.clock
    deadline = None if timeout is None else clock.now + max(timeout, 0)
    if process.threads.many:
        assert process.threads.scheduler is not None
        found: _Result | None = process.threads.scheduler.wait(
            Wait(condition, fds, deadline, retry or word is not None, word=word)
        )
        return found
    return _alone(process, condition, deadline, fds, retry or word is not None, word)


def _alone(
    process: Waiter,
    condition: Callable[[], _Result | None],
    deadline: int | None,
    fds: Sequence[tuple[int, int]],
    retry: bool,
    word: HostWord | None,
) -> _Result | None:
    """`until` of a process with one thread."""
    clock, signals = process.clock, process.signals
    pause = _FIRST_RETRY
    while True:
        if signals.deliverable():
            raise GuestError(errno.EINTR)
        moments = [moment for moment in (deadline, clock.alarm_at) if moment is not None]
        left = max(min(moments) - clock.now, 0) if moments else None
        if deadline is not None and clock.now >= deadline:
            return None
        if left is not None and not retry and not clock.sleeps and process.files.only_inside(fds):
            clock.advance(left)
        else:
            limit = min(pause, _LONGEST * _MILLISECOND if left is None else left) if retry else left
            host_wait(process, fds, limit, word)
            pause = min(2 * pause, _LAST_RETRY)
        value = condition()
        if value is not None:
            return value


def host_wait(
    process: Waiter, fds: Sequence[tuple[int, int]], nanoseconds: int | None, word: HostWord | None = None
) -> bool:
    """Waits in the host for descriptors, signals with a handler, and time (None: for ever), which the guest's clock then knows of. May
    end too early. True: a signal may have come."""
    clock, signals = process.clock, process.signals
    if word is not None and not fds and nanoseconds is not None:
        started = time.monotonic_ns()
        word.woken |= host_futex.wait(word.address, word.value, nanoseconds)
        clock.advance(time.monotonic_ns() - started)
        return True
    poller = select.poll()
    events: dict[int, int] = {}
    for fd, wanted in fds:
        events[fd] = events.get(fd, 0) | wanted
    for fd, wanted in events.items():
        poller.register(fd, wanted)
    if (wakeup := signals.wakeup_fd) >= 0:
        poller.register(wakeup, READ)
    found = poller.poll(None if nanoseconds is None else min(-(-nanoseconds // _MILLISECOND), _LONGEST))
    if not found and nanoseconds is not None:
        clock.advance(min(nanoseconds, _LONGEST * _MILLISECOND))
    if all(fd != wakeup for fd, _ in found):
        return False
    signals.drain()
    return True


def attempt(process: Waiter, action: Callable[[bool], _Result]) -> _Result:
    """For calls that wait but have nothing to poll (locks): `action(wait)` does it, raising BlockingIOError if it would
    have to wait and `wait` is false. Raises GuestError(EINTR) if a signal arrives first."""
    if not patient(process):
        return action(True)

    def once() -> tuple[_Result] | None:
        try:
            return (action(False),)
        except BlockingIOError:
            return None

    done = until(process, once, retry=True)
    assert done is not None  # there is no time limit
    return done[0]


def sleep(process: Waiter, nanoseconds: int) -> None:
    """Lets time pass; none if `nanoseconds` is negative. Raises Interrupted, with what is left, if a signal or a timer of the guest
    comes first."""
    clock = process.clock
    end = clock.now + max(nanoseconds, 0)
    try:
        until(process, lambda: None, timeout=max(nanoseconds, 0))
    except GuestError:
        raise Interrupted(end - clock.now) from None


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

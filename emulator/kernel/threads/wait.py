"""Wait: what a parked thread waits for, and how the wait has ended."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

from uselib.linker.quick_dataclass import dataclass
from uselib.linker.quick_typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uselib.emulator.kernel.threads.thread import Thread


class ThreadEnded(Exception):
    """exit(2) of a thread that is not the last. Raised by the handler."""


class Ending(enum.Enum):
    """How a wait has ended."""

    NOT_YET = 0
    DONE = 1  # `value` is the result
    OVER = 2  # its deadline has passed
    SIGNAL = 3  # a signal has arrived: EINTR


@dataclass(eq=False)
class HostWord:
    """A word that other host processes may wait on and wake: host address, value while the wait goes on. woken: another process has woken
    this one.
    """

    address: int
    value: int
    woken: bool = False


@dataclass(eq=False)
class Wait:
    """condition: returns a value when the wait is over, else None. It is called again after anything that may have changed it. Without a
    condition, Scheduler.wake ends the wait. fds: host descriptors, with the events of poll(2) after which the condition is called. deadline:
    monotonic ns. retry: the condition may also change without notice, so it is called again after some real time. interruptible: by signals.
    futex: the address of a futex wait, 0 for others (deadlock.py). word: a host futex that is woken at a change.
    """

    condition: Callable[[], Any] | None = None
    fds: Sequence[tuple[int, int]] = ()
    deadline: int | None = None
    retry: bool = False
    interruptible: bool = True
    futex: int = 0
    word: HostWord | None = None
    ending: Ending = Ending.NOT_YET
    value: Any = None


@dataclass(eq=False)
class FutexWaiter:
    """A thread in the queue of a futex. bitset: of FUTEX_WAIT_BITSET. pi: it waits to own the word (FUTEX_LOCK_PI), which `owner` owned.
    target: the key of the queue to which FUTEX_CMP_REQUEUE_PI may move it. number: the index among futex_waitv's words. woken: it has left
    the queue for good.
    """

    thread: Thread
    key: tuple[object, ...]
    address: int
    bitset: int = 0xFFFF_FFFF
    pi: bool = False
    owner: int = 0
    target: tuple[object, ...] | None = None
    number: int = 0
    woken: bool = False

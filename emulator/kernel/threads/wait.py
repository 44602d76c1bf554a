"""Wait: what a parked thread waits for, and how its wait has ended."""

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
    DONE = 1  # value says with what
    OVER = 2  # its time has passed
    SIGNAL = 3  # a signal has come: EINTR


@dataclass(eq=False)
class HostWord:
    """A word that other processes of the host may wait on and wake: host address, value while the wait goes on. woken: one of them has
    woken us."""

    address: int
    value: int
    woken: bool = False


@dataclass(eq=False)
class Wait:
    """condition: gives a value when the wait is over, else None; asked again after whatever may have changed it (None: somebody ends the
    wait by Scheduler.wake). fds: host descriptors with the events of poll(2) after which it is asked. deadline: monotonic ns. retry: it
    may also change without notice, so it is asked again after some real time. interruptible: by signals. futex: the address of a futex
    wait, 0 for others (deadlock.py). word: a host's futex that tells of a change.
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
    """A thread in the queue of a futex. bitset: of FUTEX_WAIT_BITSET. pi: it wants to own the word (FUTEX_LOCK_PI), which was `owner`'s. target:
    where FUTEX_CMP_REQUEUE_PI may move it (key). number: which of futex_waitv's words. woken: it has left the queue for good."""

    thread: Thread
    key: tuple[object, ...]
    address: int
    bitset: int = 0xFFFF_FFFF
    pi: bool = False
    owner: int = 0
    target: tuple[object, ...] | None = None
    number: int = 0
    woken: bool = False

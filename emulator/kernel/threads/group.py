"""ThreadGroup: the threads of one process, and what concerns all of them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from uselib.emulator.kernel.threads.order import Order, RoundRobin
from uselib.linker.quick_typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from uselib.emulator.kernel.threads.thread import Thread
    from uselib.emulator.kernel.threads.wait import FutexWaiter, Wait
    from uselib.emulator.process.interfaces import ThreadMachine

WAITING = 1024  # number of counters of futex waiters


class ThreadScheduler(Protocol):
    """What system call handlers use of the scheduler (scheduler.py). The calling thread is the one whose system call is carried out."""

    signalled: bool
    undecided: bool  # all threads wait: there is none on the CPU
    only: Thread | None  # the others do not run (a debugger)

    def wait(self, wait: Wait) -> Any:
        """Parks the calling thread until its wait is over. Returns the wait's value, or None at its deadline. Raises GuestError(EINTR)."""

    def wake(self, thread: Thread) -> None:
        """Ends the wait of a parked thread."""

    def offer(self, call: Callable[[int, Sequence[int]], int]) -> None:
        """Says before each run of the CPU which turns native code may take. call: the function that carries out system calls."""

    def take_over(self) -> bool:
        """Takes over the threads that native code has put to sleep: they wait here from now on, each in the middle of its futex call. Returns
        False if there are none.
        """

    def yield_soon(self) -> None:
        """After this system call it is another thread's turn."""

    def add(self, thread: Thread) -> None:
        """A new thread, which can run."""

    def waits(self, thread: Thread) -> bool:
        """Whether the thread is in a system call that waits."""

    def show(self, thread: Thread) -> None:
        """Puts the thread's registers on the CPU, which is at rest, to be read and changed until the program runs on."""

    def prefer(self, thread: Thread) -> None:
        """The thread runs before the others, if it can run."""

    def registers(self, thread: Thread) -> list[int]:
        """General registers of a thread, in the order of Cpu.general."""

    def registers_of(self, thread: Thread) -> AbstractContextManager[None]:
        """The registers of a new thread are on the CPU, first as copies of the calling one's."""

    def forget(self, thread: Thread) -> None:
        """A thread that was added cannot be started."""

    def remove(self, thread: Thread) -> None:
        """A thread has ended; if it is the calling one, ThreadEnded has to be raised."""

    def end_others(self) -> None:
        """All threads but the calling one end, and so does this scheduler (execve)."""

    def after_fork(self) -> None:
        """In the child, which has the calling thread only."""

    def close(self) -> None:
        """The run is over."""


class ThreadGroup:
    """all: thread number -> thread, of those that live; the process fills it in. many: there are several, so system calls must not block the
    host (waiting.py). machine: where they run. scheduler: from the second thread on, until the next execve. futexes: the waiters in order, by
    key (futex.py). order: which thread is next, and for how long. waiting: how many wait for private futexes, by a hash of the address, for
    native code.
    """

    def __init__(self, order: Order | None = None) -> None:
        self.all: dict[int, Thread] = {}
        self.many = False
        self.machine: ThreadMachine | None = None
        self.order = order or RoundRobin()
        self.scheduler: ThreadScheduler | None = None
        self.futexes: dict[tuple[object, ...], list[FutexWaiter]] = {}
        self.waiting = (ctypes.c_uint16 * WAITING)()
        self.free_numbers: list[int] = []  # of threads that have ended
        self.lost: list[
            object
        ] = []  # calls of the parent's other threads; their Python stacks must not be unwound here
        self.on_switch: list[Callable[[Thread], None]] = []  # another thread is on the CPU now
        self.on_end: list[Callable[[Thread], None]] = []  # a thread has ended, and others go on
        self.on_park: list[Callable[[Thread], None]] = []  # a system call of this thread waits, and others run

    def take_over(self) -> bool:
        """Called before all waiters of futexes are looked at. See ThreadScheduler."""
        return self.scheduler is not None and self.scheduler.take_over()

    def counted(self) -> None:
        """Called after threads have started or ended."""
        self.many = len(self.all) > 1

    def blocked(self) -> int:
        """The signals that all threads block."""
        mask = -1
        for thread in self.all.values():
            mask &= thread.blocked & ~thread.sigwait
        return mask

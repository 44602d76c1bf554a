"""ReadyThreads: the threads that can run, in the order in which they wait for their turn, and which of those turns native code may take.

The machine keeps the order (interfaces.TurnQueue), where native code sees it. So sched_yield and futexes between threads do not leave the
CPU's run (machine/native/calls/turns.c). Native code takes the turns that the scheduler would take, with the same time on the clock, so a
program runs the same without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.emulator.kernel.process import Process
    from uselib.emulator.kernel.threads.thread import Thread
    from uselib.emulator.kernel.threads.wait import Wait
    from uselib.emulator.process.interfaces import TurnQueue

from uselib.emulator.kernel.threads.sequences import POINTER

_NEVER = 1 << 62  # ns


class ReadyThreads:
    """The threads of one program that can run."""

    def __init__(self, queue: TurnQueue) -> None:
        self._queue = queue
        self._by_context: dict[int, Thread] = {}

    def enter(self, thread: Thread) -> None:
        """The thread has a saved context now."""
        assert thread.context is not None
        self._by_context[thread.context] = thread

    def with_context(self, context: int) -> Thread:
        return self._by_context[context]

    def append(self, thread: Thread, parked: bool = False) -> None:
        """Adds a thread at the end. parked: its system call goes on first."""
        assert thread.context is not None
        self._queue.append(thread.context, parked)

    def take(self, position: int = 0) -> Thread:
        """Takes a thread out. 0 is the one that has waited longest."""
        return self._by_context[self._queue.take(position)]

    def remove(self, thread: Thread) -> None:
        assert thread.context is not None
        self._queue.remove(thread.context)

    def clear(self) -> None:
        """Removes all threads; the others have ended."""
        self._queue.clear()

    def rename(self, thread: Thread) -> None:
        """Gives the thread another number (after fork)."""
        assert thread.context is not None
        self._queue.rename(thread.context, thread.tid)

    def __contains__(self, thread: Thread) -> bool:
        return thread.context is not None and thread.context in self._queue

    def __len__(self) -> int:
        return len(self._queue)

    def waits(self) -> list[tuple[Thread, list[int]]]:
        """The threads that native code has put to sleep since the last call of this method, and the words of their futex calls: number,
        arguments.
        """
        return [(self._by_context[context], call) for context, call in self._queue.waits()]

    def offer(self, process: Process, polled: Iterable[Wait]) -> None:
        """Lets native code take turns in the next run of the CPU. It may not if a signal is pending for a thread, if something other than the
        clock may end a wait, or if an observer is told of each turn.
        """
        group = process.threads
        if (
            group.on_switch
            or group.on_park
            or process.signals.pending
            or any(thread.pending or thread.interrupted_call is not None for thread in group.all.values())
            or any(wait.condition is not None for wait in polled)
        ):
            self._queue.refuse()
            return
        thread = process.thread
        assert thread.context is not None
        self._queue.note_sequence(thread.context, thread.sequences.area + POINTER if thread.sequences else 0)
        deadlines = (wait.deadline for wait in polled if wait.deadline is not None)
        self._queue.allow(group.order.slice(), min(deadlines, default=_NEVER))

    def refuse(self) -> None:
        """The scheduler takes all turns."""
        self._queue.refuse()

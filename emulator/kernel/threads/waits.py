"""Waits: what the parked threads of a process wait for, and which of these waits are over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uselib.emulator.kernel.threads.wait import Ending, Wait

if TYPE_CHECKING:
    from uselib.emulator.kernel.process import Process
    from uselib.emulator.kernel.threads.ready import ReadyThreads
    from uselib.emulator.kernel.threads.thread import Thread


class Waits:
    """all: thread -> its wait. polled: those with a condition or a deadline, in the order in which they came. A thread whose wait is over
    goes to `ready`.
    """

    def __init__(self, process: Process, ready: ReadyThreads) -> None:
        self._process, self._ready = process, ready
        self.all: dict[Thread, Wait] = {}
        self.polled: dict[Thread, Wait] = {}

    def begin(self, thread: Thread, wait: Wait) -> None:
        self.all[thread] = wait
        if wait.condition is not None or wait.deadline is not None:
            self.polled[thread] = wait

    def forget(self, thread: Thread) -> None:
        self.all.pop(thread, None)
        self.polled.pop(thread, None)

    def clear(self) -> None:
        self.all.clear()
        self.polled.clear()

    def end(self, thread: Thread, ending: Ending, value: Any = None) -> None:
        """Ends the wait of a thread, if it has not ended yet."""
        wait = self.all.get(thread)
        if wait is None or wait.ending is not Ending.NOT_YET:
            return
        wait.ending, wait.value = ending, value
        self.polled.pop(thread, None)
        self._ready.append(thread, parked=True)

    def end_by_signals(self) -> None:
        """Ends the waits of threads that have a signal to deliver."""
        signals = self._process.signals
        for thread, wait in list(self.all.items()):
            if wait.interruptible and signals.deliverable_to(thread):
                self.end(thread, Ending.SIGNAL)

    def end_by_themselves(self) -> None:
        """Ends the waits whose condition holds or whose time is over."""
        if not self.polled:
            return
        process = self._process
        running = process.thread
        for thread, wait in list(self.polled.items()):
            if wait.condition is not None:
                process.thread = process.signals.thread = thread
                value = wait.condition()
                if value is not None:
                    self.end(thread, Ending.DONE, value)
                    continue
            if wait.deadline is not None and wait.deadline <= process.clock.now:
                self.end(thread, Ending.OVER)
        process.thread = process.signals.thread = running

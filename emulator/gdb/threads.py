"""The threads of the program as GDB sees them: numbers, whose registers are looked at, which one goes on.

A thread is known by its number in the guest, in hexadecimal. The one that GDB has selected (packet Hg) has its registers on the CPU while
the program is stopped; before it runs on, the thread that was stopped comes back.
"""

from __future__ import annotations

from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.threads.thread import Thread


class ThreadView:
    """Of the process under GDB."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def all(self) -> list[int]:
        """Numbers, the first thread's first."""
        return sorted(self._process.threads.all or {self._process.thread.tid: self._process.thread})

    @property
    def running(self) -> int:
        """The thread that was on the CPU when the program stopped."""
        return self._process.thread.tid

    def _thread(self, number: int) -> Thread | None:
        return self._process.thread if number == self.running else self._process.threads.all.get(number)

    def select(self, number: int) -> bool:
        """Its registers are what is read and written from now on. False: there is no such thread."""
        thread = self._thread(number)
        if thread is None:
            return False
        if self._process.threads.scheduler is not None:
            self._process.threads.scheduler.show(thread)
        return True

    def back(self) -> None:
        """The program is to run on."""
        self.select(self.running)

    def prefer(self, number: int) -> None:
        """This thread goes on first, if it can."""
        thread, scheduler = self._thread(number), self._process.threads.scheduler
        if thread is not None and scheduler is not None:
            scheduler.prefer(thread)

    def hold_others(self, number: int) -> None:
        """Only this thread runs; 0: all do."""
        if self._process.threads.scheduler is not None:
            self._process.threads.scheduler.only = self._thread(number) if number else None

    def description(self, number: int) -> str:
        """For `info threads`."""
        thread = self._thread(number)
        if thread is None:
            return ""
        name = thread.name or self._process.identity.name
        scheduler = self._process.threads.scheduler
        return name + (", in a system call that waits" if scheduler is not None and scheduler.waits(thread) else "")

"""Watcher: the thread that stops the CPU from outside when a host signal has arrived or a deadline has passed.

Python runs signal handlers between bytecodes of the main thread only, and the main thread spends its time inside Unicorn.
So a second thread waits for the signal pipe and for deadlines, and stops the CPU; all the work is then done by the main
thread (`Runner.at_rest`). It is started only when something needs it.
"""

from __future__ import annotations

import os
import select
import signal
import time
from _thread import get_ident
from collections.abc import Callable
from contextlib import suppress

from uselib.emulator.process.host_signals import held_back
from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

NUDGE = signal.SIGRTMAX  # sent to the main thread when it is stuck in a call of the host's
_STUCK = 40  # attempts, after which it must be
_LONGEST = 2**31 - 1  # ms that poll(2) takes; waking up too early does no harm
_REPEAT = 0.005  # s between attempts to stop: one that comes between two runs is lost


class Watcher:
    """interrupt: stops the CPU (thread-safe); pending: whether the last interrupt has not been seen yet."""

    def __init__(self, interrupt: Callable[[], None], pending: Callable[[], bool]) -> None:
        self._interrupt = interrupt
        self._pending = pending
        self._main = get_ident()  # the thread that runs the machine
        self._thread: threading.Thread | None = None
        self._pipe: tuple[int, int] | None = None
        self._deadlines: dict[str, float] = {}  # real time (time.monotonic)
        self._fd = -1
        self._stopped = False

    def watch(self, *, fd: int | None = None, **deadlines: float | None) -> None:
        """Sets the descriptor to watch and deadlines by name (None: no longer), starting the thread if need be."""
        if fd is not None:
            self._fd = fd
        for name, moment in deadlines.items():
            if moment is None:
                self._deadlines.pop(name, None)
            else:
                self._deadlines[name] = moment
        if self._thread is None:
            if self._fd >= 0 or self._deadlines:
                self._start()
        elif self._pipe is not None:
            os.write(self._pipe[1], b"x")

    def overdue(self) -> bool:
        """Whether the limit of the run has passed."""
        moment = self._deadlines.get("limit")
        return moment is not None and time.monotonic() >= moment

    def passed(self, name: str) -> bool:
        """Whether a deadline's time has come; then it is forgotten."""
        moment = self._deadlines.get(name)
        if moment is None or time.monotonic() < moment:
            return False
        del self._deadlines[name]
        return True

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped = True
        if self._thread is not None and self._pipe is not None:
            os.write(self._pipe[1], b"x")
            self._thread.join()
            for fd in self._pipe:
                os.close(fd)
            self._thread = self._pipe = None

    def after_fork(self) -> None:
        """The thread exists in the parent only."""
        self._thread = None
        if self._pipe is not None:
            for fd in self._pipe:
                os.close(fd)
            self._pipe = None
        if self._fd >= 0 or self._deadlines:
            self._start()

    def _start(self) -> None:
        self._pipe = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        import threading  # most runs need no thread

        with held_back():  # signals are the main thread's
            self._thread = threading.Thread(target=self._run, args=(self._pipe[0],), daemon=True)
            self._thread.start()

    def _run(self, wake: int) -> None:
        while True:
            poller = select.poll()
            poller.register(wake, select.POLLIN)
            if self._fd >= 0:
                poller.register(self._fd, select.POLLIN)
            moments = list(self._deadlines.values())
            delay = max(min(moments) - time.monotonic(), 0) * 1000 if moments else None
            ready = dict(poller.poll(None if delay is None else min(delay + 1, _LONGEST)))
            if self._stopped:
                return
            if wake in ready:
                with suppress(BlockingIOError):
                    os.read(wake, 512)
                if len(ready) == 1:
                    continue
            self._interrupt()
            time.sleep(_REPEAT)
            attempts = 0
            while self._pending() and not self._stopped:
                self._interrupt()
                time.sleep(_REPEAT)
                attempts += 1
                if attempts % _STUCK == 0 and self.overdue():
                    signal.pthread_kill(self._main, NUDGE)

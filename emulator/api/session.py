"""Session: a Runner whose run can be left and entered again, inside a Python program that has other things to do.

The differences from `uselib run`: the guest's standard files are Python's choice; its signal mask and handlers stay its own
and are not mirrored at the host, so that several sessions live in one process; Ctrl-C raises KeyboardInterrupt out of
`resume`; the report of a fault is kept, not printed.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from uselib.emulator.api.errors import GuestFault
from uselib.emulator.kernel.clock import Clock
from uselib.emulator.kernel.signals.state import SignalState
from uselib.emulator.kernel.vfs.descriptors import FileTable, HostFile
from uselib.emulator.process.interfaces import ProcessEnded
from uselib.emulator.process.reports import death_report
from uselib.emulator.process.run import Runner, RunOptions
from uselib.linker.errors import Diagnostic, UsageError

O_RDONLY, O_WRONLY = 0, 1


class EmbeddedSignals(SignalState):
    """The guest's signals, with no hand on the host's."""

    def _set_host(self, signal: int, disposition: Any) -> None:
        pass

    def mirror_mask(self) -> None:
        pass

    def _open_wakeup(self) -> None:
        self.on_wait_needed()

    def give_back(self) -> None:
        pass


class Standard:
    """The guest's descriptors 0, 1 and 2. stdin: bytes, a file, or None for Python's own; capture: keep what is written."""

    def __init__(self, stdin: bytes | BinaryIO | None, capture: bool) -> None:
        self._own: list[int] = []
        self.fds = [0, 1, 2]
        if isinstance(stdin, bytes):
            self.fds[0] = self._memory("stdin")
            os.write(self.fds[0], stdin)
            os.lseek(self.fds[0], 0, os.SEEK_SET)
        elif stdin is not None:
            self.fds[0] = stdin.fileno()
        if capture:
            self.fds[1:] = self._memory("stdout"), self._memory("stderr")

    def _memory(self, name: str) -> int:
        fd = os.memfd_create(name, os.MFD_CLOEXEC)
        self._own.append(fd)
        return fd

    def table(self, limit: int) -> FileTable:
        table = FileTable(limit)
        for number, fd in enumerate(self.fds):
            with suppress(OSError):
                name = (b"/dev/stdin", b"/dev/stdout", b"/dev/stderr")[number]
                table.put(number, HostFile(fd, name, O_WRONLY if number else O_RDONLY, owned=False), False)
        return table

    def written(self, number: int) -> bytes:
        """All that was written to descriptor 1 or 2, if it is captured."""
        fd = self.fds[number]
        return os.pread(fd, os.fstat(fd).st_size, 0) if fd in self._own else b""

    def close(self) -> None:
        while self._own:
            os.close(self._own.pop())


class Session(Runner):
    """See the module's docstring. Raises ToolError from `start`."""

    def __init__(self, options: RunOptions, standard: Standard) -> None:
        super().__init__(options)
        self.standard = standard
        self.report = ""
        self.open = False
        self._ctrl_c: tuple[int, int] | None = None

    def start(self) -> None:
        """Loads the program; nothing of it has run."""
        self._set_up()
        self.open = True
        try:
            self._prepare()
            self._begin()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if not self.open:
            return
        self.open = False
        self._put_away()
        if self._ctrl_c is not None:
            for fd in self._ctrl_c:
                os.close(fd)
            self._ctrl_c = None

    def _prepare(self) -> None:
        if self.options.max_seconds is not None:
            if threading.current_thread() is not threading.main_thread():
                raise UsageError(Diagnostic("max_seconds", "works in the main thread only"))
            super()._prepare()

    def _make_signals(self, clock: Clock) -> SignalState:
        return EmbeddedSignals(lambda: self.process, clock)

    def _make_files(self) -> FileTable:
        return self.standard.table(self.options.max_files or 1024)

    def _report(self, end: ProcessEnded) -> None:
        self.report = self.describe(end)

    def describe(self, end: ProcessEnded) -> str:
        """The line that says where a signal has killed the guest."""
        assert self.machine is not None
        name = self.process.identity.executable or self.options.program
        line = death_report(name, end, self.machine.space, self.machine.cpu, long=False)[0]
        return line.removeprefix("uselib: ")

    def fault(self, end: ProcessEnded) -> GuestFault:
        assert self.machine is not None
        return GuestFault(self.describe(end), end.signal, self.machine.cpu.pc)

    def finish(self, end: ProcessEnded) -> int:
        """The process is over; a forked child ends here. Returns the exit status for a shell."""
        return self._ended(end)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While the guest runs, a signal of the host's stops the CPU, so that Python's own handlers run."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        if self._ctrl_c is None:
            self._ctrl_c = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            self.watcher.watch(fd=self._ctrl_c[0])
        before = signal.set_wakeup_fd(self._ctrl_c[1], warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            if self._ctrl_c is not None:
                with suppress(BlockingIOError):
                    os.read(self._ctrl_c[0], 512)

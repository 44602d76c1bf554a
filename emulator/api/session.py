"""Session: a run that can be left and entered again, inside a Python program that has other things to do.

The differences from `uselib run`: the guest's standard files are Python's choice; its signal mask and handlers stay its own
and are not mirrored at the host, so that several sessions live in one process; Ctrl-C raises KeyboardInterrupt out of
`resume`; the report of a fault is kept, not printed.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from uselib.emulator.api.errors import GuestFault
from uselib.emulator.kernel.signals.host_side import HostSignals
from uselib.emulator.kernel.vfs.descriptors import FileTable
from uselib.emulator.kernel.vfs.host_files import HostFile
from uselib.emulator.process.hooks import RunHooks
from uselib.emulator.process.host import Death, Host, Loader, load_program
from uselib.emulator.process.interfaces import ProcessEnded
from uselib.emulator.process.run import Runner
from uselib.emulator.process.run_options import RunOptions
from uselib.linker.errors import Diagnostic, UsageError

O_RDONLY, O_WRONLY = 0, 1


class UnchangedHost(HostSignals):
    """The host's handlers and mask stay as they are, and there is no pipe: who runs the session waits for the host's signals."""

    def set(self, signal: int, disposition: Any, flags: int = 0) -> None:
        pass

    def set_mask(self, mask: int) -> None:
        pass

    def open_wakeup(self) -> None:
        self._events.wait_needed()

    def give_back(self, blocked: int) -> None:
        pass


class StandardFiles:
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


class Session:
    """See the module's docstring. `runner` has the program loaded; nothing of it has run. Raises ToolError, and then `standard` is closed."""

    def __init__(
        self, options: RunOptions, standard: StandardFiles, load: Loader = load_program, hooks: Sequence[RunHooks] = ()
    ) -> None:
        self.standard = standard
        self.report = ""
        self._ctrl_c: tuple[int, int] | None = None
        host = Host(standard.table, UnchangedHost, load, self._keep_report)
        try:
            if options.max_seconds is not None and threading.current_thread() is not threading.main_thread():
                raise UsageError(Diagnostic("max_seconds", "works in the main thread only"))
            self.runner = Runner(options, hooks, host)
        except BaseException:
            standard.close()
            raise
        self.open = True

    def close(self) -> None:
        if not self.open:
            return
        self.open = False
        self.runner.close()
        self.standard.close()
        if self._ctrl_c is not None:
            for fd in self._ctrl_c:
                os.close(fd)
            self._ctrl_c = None

    def _keep_report(self, death: Death, _options: RunOptions) -> None:
        self.report = death.line

    def describe(self, end: ProcessEnded) -> str:
        """The line that says where a signal has killed the guest."""
        runner = self.runner
        name = runner.process.identity.executable or runner.options.program
        return Death(name, end, runner.machine, []).line

    def fault(self, end: ProcessEnded) -> GuestFault:
        """What a call from Python raises when a signal kills the guest."""
        return GuestFault(self.describe(end), end.signal, self.runner.machine.cpu.pc)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While the guest runs, a signal of the host's stops the CPU, so that Python's own handlers run."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        if self._ctrl_c is None:
            self._ctrl_c = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            self.runner.watcher.watch(fd=self._ctrl_c[0])
        before = signal.set_wakeup_fd(self._ctrl_c[1], warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            if self._ctrl_c is not None:
                with suppress(BlockingIOError):
                    os.read(self._ctrl_c[0], 512)

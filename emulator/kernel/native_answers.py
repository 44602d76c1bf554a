"""NativeAnswers: which system calls native code may answer by itself (machine/native_calls.py), and when.

It answers frequent calls that need no decision: read, write and related calls on descriptors whose description allows it
(Description.native), the number of the process, the deterministic clock, futexes without waiters. It must not answer if a timer is armed,
since each reading of the clock may reach its time; if the process has forbidden itself calls; if the order of threads switches at calls; or
if an observer sees each call (--strace, KernelTap). Native code does what the handlers do, and leaves all unusual cases to them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

from uselib.emulator.kernel import table
from uselib.emulator.kernel.process import Process
from uselib.emulator.process.interfaces import AnswerTable


class NativeAnswers:
    """The answers for one process and program."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._calls: AnswerTable | None = None  # connected
        self._shown = 0  # the process whose state native code shows

    def _connect(self, calls: AnswerTable) -> None:
        process = self._process
        self._calls = calls
        calls.connect(
            table.names(process.machine),
            ctypes.addressof(process.clock.cell),
            ctypes.addressof(process.files.native),
            ctypes.addressof(process.threads.waiting),
        )

    def offer(self, calls: AnswerTable, call: Callable[[int, Sequence[int]], int]) -> None:
        """See interfaces.Kernel. call: what carries out system calls."""
        process = self._process
        clock, threads = process.clock, process.threads
        watched = clock.alarm_at is not None or process.settings.seccomp is not None
        if watched or (threads.many and threads.order.at_calls):
            calls.refuse()
            return
        if calls is not self._calls:
            self._connect(calls)
        pid = process.identity.pid
        if self._shown != pid and not process.pids.alone:
            self._shown = pid
            calls.show_state(process.pids.state_address(pid))
        if threads.many and threads.scheduler is not None:
            threads.scheduler.offer(call)
        wakeup = process.signals.wakeup_fd
        calls.allow(
            threads.many or wakeup >= 0,
            wakeup,
            threads.many,
            process.limits.file_size_free,
            pid,
            process.thread.tid,
            clock.date_begins,
            clock.sleeps,
        )

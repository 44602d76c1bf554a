"""GuestKernel: what the machine calls (interfaces.Kernel), for one process."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from uselib.emulator.kernel import table, vsyscall
from uselib.emulator.kernel.dispatch import Dispatcher, Observer
from uselib.emulator.kernel.limits import DEFAULT_FILES
from uselib.emulator.kernel.native_answers import NativeAnswers
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.signals import delivery
from uselib.emulator.kernel.signals.numbers import SIGKILL
from uselib.emulator.kernel.signals.state import SignalState
from uselib.emulator.process.interfaces import AnswerTable, Fault, ProcessEnded
from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.emulator.kernel.legacy_calls import LegacyCalls


class GuestKernel:
    """System calls, exceptions and signals of one process."""

    def __init__(self, process: Process, observer: Observer | None = None, max_files: int | None = None) -> None:
        self._max_files = max_files  # the user's limit: reaching it ends the run
        self.process = process
        self.signals: SignalState = process.signals
        self.dispatcher = Dispatcher(process, observer)
        self._call = self.dispatcher.call
        self._rows = table.for_machine(process.machine)
        self._legacy: LegacyCalls | None = None
        self._answers = None if observer is not None else NativeAnswers(process)

    def system_call(self, number: int, arguments: Sequence[int]) -> int:
        if self.process.settings.seccomp is not None:
            from uselib.emulator.kernel.calls.seccomp import refused as refuse

            refused = refuse(self.process, number, arguments)
            if refused is not None:
                return refused
        result = self._call(number, arguments)
        if result < 0:
            self._failed(number, result, self._rows)
        return result

    def _failed(self, number: int, result: int, rows: table.CallTable) -> None:
        """Reports a call that has failed. Raises ProcessEnded at a limit that the user has set."""
        if result == -errno.EINTR:
            thread = self.process.thread
            thread.interrupted_call = (number, rows[number].restarts and thread.restarts)
            thread.restarts = True
        elif result == -errno.EMFILE and self._max_files is not None:
            raise ProcessEnded(signal=SIGKILL, reason=f"it needs more than {self._max_files} open files (--max-files)")
        elif result == -errno.EMFILE and self.process.files.limit >= DEFAULT_FILES:  # else its own setrlimit(2)
            most = self.process.files.limit
            self.process.talk.once(f"it has {most} files open, as many as it may (--max-files): it gets EMFILE")
        elif (
            result == -errno.EFBIG
            and self.process.limits.file_size_free
            and rows[number].effect is not table.Effect.NONE
        ):
            self.process.talk.once(
                "a file would take more than half of the free disk, or 16 MiB in memory: it gets EFBIG"
            )

    def legacy_system_call(self, number: int, arguments: Sequence[int]) -> int:
        if self._legacy is None:
            from uselib.emulator.kernel.legacy_calls import LegacyCalls

            self._legacy = LegacyCalls(self.process, self.dispatcher.observer, self._failed)
        return self._legacy.call(number, arguments)

    def offer(self, calls: AnswerTable) -> None:
        if self._answers is None:
            calls.refuse()
        else:
            self._answers.offer(calls, self.system_call)

    def exception(self, fault: Fault) -> None:
        if fault.address >= vsyscall.PAGE and vsyscall.emulate(self.process, self.system_call, fault):
            return
        delivery.exception(self.signals, fault, self.process.cpu, self.process.memory)

    def deliver_pending(self) -> None:
        delivery.deliver(self.signals, self.process.cpu, self.process.memory)

    @property
    def signal_pending(self) -> bool:
        return self.signals.ready

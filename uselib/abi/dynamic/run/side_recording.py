"""The recording of one side: calls made outside the library under test, effects of system calls, accesses to exported data."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence

from uselib.abi.dynamic.run.data_watch import DataWatch
from uselib.abi.dynamic.run.digest import DigestSink
from uselib.abi.dynamic.run.side_run import SideJob
from uselib.emulator.kernel import table
from uselib.emulator.kernel.dispatch import BoundSyscall
from uselib.emulator.kernel.strace.effects import changes, effect_text, target
from uselib.emulator.kernel.structs import structs_of
from uselib.emulator.kernel.table import Effect, Syscall
from uselib.emulator.process.interfaces import Kernel, WatchableMachine
from uselib.emulator.process.kernel_tap import KernelTap
from uselib.emulator.trace.record.backend import NO_LIMIT, Backend, Want
from uselib.emulator.trace.record.filters import Filters
from uselib.emulator.trace.record.known_files import KnownFile
from uselib.emulator.trace.record.record_options import RecordOptions
from uselib.emulator.trace.record.recorded_files import RecordedFunction, joined
from uselib.emulator.trace.record.recorder import Recorder
from uselib.emulator.trace.record.recording_hooks import RecordingHooks
from uselib.linker.image import Machine
from uselib.loader.memory.address_space import AddressSpace
from uselib.loader.memory.vma import Vma

_MOST_EFFECTS = 1 << 20  # of one process


class SideRecording(RecordingHooks):
    """Records the calls made outside the library under test, and the outside effects of a process."""

    def __init__(self, sink: DigestSink, job: SideJob) -> None:
        self._digests = sink
        self._job = job
        self._maps: list[tuple[int, int]] = []  # memory that was mapped at any time: possible targets of pointers
        self._effects: list[tuple[int, str]] = []
        self._counts: Counter[str] = Counter()
        self._watch: DataWatch | None = None

    def program_started(self, machine: WatchableMachine, space: AddressSpace, backend: Backend) -> None:
        self._space, self._backend, self._maps = space, backend, []
        self._architecture = Machine.I386 if machine.bits == 32 else Machine.X86_64
        self._calls = {
            n: BoundSyscall(row, self._architecture) for n, row in table.for_machine(self._architecture).items()
        }
        backend.set_callers([(0, self._job.base + 1), (self._job.end + 1, NO_LIMIT)])
        if self._job.watched.pages:
            self._watch = DataWatch(machine, space, self._job.watched, backend)

    def wrap_kernel(self, kernel: Kernel) -> Kernel:
        return KernelTap(kernel, system_call=self._system_call)

    def mapped(self, vma: Vma) -> None:
        if vma.file is None:
            self._maps.append((vma.start, vma.end))

    def forked(self) -> None:
        self._effects, self._counts = [], Counter()
        if self._watch is not None:
            self._watch.forget()

    def program_ended(self, process: int) -> None:
        found = self._watch.result() if self._watch is not None else {"rows": [], "log": [], "lost": 0}
        maps = joined([*self._maps, *((vma.start, vma.end) for vma in self._space)])
        texts = {
            "summary": self._digests.summary(process),
            "effects": {"counts": dict(self._counts), "effects": self._effects},
            "data": {**found, "maps": maps},
        }
        self._effects, self._counts = [], Counter()
        for kind, value in texts.items():
            with open(os.path.join(self._job.directory, f"{kind}-{process}.json"), "w") as file:
                json.dump(value, file)

    # -- system calls -----------------------------------------------------------------------------------------------------

    def _system_call(self, kernel: Kernel, number: int, arguments: list[int]) -> int:
        call = self._calls.get(number)
        self._counts[call.row.name if call is not None else table.name_of(number, self._architecture)] += 1
        if call is None or call.row.effect is Effect.NONE:
            return kernel.system_call(number, arguments)
        at = self._note(call.row, call.arguments(arguments))
        result = kernel.system_call(number, arguments)
        if at >= 0 and call.row.effect is Effect.OUTPUT and result > 0:
            sequence, text = self._effects[at]
            self._effects[at] = sequence, f"{text} {result}"
        return result

    def _note(self, row: Syscall, arguments: Sequence[int]) -> int:
        """Records the call's effect, before the call. Returns its index in the list, -1 if there is none."""
        if len(self._effects) >= _MOST_EFFECTS or not changes(row, arguments):
            return -1
        if row.effect is Effect.OUTPUT:
            text = f"> {target(row, arguments)}"
        else:
            text = effect_text(row, arguments, self._space, structs_of(self._architecture))
        self._effects.append((self._backend.sequence, text))
        return len(self._effects) - 1


def side_recorder(sink: DigestSink, job: SideJob) -> Recorder:
    """The recorder of one side."""

    def wants(
        function: RecordedFunction, _machine: Machine, _known: Sequence[KnownFile]
    ) -> tuple[int, tuple[Want, ...]]:
        return job.wants(job.bound.get(function.address, function.name))

    options = RecordOptions(returns=True, filters=Filters(first=job.calls))
    return Recorder(sink, options, wants, (SideRecording(sink, job),))

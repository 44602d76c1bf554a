"""Recorder: the tracer as a participant of a run. It records program after program, in each process of the guest."""

from __future__ import annotations

from collections.abc import Sequence

from uselib.emulator.process.hooks import RunHooks
from uselib.emulator.process.interfaces import Kernel, ProcessEnded, WatchableMachine
from uselib.emulator.trace.record.bindings import BindingRecorder
from uselib.emulator.trace.record.process_output import ProcessOutput
from uselib.emulator.trace.record.program_recording import FilterState, ProgramRecording, Wants
from uselib.emulator.trace.record.record_options import RecordOptions
from uselib.emulator.trace.record.recorded_files import RecordedProgram
from uselib.emulator.trace.record.recording_hooks import RecordingHooks
from uselib.emulator.trace.record.select_backend import native_available
from uselib.emulator.trace.store.sinks import FlightRecorder, TraceSink
from uselib.loader.memory.address_space import AddressSpace
from uselib.loader.memory.vma import Vma


class Recorder(RunHooks):
    """wants: which arguments to copy at call time. hooks: who takes part, in the order in which they are called."""

    must_finish = True

    def __init__(
        self,
        sink: TraceSink,
        options: RecordOptions | None = None,
        wants: Wants | None = None,
        hooks: Sequence[RecordingHooks] = (),
    ) -> None:
        self._options = options or RecordOptions()
        self._wants = wants
        last = self._options.filters.last
        self._output = ProcessOutput(sink if last is None else FlightRecorder(sink, last), self._stop)
        bindings = (BindingRecorder(self._output, self._options.filters),) if self._options.bindings else ()
        self._hooks = (*bindings, *hooks)
        self._native = native_available() if self._options.native is None else self._options.native
        self._state = FilterState.at_start(self._options)
        self._recording: ProgramRecording | None = None
        self._forked_at = 0

    def status(self, of_program: int) -> int:
        """The exit status of a recorded run: the program's, or 1 for 0 if the trace is incomplete."""
        return of_program or int(self._output.incomplete)

    def on_exec(self, machine: WatchableMachine, space: AddressSpace, process: int, program: str) -> None:
        parent = None
        if self._recording is not None:
            parent = self._output.index
            self._end(self._recording, None)
        self._output.next_process()
        recorded = RecordedProgram(machine, space, process, program)
        self._recording = ProgramRecording(
            recorded, self._options, self._wants, self._state, self._output, self._native, self._hooks, parent
        )
        if self._output.failed:
            self._stop()

    def wrap_kernel(self, kernel: Kernel) -> Kernel:
        return kernel if self._recording is None else self._recording.wrap_kernel(kernel)

    def on_mapped(self, vma: Vma) -> None:
        if self._recording is not None:
            self._recording.mapped(vma)

    def before_fork(self) -> None:
        if self._recording is not None:
            self._recording.backend.drain()
            self._forked_at = self._recording.backend.sequence
        self._output.before_fork()

    def on_fork(self, process: int) -> None:
        parent = self._output.index
        self._output.forked()
        if self._recording is not None:
            self._recording.forked(process, parent, self._forked_at)
        for participant in self._hooks:
            participant.forked()

    def on_signal(self, number: int, address: int) -> None:
        if self._recording is not None:
            self._recording.signal(number, address)

    def on_thread(self, number: int) -> None:
        if self._recording is not None:
            self._recording.thread(number)

    def last_calls(self) -> list[str]:
        return [] if self._recording is None else self._recording.last_calls()

    def finished(self, end: ProcessEnded) -> None:
        if self._recording is not None:
            self._end(self._recording, end)
        self._output.close()

    def _end(self, recording: ProgramRecording, end: ProcessEnded | None) -> None:
        self._state = recording.end(end)
        self._recording = None
        for participant in self._hooks:
            participant.program_ended(self._output.index)

    def _stop(self) -> None:
        """The file cannot be written."""
        if self._recording is not None:
            self._recording.backend.stop()

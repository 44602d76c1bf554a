"""ProgramRecording: one program's events, from the backend that makes them to the output.

Events are made by a backend (native, or in Python), which hands them over in bulk; everything here runs once a mapping, once a
system call or once a program. What is watched: recorded_files.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from uselib.emulator.process.interfaces import Kernel, ProcessEnded
from uselib.emulator.process.kernel_tap import KernelTap
from uselib.emulator.trace.record.backend import NO_LIMIT, Helpers, Mapping, Setup, Want
from uselib.emulator.trace.record.known_files import KnownFile
from uselib.emulator.trace.record.process_output import ProcessOutput
from uselib.emulator.trace.record.record_options import RecordOptions
from uselib.emulator.trace.record.recorded_files import RecordedFiles, RecordedFunction, RecordedProgram
from uselib.emulator.trace.record.recording_hooks import RecordingHooks
from uselib.emulator.trace.record.select_backend import make_backend
from uselib.emulator.trace.store.format import RECORD, Batch, ChunkKind, EventKind
from uselib.emulator.trace.symbols import SymbolMap
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import dataclass, replace
from uselib.loader.memory.address_space import page_up
from uselib.loader.memory.vma import Vma

RECENT = 16  # calls kept for a fault report
_CALLS = (EventKind.CALL, EventKind.INNER_CALL)


Wants = Callable[[RecordedFunction, Machine, Sequence[KnownFile]], tuple[int, tuple[Want, ...]]]
"""function, machine, the files mapped so far -> how many argument words are recorded, and what is copied."""


@dataclass(frozen=True)
class FilterState:
    """How far the filters have come, from one program of a process to the next. remaining: calls that may still be recorded (--first);
    active: between triggers."""

    remaining: int
    active: bool

    @classmethod
    def at_start(cls, options: RecordOptions) -> FilterState:
        first = options.filters.first
        return cls(NO_LIMIT if first is None else first, not options.filters.trigger_on)


class ProgramRecording:
    """One program in one process, from before its first instruction until its end or its execve. Made when the program is loaded: it looks
    at the mappings there are. wants: see Wants; None: nothing is copied.
    parent: number in the trace of the process that it comes from."""

    def __init__(
        self,
        program: RecordedProgram,
        options: RecordOptions,
        wants: Wants | None,
        state: FilterState,
        output: ProcessOutput,
        native: bool,
        hooks: tuple[RecordingHooks, ...],
        parent: int | None,
    ) -> None:
        self._program, self._options, self._wants, self._output, self._hooks = program, options, wants, output, hooks
        self._symbols = SymbolMap(program.space)
        self._threads: list[
            tuple[int, int]
        ] = []  # sequence of the next event, the thread that runs from then on: not written yet
        self._latest = b""  # the last records of calls
        helpers = Helpers(self._readable, self._prepare, self._batch)
        self.backend = make_backend(program.machine, _setup(program.machine.bits, options, state), helpers, native)
        self._describe_process(parent, None)
        program.space.on_change.append(self.backend.forget)
        for participant in hooks:
            participant.program_started(program.machine, program.space, self.backend)
        self._found = RecordedFiles(program, options, output, self.backend, hooks, wants is not None)

    def mapped(self, vma: Vma) -> None:
        """There is a mapping."""
        self._found.mapped(vma)

    def wrap_kernel(self, kernel: Kernel) -> Kernel:
        """See RunHooks."""
        if self._options.system_calls or self._output.live:
            kernel = KernelTap(kernel, system_call=self._system_call)
        for participant in self._hooks:
            kernel = participant.wrap_kernel(kernel)
        return kernel

    def forked(self, pid: int, parent: int, forked_at: int) -> None:
        """This is a child; its output has its own number already. parent: number of the parent; forked_at: its latest event."""
        self._program = replace(self._program, pid=pid)
        self._latest = b""
        self._threads.clear()
        self.backend.forked()
        self._describe_process(parent, forked_at)

    def end(self, end: ProcessEnded | None) -> FilterState:
        """The END chunk. end: None for a program that an exec replaces."""
        backend = self.backend
        backend.drain()
        for participant in self._hooks:
            participant.before_end()
        chunk = {
            "status": None if end is None or end.signal else end.code,
            "signal": 0 if end is None else end.signal,
            "events": backend.sequence,
            "filtered": backend.filtered,
            "replaced": end is None,
        }
        self._output.describe(ChunkKind.END, chunk)
        backend.close()
        return FilterState(backend.remaining, backend.active)

    def signal(self, number: int, address: int) -> None:
        """A signal reaches the process."""
        cpu = self._program.machine.cpu
        self.backend.event(EventKind.SIGNAL, 0, cpu.pc, cpu.sp, (number, address))

    def thread(self, number: int) -> None:
        """Another thread runs."""
        self.backend.other_thread()
        following = self.backend.sequence + 1
        if self._threads and self._threads[-1][0] == following:
            self._threads.pop()
        self._threads.append((following, number))
        for participant in self._hooks:
            participant.thread(number)

    def _write_threads(self) -> None:
        """Before the events of those threads."""
        if self._threads:
            firsts, numbers = zip(*self._threads, strict=True)
            self._output.describe(ChunkKind.THREADS, {"first": list(firsts), "thread": list(numbers)})
            self._threads.clear()

    def last_calls(self) -> list[str]:
        """The latest, a line each."""
        self.backend.drain()
        found = []
        for fields in RECORD.iter_unpack(self._latest):
            library, name, _ = self._found.functions[fields[7]]
            place = self._symbols.place(fields[1])
            caller = f"{place.symbol}+{place.offset:#x}" if place is not None and place.symbol else hex(fields[1])
            found.append(f"{library}:{name} from {caller}" if library else f"{name} from {caller}")
        return found

    def _describe_process(self, parent: int | None, forked_at: int | None) -> None:
        program = self._program
        chunk = {
            "pid": program.pid,
            "parent": parent,
            "program": program.name,
            "machine": program.architecture.label,
            "forked_at": forked_at,
        }
        self._output.describe(ChunkKind.PROCESS, chunk)

    def _batch(self, batch: Batch) -> None:
        self._note_latest(batch.records)
        self._write_threads()
        for participant in self._hooks:
            participant.before_written()
        self._output.batch(batch)

    def _note_latest(self, records: bytes | memoryview) -> None:
        rows = bytes(records[-8 * RECENT * RECORD.size :])
        calls = [
            rows[at : at + RECORD.size]
            for at in range(0, len(rows), RECORD.size)
            if rows[at + RECORD.size - 2] in _CALLS
        ]
        self._latest = (self._latest + b"".join(calls))[-RECENT * RECORD.size :]

    # -- what can be read -------------------------------------------------------------------------------------------------

    def _readable(self, address: int) -> Mapping | None:
        """The mapping around an address, as far as the host can read it: not behind the end of a file."""
        vma = self._program.space.find(address)
        if vma is None or not vma.prot:
            return None
        end = vma.end
        if vma.file is not None:
            end = min(end, vma.start + page_up(vma.file.size()) - vma.offset)
        for window in self._program.space.windows:
            if window.start <= address < window.end and address < end:
                return Mapping(max(vma.start, window.start), min(end, window.end), window.delta)
        return None

    def _prepare(self, function: int) -> tuple[int, tuple[Want, ...]]:
        assert self._wants is not None
        return self._wants(self._found.functions[function], self._program.architecture, self._found.files)

    # -- system calls -----------------------------------------------------------------------------------------------------

    def _system_call(self, kernel: Kernel, number: int, arguments: list[int]) -> int:
        backend = self.backend
        if self._output.live:
            backend.drain()  # so that calls and what the program writes keep their order
        if not self._options.system_calls:
            return kernel.system_call(number, arguments)
        cpu = self._program.machine.cpu
        pc, sp = cpu.pc, cpu.sp
        backend.event(EventKind.SYSCALL, number, pc, sp, arguments)
        result = kernel.system_call(number, arguments)
        backend.event(EventKind.SYSCALL_RESULT, number, pc, sp, (result & (1 << self._program.machine.bits) - 1,))
        return result


def _setup(bits: int, options: RecordOptions, state: FilterState) -> Setup:
    filters = options.filters
    return Setup(
        bits,
        everything=options.everything,
        clock_blocks=options.clock == "blocks",
        returns=options.returns,
        callers=() if filters.callers or filters.calling_objects else None,
        max_depth=(1 << 32) - 1 if filters.depth is None else filters.depth,
        first=state.remaining,
        sample=filters.sample,
        active=state.active,
        capacity=options.capacity if filters.last is None else max(2 * filters.last, 256),
    )

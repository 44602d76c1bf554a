"""Recorder: finds target libraries as they are mapped, has their jump tables watched, and describes what it records.

A library shows itself by the NT_LIBRARY note on its first page, whether uselib(2) or the start-up code's mmap put it there.
Events are made by a backend (native, or in Python), which hands them over in bulk; everything here runs once a mapping, once a
system call or once a process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from uselib.emulator.process.hooks import RunHooks
from uselib.emulator.process.interfaces import Kernel, ProcessEnded, WatchableMachine
from uselib.emulator.process.kernel_tap import KernelTap
from uselib.emulator.trace.record.backend import (
    INNER,
    NO_LIMIT,
    THUNK,
    UNPREPARED,
    Backend,
    FunctionSpec,
    Helpers,
    Mapping,
    Setup,
    Want,
)
from uselib.emulator.trace.record.files import KnownFile
from uselib.emulator.trace.record.filters import Filters
from uselib.emulator.trace.record.mapping_changes import MappingChanges
from uselib.emulator.trace.record.select_backend import make_backend, native_available
from uselib.emulator.trace.store.format import RECORD, Batch, ChunkKind, EventKind
from uselib.emulator.trace.store.sinks import FlightRecorder, ProcessNumbers, TraceSink
from uselib.emulator.trace.symbols import SymbolMap
from uselib.linker.image import LibraryHeader, Machine
from uselib.loader.memory.address_space import AddressSpace, page_up
from uselib.loader.memory.vma import Vma
from uselib.loader.programs.images import mapped_library

RECENT = 16  # calls kept for a fault report
_CALLS = (EventKind.CALL, EventKind.INNER_CALL)

# name of a function, machine, the files mapped so far -> argument words, what to copy
Wants = Callable[[str, Machine, Sequence[KnownFile]], tuple[int, tuple[Want, ...]]]


@dataclass(frozen=True)
class RecordOptions:
    """What is recorded. clock: "calls" (calls seen so far) or "blocks" (basic blocks entered so far). native: None takes the
    native recorder if it was built."""

    clock: str = "calls"
    returns: bool = False
    all_functions: bool = False
    interposed: bool = False
    system_calls: bool = False
    filters: Filters = field(default_factory=Filters)
    native: bool | None = None
    stubs: tuple[str, ...] = ()  # files that name the slots of a.out libraries, besides those beside the libraries
    capacity: int = 1 << 14

    @property
    def everything(self) -> bool:
        return self.returns or self.all_functions or self.clock == "blocks"


class Recorder(RunHooks):
    """wants: which arguments to copy at call time."""

    must_finish = True

    def __init__(self, sink: TraceSink, options: RecordOptions | None = None, wants: Wants | None = None) -> None:
        self.options = options or RecordOptions()
        last = self.options.filters.last
        self._sink: TraceSink = sink if last is None else FlightRecorder(sink, last)
        self._wants = wants
        self._native = native_available() if self.options.native is None else self.options.native
        self._numbers = ProcessNumbers()
        self._backend: Backend | None = None
        self._latest = b""  # the last records of calls
        self._index = self._child = 0
        self._failed = False
        self._remaining = NO_LIMIT if self.options.filters.first is None else self.options.filters.first
        self._active = not self.options.filters.trigger_on

    # -- RunHooks -----------------------------------------------------------------------------------------------------

    def on_exec(self, machine: WatchableMachine, space: AddressSpace, process: int, program: str) -> None:
        parent = self._end_program() if self._backend is not None else None
        self._machine, self._space = machine, space
        self._process, self._program = process, program
        self._symbols = SymbolMap(space)
        self._functions: list[tuple[str, str]] = []  # library, name
        self._files: dict[str, KnownFile | None] = {}
        self._tables: dict[int, tuple[LibraryHeader, list[int]]] = {}  # base -> header, hooks
        self._callers: list[tuple[int, int]] = []
        self._backend = self._make_backend()
        space.listener = MappingChanges(space.listener, self._backend.forget)
        if machine.kernel is not None and (self.options.system_calls or self._sink.live):
            machine.kernel = KernelTap(machine.kernel, system_call=self._system_call)
        self._index = self._numbers.next()
        self._describe_process(parent, None)
        machine.on_mapped = self._mapped
        for vma in space:
            if vma.known is not None:
                self._file(vma)  # the program's own
                self._mapped(vma)

    def before_fork(self) -> None:
        """In the parent."""
        if self._backend is not None:
            self._backend.drain()
            self._forked_at = self._backend.sequence
        self._child = self._numbers.next()
        try:
            self._sink.flush()
        except OSError as failure:
            self._cannot_write(failure)

    def on_fork(self, process: int) -> None:
        parent, self._index, self._process = self._index, self._child, process
        self._latest = b""
        if self._backend is not None:
            self._backend.forked()
        self._sink.forked()
        self._describe_process(parent, self._forked_at)

    def on_signal(self, number: int, address: int) -> None:
        if self._backend is not None:
            cpu = self._machine.cpu
            self._backend.event(EventKind.SIGNAL, 0, cpu.pc, cpu.sp, (number, address))

    def finished(self, end: ProcessEnded) -> None:
        self._end_program(end)
        try:
            self._sink.close()
        except OSError as failure:
            self._cannot_write(failure)

    def last_calls(self) -> list[str]:
        if self._backend is not None:
            self._backend.drain()
        found = []
        for fields in RECORD.iter_unpack(self._latest):
            library, name = self._functions[fields[7]]
            place = self._symbols.place(fields[1])
            caller = f"{place.symbol}+{place.offset:#x}" if place is not None and place.symbol else hex(fields[1])
            found.append(f"{library}:{name} from {caller}" if library else f"{name} from {caller}")
        return found

    # -- the process ----------------------------------------------------------------------------------------------------

    def _make_backend(self) -> Backend:
        options, filters = self.options, self.options.filters
        setup = Setup(
            self._machine.bits, options.everything, options.clock == "blocks", options.returns,
            () if filters.callers else None, (1 << 32) - 1 if filters.depth is None else filters.depth,
            self._remaining, filters.sample, self._active,
            options.capacity if filters.last is None else max(2 * filters.last, 256),
        )  # fmt: skip
        return make_backend(self._machine, setup, Helpers(self._readable, self._prepare, self._batch), self._native)

    def _describe_process(self, parent: int | None, forked_at: int | None) -> None:
        label = (Machine.I386 if self._machine.bits == 32 else Machine.X86_64).label
        self._describe(
            ChunkKind.PROCESS,
            {
                "pid": self._process,
                "parent": parent,
                "program": self._program,
                "machine": label,
                "forked_at": forked_at,
            },
        )

    def _end_program(self, end: ProcessEnded | None = None) -> int:
        """The END chunk; `end` is None for a program that an exec replaces. Returns the index of the process."""
        backend = self._backend
        assert backend is not None
        backend.drain()
        self._remaining, self._active = backend.remaining, backend.active
        status = None if end is None or end.signal else end.code
        self._describe(
            ChunkKind.END,
            {
                "status": status, "signal": 0 if end is None else end.signal, "events": backend.sequence,
                "filtered": backend.filtered, "replaced": end is None,
            },
        )  # fmt: skip
        backend.close()
        self._backend = None
        return self._index

    # -- writing --------------------------------------------------------------------------------------------------------

    def _describe(self, kind: ChunkKind, value: dict[str, Any]) -> None:
        if self._failed:
            return
        try:
            self._sink.describe(kind, value, self._index)
        except OSError as failure:
            self._cannot_write(failure)

    def _batch(self, batch: Batch) -> None:
        self._note_latest(batch.records)
        if self._failed:
            return
        try:
            self._sink.batch(batch, self._index)
        except OSError as failure:
            self._cannot_write(failure)

    def _note_latest(self, records: bytes | memoryview) -> None:
        rows = bytes(records[-8 * RECENT * RECORD.size :])
        calls = [
            rows[at : at + RECORD.size]
            for at in range(0, len(rows), RECORD.size)
            if rows[at + RECORD.size - 2] in _CALLS
        ]
        self._latest = (self._latest + b"".join(calls))[-RECENT * RECORD.size :]

    def _cannot_write(self, failure: OSError) -> None:
        """The program goes on, the trace ends: what has been written stays readable."""
        if not self._failed:
            reason = failure.strerror or str(failure)
            print(f"uselib: trace: {reason}: nothing more is recorded", file=sys.stderr, flush=True)
        self._failed = True
        if self._backend is not None:
            self._backend.stop()

    # -- what can be read -------------------------------------------------------------------------------------------------

    def _readable(self, address: int) -> Mapping | None:
        """The mapping around an address, as far as the host can read it: not behind the end of a file."""
        vma = self._space.find(address)
        if vma is None or not vma.prot:
            return None
        end = vma.end
        if vma.file is not None:
            end = min(end, vma.start + page_up(vma.file.size()) - vma.offset)
        for window in self._space.windows:
            if window.start <= address < window.end and address < end:
                return Mapping(max(vma.start, window.start), min(end, window.end), window.delta)
        return None

    def _prepare(self, function: int) -> tuple[int, tuple[Want, ...]]:
        assert self._wants is not None
        machine = Machine.I386 if self._machine.bits == 32 else Machine.X86_64
        return self._wants(self._functions[function][1], machine, [file for file in self._files.values() if file])

    # -- system calls -----------------------------------------------------------------------------------------------------

    def _system_call(self, kernel: Kernel, number: int, arguments: list[int]) -> int:
        backend = self._backend
        assert backend is not None
        if self._sink.live:
            backend.drain()  # so that calls and what the program writes keep their order
        if not self.options.system_calls:
            return kernel.system_call(number, arguments)
        pc, sp = self._machine.cpu.pc, self._machine.cpu.sp
        backend.event(EventKind.SYSCALL, number, pc, sp, arguments)
        result = kernel.system_call(number, arguments)
        if self._backend is not None:
            self._backend.event(EventKind.SYSCALL_RESULT, number, pc, sp, (result & (1 << self._machine.bits) - 1,))
        return result

    # -- files ------------------------------------------------------------------------------------------------------------

    def _mapped(self, vma: Vma) -> None:
        """A file's first page may be that of a target library."""
        if vma.known is None or vma.offset:
            return
        try:
            header = mapped_library(vma.known)
        except OSError:
            return
        if header is not None and header.identity.base == vma.start:
            self._library(header, vma)

    def _file(self, vma: Vma) -> KnownFile | None:
        """Describes a file, once."""
        assert vma.known is not None
        if vma.name in self._files:
            return self._files[vma.name]
        known = self._files[vma.name] = KnownFile.read(vma.known, self.options.stubs)
        if known is None:
            return None
        self._describe(ChunkKind.FILE, known.description())
        filters = self.options.filters
        if filters.callers:
            self._callers += [
                (start + 1, start + size + 1) for start, size, name in known.functions if filters.is_caller(name)
            ]
            assert self._backend is not None
            self._backend.set_callers(joined(self._callers))
        if self.options.all_functions:
            rows = [(name, address, None) for address, _, name in known.functions]
            self._table(known, rows, INNER)
        return known

    def _library(self, header: LibraryHeader, vma: Vma) -> None:
        base, who = vma.start, header.identity
        if base in self._tables:
            known_header, hooks = self._tables[base]
            if known_header == header:
                return
            for hook in hooks:
                self._machine.unwatch(hook)
            self._files.pop(vma.name, None)
        known = self._file(vma)
        if not who.slot_count or known is None:
            return
        names = known.slot_names
        rows = [(names.get(n, f"slot{n}"), header.slot_address(n), n) for n in range(1, who.slot_count + 1)]
        first = self._table(known, rows, 0)
        assert self._backend is not None
        hooks = self._backend.watch(header.jump_table, header.slot_size, who.slot_count, first)
        if self.options.interposed or self.options.all_functions:
            hooks += self._watch_thunks(known, {name: first + at for at, (name, _, _) in enumerate(rows)})
        self._tables[base] = header, hooks

    def _watch_thunks(self, known: KnownFile, slots: dict[str, int]) -> list[int]:
        rows = [(name, address, None) for address, name in known.thunks]
        first = self._table(known, rows, INNER | THUNK, slots)
        assert self._backend is not None
        return [
            hook for at, (_, address, _) in enumerate(rows) for hook in self._backend.watch(address, 1, 1, first + at)
        ]

    def _table(
        self,
        known: KnownFile,
        rows: Sequence[tuple[str, int, int | None]],
        flags: int,
        slots: dict[str, int] | None = None,
    ) -> int:
        """Numbers functions (name, address, slot) and tells the backend of them. Returns the first number."""
        first, library = len(self._functions), known.library
        header = known.image.library
        self._functions += [(library, name) for name, _, _ in rows]
        self._describe(
            ChunkKind.TABLE,
            {
                "first": first, "names": [row[0] for row in rows], "addresses": [row[1] for row in rows],
                "slots": [row[2] for row in rows], "file": known.path, "library": library,
                "version": "" if header is None else str(header.identity.version),
            },
        )  # fmt: skip
        filters, specs = self.options.filters, []
        for name, address, _ in rows:
            own = flags | filters.flags(library, name)
            if self._wants is not None:
                own |= UNPREPARED
            specs.append(FunctionSpec(address, own, slot=-1 if slots is None else slots.get(name, -1)))
        assert self._backend is not None
        self._backend.add_functions(first, specs)
        return first


def joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending and disjoint."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return out

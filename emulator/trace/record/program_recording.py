"""ProgramRecording: finds libraries as a program maps them, has their functions watched, and describes what is recorded.

Of a target library the slots are watched; of a shared object (and a dynamic program) the exported functions, whose calls from other
objects are recorded.

A library is recognised by the NT_LIBRARY note on its first page, whether uselib(2) or the start-up code's mmap put it there.
Events are made by a backend (native, or in Python), which hands them over in bulk; everything here runs once a mapping, once a
system call or once a program.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from uselib.emulator.process.interfaces import Kernel, ProcessEnded, WatchableMachine
from uselib.emulator.process.kernel_tap import KernelTap
from uselib.emulator.trace.record.backend import (
    FOREIGN,
    INNER,
    NO_LIMIT,
    RESOLVER,
    THUNK,
    UNPREPARED,
    FunctionSpec,
    Helpers,
    Mapping,
    Setup,
    Want,
)
from uselib.emulator.trace.record.known_files import KnownFile
from uselib.emulator.trace.record.process_output import ProcessOutput
from uselib.emulator.trace.record.record_options import RecordOptions
from uselib.emulator.trace.record.recording_hooks import RecordingHooks
from uselib.emulator.trace.record.select_backend import make_backend
from uselib.emulator.trace.store.format import RECORD, Batch, ChunkKind, EventKind
from uselib.emulator.trace.symbols import SymbolMap
from uselib.linker.formats.dynamic_symbols import unversioned
from uselib.linker.image import LibraryHeader, Machine
from uselib.linker.quick_dataclass import dataclass, replace
from uselib.loader.memory.address_space import PROT_EXEC, AddressSpace, page_up
from uselib.loader.memory.vma import Vma
from uselib.loader.programs.images import load_bias, mapped_library

RECENT = 16  # calls kept for a fault report
_CALLS = (EventKind.CALL, EventKind.INNER_CALL)


class RecordedFunction(NamedTuple):
    """library: its name, empty for the program; name, address: of the function, or of its slot."""

    library: str
    name: str
    address: int


Wants = Callable[[RecordedFunction, Machine, Sequence[KnownFile]], tuple[int, tuple[Want, ...]]]
"""function, machine, the files mapped so far -> how many argument words are recorded, and what is copied."""


@dataclass(frozen=True)
class RecordedProgram:
    """pid: the guest's; name: its guest path."""

    machine: WatchableMachine
    space: AddressSpace
    pid: int
    name: str

    @property
    def architecture(self) -> Machine:
        return Machine.I386 if self.machine.bits == 32 else Machine.X86_64


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
        self._functions: list[RecordedFunction] = []
        self._files: dict[str, KnownFile | None] = {}
        self._objects: dict[int, KnownFile] = {}  # base -> shared object, or dynamic program
        self._tables: dict[int, tuple[LibraryHeader, list[int]]] = {}  # base -> header, hooks
        self._callers: list[tuple[int, int]] = []
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
        for vma in program.space:
            if vma.known is not None:
                self._file(vma)  # the program's own
                self.mapped(vma)

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
            library, name, _ = self._functions[fields[7]]
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
        files = [file for file in self._files.values() if file]
        return self._wants(self._functions[function], self._program.architecture, files)

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

    # -- files ------------------------------------------------------------------------------------------------------------

    def mapped(self, vma: Vma) -> None:
        """There is a mapping. A file's first page may be that of a target library."""
        for participant in self._hooks:
            participant.mapped(vma)
        if vma.known is None:
            return
        if vma.prot & PROT_EXEC:
            self._object(vma)
        if vma.offset:
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
        program = vma.name == self._program.name
        known = self._files[vma.name] = KnownFile.read(vma.known, self._options.stubs, program=program)
        if known is None:
            return None
        if known.image.relative:  # where it is, its executable mapping tells
            return known
        self._describe_file(known)
        return known

    def _describe_file(self, known: KnownFile) -> None:
        self._output.describe(ChunkKind.FILE, known.description(self.backend.sequence if known.image.relative else 0))
        filters = self._options.filters
        if filters.calling_objects and filters.is_calling_object(os.path.basename(known.path)):
            self._callers.append((known.base, known.end))
        if filters.callers:
            self._callers += [
                (start + 1, start + size + 1) for start, size, name in known.functions if filters.is_caller(name)
            ]
        if filters.callers or filters.calling_objects:
            self.backend.set_callers(joined(self._callers))
        if self._options.all_functions:
            rows = [(name, address, None) for address, _, name in known.functions]
            self._table(known, rows, INNER)

    def _object(self, vma: Vma) -> None:
        """Code of a file: of a shared object, or of a program that exports functions. What was there before is gone."""
        known = self._file(vma)
        if known is None:
            return
        known = known.at(load_bias(known.image, vma))
        for participant in self._hooks:
            participant.object_mapped(known)
        if not (known.image.relative or known.dynamic.exported):
            return
        own = known.base, known.end
        if self._objects.get(known.base) == known:
            return
        for base, other in list(self._objects.items()):
            if base < own[1] and own[0] < other.end:
                self.backend.forget_functions(base, other.end)
                self._callers = [(low, high) for low, high in self._callers if high <= base or low >= other.end]
                del self._objects[base]
        self._objects[known.base] = known
        if known.image.relative:
            self._describe_file(known)
        if not known.dynamic.exported or self._options.all_functions:
            return
        self.backend.watch_entries()
        wanted = frozenset[str]().union(*(other.dynamic.imported for other in self._objects.values()))
        chosen = known.dynamic.chosen(wanted)
        self._table(known, [(f.name, f.address + known.bias, None) for f in chosen], FOREIGN, own=own)

    def _library(self, header: LibraryHeader, vma: Vma) -> None:
        base, who = vma.start, header.identity
        if base in self._tables:
            known_header, hooks = self._tables[base]
            if known_header == header:
                return
            for hook in hooks:
                self._program.machine.unwatch(hook)
            self._files.pop(vma.name, None)
        known = self._file(vma)
        if not who.slot_count or known is None:
            return
        names = known.slot_names
        rows = [(names.get(n, f"slot{n}"), header.slot_address(n), n) for n in range(1, who.slot_count + 1)]
        first = self._table(known, rows, 0)
        hooks = self.backend.watch(header.jump_table, header.slot_size, who.slot_count, first)
        if self._options.interposed or self._options.all_functions:
            hooks += self._watch_thunks(known, {name: first + at for at, (name, _, _) in enumerate(rows)})
        self._tables[base] = header, hooks

    def _watch_thunks(self, known: KnownFile, slots: dict[str, int]) -> list[int]:
        rows = [(name, address, None) for address, name in known.thunks]
        first = self._table(known, rows, INNER | THUNK, slots)
        return [
            hook for at, (_, address, _) in enumerate(rows) for hook in self.backend.watch(address, 1, 1, first + at)
        ]

    def _table(
        self,
        known: KnownFile,
        rows: Sequence[tuple[str, int, int | None]],
        flags: int,
        slots: dict[str, int] | None = None,
        own: tuple[int, int] = (0, 0),
    ) -> int:
        """Numbers functions (name, address, slot) and tells the backend of them. Returns the first number."""
        first, library = len(self._functions), known.library
        header = known.image.library
        self._functions += [RecordedFunction(library, name, address) for name, address, _ in rows]
        chunk = {
            "first": first,
            "names": [row[0] for row in rows],
            "addresses": [row[1] for row in rows],
            "slots": [row[2] for row in rows],
            "file": known.path,
            "library": library,
            "version": "" if header is None else str(header.identity.version),
            "exported": bool(flags & FOREIGN),
        }
        self._output.describe(ChunkKind.TABLE, chunk)
        filters, specs = self._options.filters, []
        resolvers = (
            {f.address + known.bias for f in known.dynamic.exported if f.resolver} if flags & FOREIGN else frozenset()
        )
        for name, address, _ in rows:
            all_flags = flags | filters.flags(library, name)
            if flags & FOREIGN:
                all_flags |= filters.flags(library, unversioned(name)) | (RESOLVER if address in resolvers else 0)
            if self._wants is not None:
                all_flags |= UNPREPARED
            specs.append(FunctionSpec(address, all_flags, slot=-1 if slots is None else slots.get(name, -1), own=own))
        self.backend.add_functions(first, specs)
        return first


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


def joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending and disjoint."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return out

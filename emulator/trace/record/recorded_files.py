"""RecordedFiles: the files that a program maps, as far as their functions are recorded.

Of a target library the slots are watched; of a shared object (and a dynamic program) the exported functions, whose calls from other
objects are recorded. A library is recognised by the NT_LIBRARY note on its first page, whether uselib(2) or the start-up code's mmap put
it there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from uselib.emulator.process.interfaces import WatchableMachine
from uselib.emulator.trace.record.backend import FOREIGN, INNER, RESOLVER, THUNK, UNPREPARED, Backend, FunctionSpec
from uselib.emulator.trace.record.known_files import KnownFile
from uselib.emulator.trace.record.process_output import ProcessOutput
from uselib.emulator.trace.record.record_options import RecordOptions
from uselib.emulator.trace.record.recording_hooks import RecordingHooks
from uselib.emulator.trace.store.format import ChunkKind
from uselib.linker.formats.dynamic_symbols import unversioned
from uselib.linker.image import LibraryHeader, Machine
from uselib.linker.quick_dataclass import dataclass
from uselib.loader.memory.address_space import PROT_EXEC, AddressSpace
from uselib.loader.memory.vma import Vma
from uselib.loader.programs.images import load_bias, mapped_library


class RecordedFunction(NamedTuple):
    """library: its name, empty for the program; name, address: of the function, or of its slot."""

    library: str
    name: str
    address: int


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


class RecordedFiles:
    """Of one program. functions: by number. prepared: the backend asks for each function's words and wants at its first call."""

    def __init__(
        self,
        program: RecordedProgram,
        options: RecordOptions,
        output: ProcessOutput,
        backend: Backend,
        hooks: tuple[RecordingHooks, ...],
        prepared: bool,
    ) -> None:
        self._program, self._options, self._output, self._backend = program, options, output, backend
        self._hooks, self._prepared = hooks, prepared
        self.functions: list[RecordedFunction] = []
        self._files: dict[str, KnownFile | None] = {}
        self._objects: dict[int, KnownFile] = {}  # base -> shared object, or dynamic program
        self._tables: dict[int, tuple[LibraryHeader, list[int]]] = {}  # base -> header, hooks
        self._callers: list[tuple[int, int]] = []
        for vma in program.space:
            if vma.known is not None:
                self._file(vma)  # the program's own
                self.mapped(vma)

    @property
    def files(self) -> list[KnownFile]:
        """Those that could be read, in the order in which they were mapped."""
        return [file for file in self._files.values() if file]

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
        self._output.describe(ChunkKind.FILE, known.description(self._backend.sequence if known.image.relative else 0))
        filters = self._options.filters
        if filters.calling_objects and filters.is_calling_object(os.path.basename(known.path)):
            self._callers.append((known.base, known.end))
        if filters.callers:
            self._callers += [
                (start + 1, start + size + 1) for start, size, name in known.functions if filters.is_caller(name)
            ]
        if filters.callers or filters.calling_objects:
            self._backend.set_callers(joined(self._callers))
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
                self._backend.forget_functions(base, other.end)
                self._callers = [(low, high) for low, high in self._callers if high <= base or low >= other.end]
                del self._objects[base]
        self._objects[known.base] = known
        if known.image.relative:
            self._describe_file(known)
        if not known.dynamic.exported or self._options.all_functions:
            return
        self._backend.watch_entries()
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
        hooks = self._backend.watch(header.jump_table, header.slot_size, who.slot_count, first)
        if self._options.interposed or self._options.all_functions:
            hooks += self._watch_thunks(known, {name: first + at for at, (name, _, _) in enumerate(rows)})
        self._tables[base] = header, hooks

    def _watch_thunks(self, known: KnownFile, slots: dict[str, int]) -> list[int]:
        rows = [(name, address, None) for address, name in known.thunks]
        first = self._table(known, rows, INNER | THUNK, slots)
        return [
            hook for at, (_, address, _) in enumerate(rows) for hook in self._backend.watch(address, 1, 1, first + at)
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
        first, library = len(self.functions), known.object_name
        self.functions += [RecordedFunction(library, name, address) for name, address, _ in rows]
        chunk = {
            "first": first,
            "names": [row[0] for row in rows],
            "addresses": [row[1] for row in rows],
            "slots": [row[2] for row in rows],
            "file": known.path,
            "library": library,
            "version": str(known.identity.version) if known.identity is not None else "",
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
            if self._prepared:
                all_flags |= UNPREPARED
            specs.append(FunctionSpec(address, all_flags, slot=-1 if slots is None else slots.get(name, -1), own=own))
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

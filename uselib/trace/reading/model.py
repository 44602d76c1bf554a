"""TraceFile: what a trace file says, without its events in memory.

Opening a file reads the chunk headers and the small JSON chunks and leaves RECORDS and PAYLOAD chunks where they are: a
million events cost a few kilobytes. Events are then streamed, one process at a time, in their order:

    events.py   one Python object an event, for views that print each of them
    blocks.py   numpy arrays of some hundred thousand records, for views that count

Everything that can still be read of a damaged file is read: a file cut short gives all whole records before the cut,
a chunk that makes no sense is passed over, and `warnings` says so in a line each.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from uselib.emulator.trace.store.bindings import TracedBinding, rows_of
from uselib.emulator.trace.store.format import (
    CHUNK,
    HEADER,
    MAGIC,
    MAXIMUM_CHUNK,
    RECORD,
    RECORDS_HEAD,
    VERSION,
    Chunk,
    ChunkKind,
    EventKind,
)
from uselib.linker.errors import Diagnostic, FormatError
from uselib.trace.reading.places import Places, TracedFile

_MAXIMUM_INDEX = 1 << 22  # functions; a larger index is damage, and must not become an array of that size


@dataclass(frozen=True, slots=True)
class Function:
    """What an event refers to. number: its place in TraceFile.functions, the same for all processes of the trace.

    slot: from 1, or 0 for a function that is not a slot. library: empty for the program's own functions.
    """

    number: int
    library: str
    name: str
    slot: int
    address: int
    file: str
    version: str

    @property
    def label(self) -> str:
        """`libc_s!printf`, or the name alone for a function of the program."""
        return f"{self.library}!{self.name}" if self.library else self.name


@dataclass(frozen=True, slots=True)
class Span:
    """Where a chunk's body lies: offset in the file, whole records in it (RECORDS) or bytes (PAYLOAD)."""

    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class Table:
    """A TABLE chunk in short: addresses from start to end (both of functions), how many of them are slots."""

    file: str
    version: str
    start: int
    end: int
    slots: int


@dataclass(eq=False)
class TracedProcess:
    """One process of the trace, as far as the JSON chunks describe it.

    functions: index in records -> number in TraceFile.functions; places: names for addresses; end: the END chunk, if any.
    """

    index: int
    pid: int = 0
    parent: int | None = None
    program: str = ""
    machine: str = "x86_64"
    forked_at: int | None = None
    functions: dict[int, int] = field(default_factory=dict)
    places: Places = field(default_factory=Places)
    records: list[Span] = field(default_factory=list)
    payloads: list[Span] = field(default_factory=list)
    end: dict[str, Any] | None = None
    tables: list[Table] = field(default_factory=list)
    libraries: dict[str, str] = field(default_factory=dict)  # path of a file -> name of the library it is
    thread_firsts: list[int] = field(
        default_factory=list
    )  # sequence numbers from which on another thread's events come
    thread_numbers: list[int] = field(default_factory=list)  # of these threads

    @property
    def threads(self) -> list[int]:
        """The numbers of its threads, its own first."""
        return [self.pid, *sorted(set(self.thread_numbers) - {self.pid})]

    def thread_of(self, sequence: int) -> int:
        """The number of the thread that an event belongs to."""
        at = bisect_right(self.thread_firsts, sequence) - 1
        return self.thread_numbers[at] if at >= 0 else self.pid

    shared_objects: set[str] = field(default_factory=set)  # paths
    bindings: list[TracedBinding] = field(default_factory=list)  # in the order of what came before

    @property
    def word(self) -> int:
        """Bytes in a pointer."""
        return 4 if self.machine == "i386" else 8

    @property
    def record_count(self) -> int:
        return sum(span.count for span in self.records)

    @property
    def title(self) -> str:
        """`hello (1000)`."""
        return f"{os.path.basename(self.program) or '?'} ({self.pid})"


def clean(text: object) -> str:
    """A name as it may be shown: nothing in it can move the cursor or end the line."""
    name = text if isinstance(text, str) else str(text)
    return name if name.isprintable() else name.encode("unicode_escape", "backslashreplace").decode("ascii")


def _number(value: object, otherwise: int = 0) -> int:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64
    return int(value) if fits else otherwise  # type: ignore[call-overload]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


class TraceFile:
    """An open trace file. Raises OSError, and FormatError for a file that is not a trace or of another version."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.meta: dict[str, Any] = {}
        self.processes: list[TracedProcess] = []
        self.functions: list[Function] = []
        self.warnings: list[str] = []
        self.complete = True  # False: cut short, or a process has no END chunk
        self._numbers: dict[tuple[str, str, int], int] = {}
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed by close()
        try:
            self._scan()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> TraceFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what is in the file ------------------------------------------------------------------------------------------

    @property
    def clock(self) -> str:
        """What times count: `calls` or `blocks`."""
        return clean(self.meta.get("clock", "blocks"))

    @property
    def unit(self) -> str:
        """`block` for the clock `blocks`."""
        return self.clock[:-1] if self.clock.endswith("s") else self.clock

    def size_of(self, process: TracedProcess) -> int:
        """Records of a process, MORE records included."""
        return process.record_count

    def has_returns(self) -> bool:
        """Whether returns were recorded: looked for at the beginning of each process."""
        for process in self.processes:
            for span in process.records[:16]:
                data = self.read(span.offset, RECORDS_HEAD.size + min(span.count, 1 << 16) * RECORD.size)
                if any(
                    kind in (EventKind.RETURN, EventKind.INNER_RETURN)
                    for kind in set(data[RECORDS_HEAD.size + 62 :: RECORD.size])
                ):
                    return True
        return False

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file; fewer if it has become shorter since it was opened."""
        self._file.seek(offset)
        return self._file.read(size)

    # -- scanning -----------------------------------------------------------------------------------------------------

    def _scan(self) -> None:
        total = os.fstat(self._file.fileno()).st_size
        head = self._file.read(HEADER.size)
        if len(head) < HEADER.size or head[:8] != MAGIC:
            raise FormatError(
                Diagnostic(
                    self.path, "this is not a trace file", remedy="make one with `uselib trace record -o FILE PROG`"
                )
            )
        version = HEADER.unpack(head)[1]
        if version != VERSION:
            raise FormatError(Diagnostic(self.path, f"trace format {version}; this version reads format {VERSION}"))
        position = HEADER.size
        while position < total:
            self._file.seek(position)
            head = self._file.read(CHUNK.size)
            if len(head) < CHUNK.size:
                self._cut(total - position)
                break
            kind, size, process, _ = CHUNK.unpack(head)
            body = position + CHUNK.size
            if size > MAXIMUM_CHUNK:
                self.warnings.append(
                    f"damaged at offset {position:#x}: the {total - position} bytes from there are not read"
                )
                self.complete = False
                break
            position = body + size
            here = min(size, total - body)
            if kind == ChunkKind.RECORDS:
                self._records(process, body, here)
            elif kind == ChunkKind.PAYLOAD:
                self._process(process).payloads.append(Span(body, here))
            elif kind in _DESCRIPTIONS and here == size:
                self._describe(Chunk(kind, process, self._file.read(size)), body)
            if here < size:
                self._cut(here)
        if any(process.end is None for process in self.processes):
            self.complete = False

    def _cut(self, size: int) -> None:
        self.complete = False
        self.warnings.append(f"cut short: the last chunk has only {size} of its bytes")

    def _process(self, index: int) -> TracedProcess:
        """The process with that index; made up if its PROCESS chunk is lost."""
        for process in self.processes:
            if process.index == index:
                return process
        process = TracedProcess(index)
        self.processes.append(process)
        if index:
            self.warnings.append(f"process {index} is not described; its functions have no names")
        return process

    def _describe(self, chunk: Chunk, offset: int) -> None:
        try:
            value = chunk.json(self.path)
        except (FormatError, RecursionError):
            self.warnings.append(f"a description at offset {offset:#x} is damaged and left out")
            return
        _DESCRIPTIONS[chunk.kind](self, chunk.process, value)

    def _meta(self, _: int, value: dict[str, Any]) -> None:
        self.meta = value

    def _started(self, index: int, value: dict[str, Any]) -> None:
        parent = value.get("parent")
        process = TracedProcess(
            index,
            _number(value.get("pid")),
            parent if isinstance(parent, int) else None,
            clean(value.get("program", "")),
            clean(value.get("machine", "x86_64")),
            _number(value.get("forked_at")) or None,
        )
        known = {other.index: other for other in self.processes}
        if index in known:
            self.warnings.append(f"process {index} is described twice; the first is taken")
            return
        before = known.get(process.parent) if process.parent is not None else None
        if before is not None and before.pid != process.pid:  # fork; exec starts afresh
            process.functions = dict(before.functions)
            process.places = before.places.copy()
            process.libraries, process.tables = dict(before.libraries), list(before.tables)
            process.shared_objects = set(before.shared_objects)
        self.processes.append(process)

    def _table(self, index: int, value: dict[str, Any]) -> None:
        process = self._process(index)
        first = _number(value.get("first"), -1)
        names, addresses, slots = (_list(value.get(key)) for key in ("names", "addresses", "slots"))
        if first < 0 or first + len(names) > _MAXIMUM_INDEX:
            self.warnings.append("a table of functions has an impossible index and is left out")
            return
        library, file, version = (clean(value.get(key) or "") for key in ("library", "file", "version"))
        if file:
            process.libraries[file] = library
        if library and value.get("exported") is True:
            process.shared_objects.add(file)
        known = [_number(address) for address in addresses]
        if known:
            used = sum(1 for slot in slots if _number(slot))
            process.tables.append(Table(file, version, min(known), max(known) + 8, used))
        for at, name in enumerate(names):
            slot = _number(slots[at]) if at < len(slots) else 0
            address = _number(addresses[at]) if at < len(addresses) else 0
            process.functions[first + at] = self.function(library, clean(name), slot, address, file, version).number

    def _mapped(self, index: int, value: dict[str, Any]) -> None:
        addresses, sizes, names = (_list(value.get(key)) for key in ("addresses", "sizes", "names"))
        rows = [
            (_number(address), _number(size), clean(name))
            for address, size, name in zip(addresses, sizes, names, strict=False)
        ]
        digest = value.get("digest")
        self._process(index).places.add(
            TracedFile(
                clean(value.get("path", "")),
                _number(value.get("base")),
                _number(value.get("end")),
                digest if isinstance(digest, str) else "",
                tuple(rows),
                _number(value.get("since")),
            )
        )

    def _ended(self, index: int, value: dict[str, Any]) -> None:
        self._process(index).end = value

    def _threads(self, index: int, value: dict[str, Any]) -> None:
        process = self._process(index)
        for first, number in zip(_list(value.get("first")), _list(value.get("thread")), strict=False):
            if _number(first) > (process.thread_firsts[-1] if process.thread_firsts else 0):
                process.thread_firsts.append(_number(first))
                process.thread_numbers.append(_number(number))

    def _bound(self, index: int, value: dict[str, Any]) -> None:
        rows = [
            row._replace(referrer=clean(row.referrer), symbol=clean(row.symbol), definer=clean(row.definer))
            for row in rows_of(value)
        ]
        process = self._process(index)
        process.bindings = sorted([*process.bindings, *rows], key=lambda row: row.after)

    def _records(self, index: int, offset: int, size: int) -> None:
        count = (size - RECORDS_HEAD.size) // RECORD.size
        if count > 0:
            self._process(index).records.append(Span(offset, count))

    # -- functions ----------------------------------------------------------------------------------------------------

    def function(
        self, library: str, name: str, slot: int = 0, address: int = 0, file: str = "", version: str = ""
    ) -> Function:
        """The function of that library, name and slot, entered if it is new."""
        key = library, name, slot
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.functions)
            self.functions.append(Function(number, library, name, slot, address, file, version))
        return self.functions[number]

    def unknown(self, index: int) -> Function:
        """Stands for an index that no table explains."""
        return self.function("?", f"function{index}")


_DESCRIPTIONS: dict[int, Callable[[TraceFile, int, dict[str, Any]], None]] = {
    ChunkKind.META: TraceFile._meta,
    ChunkKind.PROCESS: TraceFile._started,
    ChunkKind.TABLE: TraceFile._table,
    ChunkKind.FILE: TraceFile._mapped,
    ChunkKind.END: TraceFile._ended,
    ChunkKind.THREADS: TraceFile._threads,
    ChunkKind.BINDINGS: TraceFile._bound,
}

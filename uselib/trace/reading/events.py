"""Events of a trace as Python objects, streamed: one process after the other, each in its order, memory bounded by one piece.

A payload (what a pointer argument pointed to) is joined to its event here. Both come in the order of sequence numbers, so one
pass over each is enough.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from uselib.emulator.trace.store.format import LATE, PAYLOAD_ROW, RECORD, RECORDS_HEAD, TAIL_CALL, EventKind
from uselib.trace.reading.model import Function, TracedProcess, TraceFile
from uselib.trace.reading.selected_rows import RowSelection

_PIECE = 1 << 13  # records read at a time
_KIND = RECORD.size - 2  # where a record has its kind
CALLS = frozenset((EventKind.CALL, EventKind.INNER_CALL))
RETURNS = frozenset((EventKind.RETURN, EventKind.INNER_RETURN))


@dataclass(slots=True)
class Event:
    """One event. function: of calls and returns, else None; number: of a system call.

    words: argument words (CALL: four or more), result words (RETURN: rax, rdx, xmm0 and the duration).
    payload: word index -> (bytes, whether they were cut). thread: number of the guest's thread, if the program had several; else 0.
    """

    process: TracedProcess
    sequence: int
    time: int
    kind: int
    function: Function | None
    number: int
    caller: int
    sp: int
    words: tuple[int, ...]
    depth: int
    flags: int
    payload: dict[int, tuple[bytes, bool]] = field(default_factory=dict)
    thread: int = 0

    @property
    def is_call(self) -> bool:
        return self.kind in CALLS

    @property
    def is_return(self) -> bool:
        return self.kind in RETURNS

    @property
    def duration(self) -> int:
        """Of a return: time since its call."""
        return self.words[3]

    @property
    def tail(self) -> bool:
        return bool(self.flags & TAIL_CALL)

    @property
    def late(self) -> bool:
        return bool(self.flags & LATE)


class _Payloads:
    """Reads payload rows in step with the events."""

    def __init__(self, trace: TraceFile, process: TracedProcess, first: int) -> None:
        self._rows = payload_rows(trace, process, first)
        self._next = next(self._rows, None)

    def of(self, sequence: int) -> dict[int, tuple[bytes, bool]]:
        found: dict[int, tuple[bytes, bool]] = {}
        while self._next is not None and self._next[0] <= sequence:
            number, word, cut, data = self._next
            if number == sequence:
                found[word] = data, cut
            self._next = next(self._rows, None)
        return found


def payload_rows(trace: TraceFile, process: TracedProcess, first: int = 0) -> Iterator[tuple[int, int, bool, bytes]]:
    """(sequence, word index, cut, bytes) of all payloads, from the chunk that may hold those of event `first`."""
    spans = process.payloads
    if first:
        heads = [int.from_bytes(trace.read(span.offset, 8), "little") for span in spans]
        spans = spans[max(bisect_right(heads, first) - 1, 0) :]
    for span in spans:
        body = trace.read(span.offset, span.count)
        position = 0
        while position + PAYLOAD_ROW.size <= len(body):
            sequence, word, flags, size = PAYLOAD_ROW.unpack_from(body, position)
            position += PAYLOAD_ROW.size
            data = body[position : position + size]
            yield sequence, word, bool(flags & 1) or len(data) < size, data
            position += size


def events(trace: TraceFile, processes: Iterable[TracedProcess] | None = None) -> Iterator[Event]:
    """All events of the processes (of all, if None)."""
    for process in trace.processes if processes is None else processes:
        yield from events_from(trace, process)


def events_from(
    trace: TraceFile, process: TracedProcess, first: int = 0, selection: RowSelection | None = None
) -> Iterator[Event]:
    """The events of one process from number `first` on, or a few before it. selection: only calls and returns that it takes."""
    payloads = _Payloads(trace, process, first) if process.payloads else None
    functions, numbers = trace.functions, process.functions
    pending: Event | None = None  # MORE records may still add words to it
    named = CALLS | RETURNS
    for sequence, row in _rows(trace, process, first, selection):
        time, caller, sp, w0, w1, w2, w3, index, depth, kind, flags = row
        if kind == EventKind.MORE:
            if pending is not None:
                pending.words += (time, caller, sp, w0, w1, w2, w3)[: min(index, 7)]
            continue
        if pending is not None:
            yield pending
        function = None
        if kind in named:
            number = numbers.get(index)
            function = trace.unknown(index) if number is None else functions[number]
        pending = Event(process, sequence, time, kind, function, index, caller, sp, (w0, w1, w2, w3), depth, flags)
        if process.thread_firsts:
            pending.thread = process.thread_of(sequence)
        if payloads is not None:
            pending.payload = payloads.of(sequence)
    if pending is not None:
        yield pending


def _rows(
    trace: TraceFile, process: TracedProcess, first: int, selection: RowSelection | None
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(sequence number of the event, record), from the piece that holds event number `first`."""
    spans = process.records
    if first:
        heads = [int.from_bytes(trace.read(span.offset, 8), "little") for span in spans]
        spans = spans[max(bisect_right(heads, first) - 1, 0) :]
    for span in spans:
        head = trace.read(span.offset, RECORDS_HEAD.size)
        if len(head) < RECORDS_HEAD.size:
            break
        sequence = RECORDS_HEAD.unpack(head)[0] - 1
        for start in range(0, span.count, _PIECE):
            at = span.offset + RECORDS_HEAD.size + start * RECORD.size
            data = trace.read(at, min(_PIECE, span.count - start) * RECORD.size)
            data = data[: len(data) // RECORD.size * RECORD.size]
            kinds = data[_KIND :: RECORD.size]
            last = sequence + len(kinds) - kinds.count(EventKind.MORE)
            if last < first:
                pass
            elif selection is not None:
                yield from selection.rows(data, sequence)
            else:
                for row in RECORD.iter_unpack(data):
                    sequence += row[9] != EventKind.MORE
                    yield sequence, row
            sequence = last

"""The columns of a trace that filters, folds and jumps need: eight bytes an event, twelve with threads; the records stay in the file.

Rows number the events from 0 over all chosen processes, one process after the other. A thread fills the index piece by piece
while rows that are already there are shown: everything below `count` is final, and readers take `count` once.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from uselib.emulator.trace.store.format import RECORD, RECORDS_HEAD, EventKind
from uselib.trace.reading.blocks import DTYPE, Array, function_numbers
from uselib.trace.reading.model import TracedProcess, TraceFile
from uselib.trace.reading.threads import thread_numbers

PIECE = 1 << 15  # records read at a time
_ALL = (1 << 64) - 1
IS_CALL = np.zeros(256, bool)
IS_CALL[[EventKind.CALL, EventKind.INNER_CALL]] = True
IS_RETURN = np.zeros(256, bool)
IS_RETURN[[EventKind.RETURN, EventKind.INNER_RETURN]] = True


@dataclass(frozen=True, slots=True)
class IndexSegment:
    """Events that lie together in the file.

    start: row of the first; count: events; offset: of the first record; records: up to the end of the chunk;
    sequence: of the first event; positions: record number of each event, None if there are no MORE records.
    """

    start: int
    count: int
    offset: int
    records: int
    sequence: int
    process: TracedProcess
    positions: Array | None


class Index:
    """Raises OSError if the file cannot be opened again."""

    def __init__(self, trace: TraceFile, processes: Sequence[TracedProcess] | None = None) -> None:
        self.trace = trace
        self.processes = list(trace.processes if processes is None else processes)
        self.total = sum(process.record_count for process in self.processes)  # an upper bound: with MORE records
        self.depth = np.empty(self.total, np.uint16)  # the system gives memory to what is written only
        self.kind = np.empty(self.total, np.uint8)
        self.function = np.empty(self.total, np.int32)  # number in trace.functions, -1 for other events
        self.joined = np.empty(self.total, bool)  # a return or result right after its call: shown with it
        self.threads: Array | None = None  # number of the guest's thread, where a process has several
        if any(process.thread_firsts for process in self.processes):
            self.threads = np.empty(self.total, np.int32)
        self.count = 0
        self.complete = False
        self.segments: list[IndexSegment] = []
        self._starts: list[int] = []
        self.process_starts: list[int] = []  # row where each process begins, as far as it is known
        self._fd = os.open(trace.path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file, fewer at its end. May be called by any thread, since the file has no position."""
        return os.pread(self._fd, size, offset) if self._fd >= 0 else b""

    def segment(self, row: int) -> IndexSegment:
        return self.segments[bisect_right(self._starts, row) - 1]

    def row_of(self, process: TracedProcess, sequence: int) -> int | None:
        """The row of that event, or of the first one after it that is known."""
        for segment in list(self.segments):
            if segment.process is process and sequence < segment.sequence + segment.count:
                return segment.start + max(sequence - segment.sequence, 0)
        return None

    def bounds(self, row: int) -> tuple[int, int]:
        """Rows of the process that the row belongs to: the first, and the one after the last that is known."""
        at = bisect_right(self.process_starts, row) - 1
        following = self.process_starts[at + 1 : at + 2]
        return self.process_starts[at], following[0] if following else self.count

    def build(self) -> Iterator[int]:
        """Fills the index; gives the number of rows after each piece."""
        for process in self.processes:
            self.process_starts.append(self.count)
            known = _Numbers(self.trace, process)
            last = (0, 0, 0)
            for span in process.records:
                head = self.read(span.offset, RECORDS_HEAD.size)
                if len(head) < RECORDS_HEAD.size:
                    break
                sequence = RECORDS_HEAD.unpack(head)[0]
                first = span.offset + RECORDS_HEAD.size
                for done in range(0, span.count, PIECE):
                    offset = first + done * RECORD.size
                    data = self.read(offset, min(PIECE, span.count - done) * RECORD.size)
                    records = np.frombuffer(data, DTYPE, count=len(data) // RECORD.size)
                    number, last = self._piece(process, known, records, offset, span.count - done, sequence, last)
                    sequence = (sequence + number) & _ALL
                    yield self.count
        self.complete = True
        yield self.count

    def _piece(
        self,
        process: TracedProcess,
        known: _Numbers,
        records: Array,
        offset: int,
        left: int,
        sequence: int,
        last: tuple[int, int, int],
    ) -> tuple[int, tuple[int, int, int]]:
        """last: kind, depth and sequence of the event before. Returns the number of events, and that of the last."""
        positions = None
        more = records["kind"] == EventKind.MORE
        if more.any():
            positions = np.flatnonzero(~more).astype(np.uint32)
            records = records[positions]
        count = len(records)
        if not count:
            return 0, last
        kind, depth = records["kind"], records["depth"]
        start, end = self.count, self.count + count
        named = IS_CALL[kind] | IS_RETURN[kind]
        self.kind[start:end], self.depth[start:end] = kind, depth
        self.function[start:end] = np.where(named, known(np.where(named, records["function"], 0)), -1)
        if self.threads is not None:
            numbers = np.arange(count, dtype=np.uint64) + np.uint64(sequence)
            self.threads[start:end] = thread_numbers(process, numbers)
        before = np.empty((3, count), np.uint64)  # kind, depth, sequence of the event before each
        before[:, 0] = last
        before[0, 1:], before[1, 1:] = kind[:-1], depth[:-1]
        before[2, 1:] = np.arange(count - 1, dtype=np.uint64) + np.uint64(sequence)  # wraps as in a damaged file
        own = IS_RETURN[kind] & IS_CALL[before[0].astype(np.uint8)] & (before[2] == records["caller"])
        result = (kind == EventKind.SYSCALL_RESULT) & (before[0] == EventKind.SYSCALL)
        self.joined[start:end] = (own | result) & (before[1] == depth)
        self.segments.append(IndexSegment(start, count, offset, left, sequence, process, positions))
        self._starts.append(start)
        self.count = end
        return count, (int(kind[-1]), int(depth[-1]), (sequence + count - 1) & _ALL)


class _Numbers:
    """Function indexes of a process's records -> numbers in the trace, by a table; unknown ones are entered."""

    def __init__(self, trace: TraceFile, process: TracedProcess) -> None:
        self._trace, self._process = trace, process
        self._table = np.full(max(process.functions, default=-1) + 1, -1, np.int32)
        if process.functions:
            self._table[list(process.functions)] = list(process.functions.values())

    def __call__(self, indices: Array) -> Array:
        if len(self._table) and int(indices.max()) < len(self._table):
            numbers = self._table[indices]
            if (numbers >= 0).all():
                return numbers
        return function_numbers(self._trace, self._process, indices)

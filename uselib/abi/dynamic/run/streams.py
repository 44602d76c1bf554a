"""The events of one process as arrays: calls made outside the library under test, and their returns.

Invariant of the comparison: an event is *top-level* if no call into the library under test is open when it happens. Events inside such a call
(callbacks and their calls) are internal to the library, and may change.

A million calls and returns are 128 MB of records a side. The file is mapped, and only the columns that are needed become arrays.
"""

from __future__ import annotations

import mmap
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from uselib.emulator.trace.store.format import LATE, RECORDS_HEAD, TAIL_CALL, EventKind
from uselib.trace.reading.blocks import Array
from uselib.trace.reading.events import payload_rows
from uselib.trace.reading.model import TracedProcess, TraceFile

# functions that do not return as others do: calls below them are top-level
TRANSPARENT = frozenset(("__libc_start_main", "exit", "_exit", "_Exit", "quick_exit", "pthread_exit"))
EXTRA = 7
_CALLER, _SP, _WORDS, _INFO = 1, 2, 3, 7  # 64-bit columns of a record (format.py)


class RecordPieces:
    """Records of a process: rows of eight 64-bit words, in pieces as they lie in the mapped file; of a piece all rows, or those
    in an index."""

    def __init__(self) -> None:
        self._parts: list[tuple[Array, Array | None]] = []
        self._starts: list[int] = []
        self._count = 0

    def add(self, raw: Array, rows: Array | None) -> None:
        self._parts.append((raw, rows))
        self._starts.append(self._count)
        self._count += len(raw) if rows is None else len(rows)

    def __len__(self) -> int:
        return self._count

    def record(self, row: int) -> list[int]:
        at = bisect_right(self._starts, row) - 1
        raw, rows = self._parts[at]
        inside = row - self._starts[at]
        found: list[int] = raw[inside if rows is None else rows[inside]].tolist()
        return found

    def column(self, number: int) -> Array:
        parts = [raw[:, number] if rows is None else raw[rows, number] for raw, rows in self._parts]
        return np.concatenate(parts) if parts else np.zeros(0, np.uint64)

    def some(self, wanted: Array, number: int) -> Array:
        """A column, of some rows in ascending order."""
        out = np.empty(len(wanted), np.uint64)
        places = np.searchsorted(wanted, [*self._starts, self._count])
        for at in np.flatnonzero(places[1:] > places[:-1]).tolist():
            low, high = int(places[at]), int(places[at + 1])
            raw, rows = self._parts[at]
            inside = wanted[low:high] - self._starts[at]
            out[low:high] = raw[inside if rows is None else rows[inside], number]
        return out

    def without(self, gone: Array) -> RecordPieces:
        """gone: for each row, whether it is left out."""
        other = RecordPieces()
        for start, (raw, rows) in zip(self._starts, self._parts, strict=True):
            count = len(raw) if rows is None else len(rows)
            keep = np.flatnonzero(~gone[start : start + count])
            other.add(raw, keep if rows is None else rows[keep])
        return other


@dataclass
class Stream:
    """One process of one side. Rows are calls and returns in their order, MORE records taken out.

    pieces: the records as they lie in the file; kind, caller: columns; function: index in the process's tables;
    address: of the function that is called or returns; more: row -> further argument words; opening: whether the row is a call into
    the library that returns, or should.
    """

    process: TracedProcess
    trace: TraceFile
    pieces: RecordPieces
    sequence: Array
    kind: Array
    function: Array
    caller: Array
    address: Array
    more: dict[int, tuple[int, ...]]
    opening: Array
    _columns: dict[int, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.kind)

    @cached_property
    def top(self) -> Array:
        """The rows that are top-level."""
        return _top_level(self)

    @cached_property
    def call_rows(self) -> Array:
        """The rows that are calls."""
        return np.flatnonzero(self.kind == EventKind.CALL)

    def called(self) -> dict[int, tuple[int, int]]:
        """Address of each function that was called -> index in the process's tables, how often."""
        counts = np.bincount(self.function[self.call_rows])
        functions, known = self.trace.functions, self.process.functions
        return {
            functions[known[index]].address: (index, int(counts[index]))
            for index in np.flatnonzero(counts).tolist()
            if index in known
        }

    def first_call(self, function: int) -> int:
        """Row of the first call of a function, by its index; there must be one."""
        rows = self.call_rows
        return int(rows[int((self.function[rows] == function).argmax())])

    def is_call(self, row: int) -> bool:
        return int(self.kind[row]) == EventKind.CALL

    def number(self, row: int) -> int:
        """Number of the call at or before a row, from 1."""
        return int(np.searchsorted(self.call_rows, row, side="right"))

    def row_of(self, sequence: int) -> int:
        """The row of the latest event up to a sequence number; -1 before the first."""
        return int(np.searchsorted(self.sequence, sequence, side="right")) - 1

    def sp(self, row: int) -> int:
        return int(self.pieces.record(row)[_SP])

    def word(self, top: Array, events: Array, word: int) -> Array:
        """Argument or result word `word` (0 to 3) of some top-level events."""
        rows = top[events]
        if word not in self._columns:
            if 16 * len(rows) < len(self):
                return self.pieces.some(rows, _WORDS + word)
            self._columns[word] = self.pieces.column(_WORDS + word)
        return np.asarray(self._columns[word][rows])

    def words(self, row: int) -> tuple[int, ...]:
        return (*self.pieces.record(row)[_WORDS : _WORDS + 4], *self.more.get(row, ()))

    def late(self, row: int) -> bool:
        """A return that was only noticed afterwards, so that its result is not known."""
        return bool(self.pieces.record(row)[_INFO] >> 56 & LATE)

    def raw_payload(self) -> bytes:
        return b"".join(self.trace.read(span.offset, span.count) for span in self.process.payloads)

    @cached_property
    def payloads(self) -> dict[int, dict[int, tuple[bytes, bool]]]:
        """The copied memory, by sequence number: word -> (bytes, cut)."""
        found: dict[int, dict[int, tuple[bytes, bool]]] = {}
        for sequence, word, cut, data in payload_rows(self.trace, self.process):
            found.setdefault(sequence, {})[word] = data, cut
        return found

    def payload(self, row: int) -> dict[int, tuple[bytes, bool]]:
        return self.payloads.get(int(self.sequence[row]), {})


def load(trace: TraceFile, process: TracedProcess, low: int, high: int, beyond: int = 1 << 64) -> Stream:
    """low, high: address range of the library under test; beyond: addresses from here to `high` are no slots, although the
    recorder was told so (identity_copy.py): a jump from a slot there is no call."""
    pieces, sequence, info, caller, more = _records(trace, process)
    kind = (info >> np.uint64(48)).astype(np.uint8)
    function = (info & np.uint64(0xFFFF_FFFF)).astype(np.int64)
    count = max(process.functions, default=-1) + 1
    addresses, transparent = np.zeros(count + 1, np.uint64), np.zeros(count + 1, bool)
    for index, number in process.functions.items():
        addresses[index] = trace.functions[number].address
        transparent[index] = trace.functions[number].name in TRANSPARENT
    np.minimum(function, count, out=function)
    enters = (addresses >= np.uint64(low)) & (addresses < np.uint64(high)) & ~transparent
    opening = enters[function] & (kind == EventKind.CALL)
    stream = Stream(process, trace, pieces, sequence, kind, function, caller, addresses[function], more, opening)
    return _without_jumps(stream, beyond, high) if beyond < high else stream


def _records(
    trace: TraceFile, process: TracedProcess
) -> tuple[RecordPieces, Array, Array, Array, dict[int, tuple[int, ...]]]:
    """Calls and returns: the records, their sequence numbers, the last column, callers; the words of MORE records by row."""
    pieces, more = RecordPieces(), {}
    total = sum(span.count for span in process.records)
    sequence, info, caller = np.empty(total, np.int64), np.empty(total, np.uint64), np.empty(total, np.uint64)
    rows = 0
    data = _mapped(trace.path) if total else b""
    for span in process.records:
        first = RECORDS_HEAD.unpack_from(data, span.offset)[0]
        raw = np.frombuffer(data, "<u8", 8 * span.count, span.offset + RECORDS_HEAD.size).reshape(-1, 8)
        here = raw[:, _INFO].copy()
        kinds = (here >> np.uint64(48)).astype(np.uint8)
        numbers = np.arange(first, first + len(raw))
        index = None
        if int(kinds.max()) > EventKind.RETURN:
            wanted = (kinds == EventKind.CALL) | (kinds == EventKind.RETURN)
            event = kinds != EventKind.MORE
            numbers -= np.cumsum(~event)
            owner = np.cumsum(wanted) - 1 + rows
            before = np.maximum.accumulate(np.where(event, np.arange(len(raw)), 0))
            for at in np.flatnonzero((kinds == EventKind.MORE) & wanted[before]).tolist():
                more[int(owner[at])] = tuple(raw[at, : min(int(here[at]) & 0xFFFF_FFFF, EXTRA)].tolist())
            index = np.flatnonzero(wanted)
            here, numbers = here[index], numbers[index]
        pieces.add(raw, index)
        end = len(pieces)
        sequence[rows:end], info[rows:end] = numbers, here
        caller[rows:end] = raw[:, _CALLER] if index is None else raw[index, _CALLER]
        rows = end
    return pieces, sequence[:rows], info[:rows], caller[:rows], more


def _mapped(path: str) -> mmap.mmap:
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _without_jumps(stream: Stream, beyond: int, high: int) -> Stream:
    """The records without calls that are jumps from a slot into code that was taken for a slot, and without their returns."""
    code = (stream.address >= np.uint64(beyond)) & (stream.address < np.uint64(high)) & (stream.kind == EventKind.CALL)
    jumps = [row for row in np.flatnonzero(code).tolist() if stream.pieces.record(row)[_INFO] >> 56 & TAIL_CALL]
    if not jumps:
        return stream
    gone = (stream.kind == EventKind.RETURN) & np.isin(stream.caller, stream.sequence[jumps].astype(np.uint64))
    gone[jumps] = True
    keep = np.flatnonzero(~gone)
    moved = {int(row): at for at, row in enumerate(keep.tolist())}
    return Stream(
        stream.process,
        stream.trace,
        stream.pieces.without(gone),
        stream.sequence[keep],
        stream.kind[keep],
        stream.function[keep],
        stream.caller[keep],
        stream.address[keep],
        {moved[row]: words for row, words in stream.more.items() if row in moved},
        stream.opening[keep],
    )


def _top_level(stream: Stream) -> Array:
    """Rows with no call into the library open. The call itself and its return count as such, the rows between do not."""
    count = len(stream)
    opening = np.flatnonzero(stream.opening)
    behind = np.minimum(opening + 1, count - 1)
    at_once = (stream.kind[behind] == EventKind.RETURN) & (
        stream.caller[behind] == stream.sequence[opening].astype(np.uint64)
    )
    long = opening[~at_once]  # most calls return before anything else happens
    if not len(long):
        return np.arange(count)
    returns = np.flatnonzero((stream.kind == EventKind.RETURN) & (stream.caller > 0))
    order = np.argsort(stream.caller[returns], kind="stable")
    returns = returns[order]
    at = np.searchsorted(stream.caller[returns], stream.sequence[long].astype(np.uint64))
    at = np.minimum(at, max(len(returns) - 1, 0))
    step = np.zeros(count + 1, np.int64)
    np.add.at(step, long + 1, 1)
    if len(returns):
        back = returns[at]
        found = stream.caller[back] == stream.sequence[long].astype(np.uint64)
        np.add.at(step, back[found], -1)
    return np.flatnonzero(np.cumsum(step[:-1]) == 0)

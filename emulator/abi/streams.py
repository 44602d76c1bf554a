"""The events of one process as arrays: what the program (and any library but the one under test) called, and what came back.

Invariant of the comparison: an event is *top-level* if no call into the library under test is open when it happens. What happens
inside such a call (callbacks and what they call in turn) is the library's way of doing its work, and may change.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from emulator.trace.format import LATE, RECORDS_HEAD, Kind
from emulator.trace.reading.blocks import DTYPE, Array
from emulator.trace.reading.events import payload_rows
from emulator.trace.reading.model import Process, TraceFile

# functions that do not come back as others do: what is called below them is top-level
TRANSPARENT = frozenset(("__libc_start_main", "exit", "_exit", "_Exit", "quick_exit", "pthread_exit"))
EXTRA = 7


@dataclass
class Stream:
    """One process of one side. Rows are calls and returns in their order, MORE records taken out.

    address: of the called function (of a return: of the function that returns); more: row -> further argument words.
    """

    process: Process
    records: Array
    sequence: Array
    address: Array
    more: dict[int, tuple[int, ...]]
    trace: TraceFile
    top: Array = field(default_factory=lambda: np.zeros(0, np.int64))  # rows that are top-level
    opening: Array = field(
        default_factory=lambda: np.zeros(0, bool)
    )  # calls into the library that come back, or should
    _payload: dict[int, dict[int, tuple[bytes, bool]]] | None = None

    @property
    def calls(self) -> Array:
        """Is a row a call?"""
        return np.asarray(self.records["kind"] == Kind.CALL)

    def number(self, row: int) -> int:
        """Number of the call at or before a row, from 1."""
        return int(np.count_nonzero(self.records["kind"][: row + 1] == Kind.CALL))

    def raw_payload(self) -> bytes:
        return b"".join(self.trace.read(span.offset, span.count) for span in self.process.payloads)

    def payload(self, row: int) -> dict[int, tuple[bytes, bool]]:
        """What was copied at a row: word -> (bytes, cut)."""
        if self._payload is None:
            self._payload = {}
            for sequence, word, cut, data in payload_rows(self.trace, self.process):
                self._payload.setdefault(sequence, {})[word] = data, cut
        return self._payload.get(int(self.sequence[row]), {})

    def words(self, row: int) -> tuple[int, ...]:
        return (*(int(word) for word in self.records["words"][row]), *self.more.get(row, ()))


def load(trace: TraceFile, process: Process, low: int, high: int) -> Stream:
    """low, high: address range of the library under test."""
    parts, numbers, extras = [], [], {}
    rows = 0
    for span in process.records:
        data = trace.read(span.offset, RECORDS_HEAD.size + span.count * DTYPE.itemsize)
        raw = np.frombuffer(data, DTYPE, offset=RECORDS_HEAD.size)
        main = raw["kind"] != Kind.MORE
        if not main.all():
            owner = np.cumsum(main) - 1 + rows
            for at in np.flatnonzero(~main).tolist():
                count = min(int(raw["function"][at]), EXTRA)
                extras[int(owner[at])] = tuple(np.frombuffer(raw[at].tobytes(), "<u8", count=EXTRA).tolist())[:count]
            raw = raw[main]
        numbers.append(np.arange(len(raw), dtype=np.int64) + RECORDS_HEAD.unpack_from(data)[0])
        parts.append(raw)
        rows += len(raw)
    records = np.concatenate(parts) if parts else np.zeros(0, DTYPE)
    sequence = np.concatenate(numbers) if numbers else np.zeros(0, np.int64)
    wanted = (records["kind"] == Kind.CALL) | (records["kind"] == Kind.RETURN)
    if not wanted.all():
        where = np.flatnonzero(wanted)
        moved = {int(row): new for new, row in enumerate(where.tolist())} if extras else {}
        extras = {moved[row]: words for row, words in extras.items() if row in moved}
        records, sequence = records[where], sequence[where]
    count = max(process.functions, default=-1) + 1
    addresses = np.zeros(count + 1, np.uint64)
    transparent = np.zeros(count + 1, bool)
    for index, number in process.functions.items():
        addresses[index] = trace.functions[number].address
        transparent[index] = trace.functions[number].name in TRANSPARENT
    index = np.minimum(records["function"], count)
    stream = Stream(process, records, sequence, addresses[index], extras, trace)
    inside = (stream.address >= np.uint64(low)) & (stream.address < np.uint64(high))
    stream.opening = stream.calls & inside & ~transparent[index]
    stream.top = _top_level(stream, inside)
    return stream


def _top_level(stream: Stream, inside: Array) -> Array:
    """Rows with no call into the library open: the call itself and its return are, what is between is not."""
    records, sequence = stream.records, stream.sequence
    returns = np.flatnonzero((records["kind"] == Kind.RETURN) & (records["caller"] > 0))
    of = np.searchsorted(sequence, records["caller"][returns].astype(np.int64))
    fits = of < len(sequence)
    returns, of = returns[fits], of[fits]
    exact = sequence[of] == records["caller"][returns].astype(np.int64)
    returns, of = returns[exact & inside[of]], of[exact & inside[of]]
    step = np.zeros(len(records) + 1, np.int64)
    np.add.at(step, of + 1, 1)
    np.add.at(step, returns, -1)
    unreturned = stream.opening.copy()
    unreturned[of] = False
    np.add.at(step, np.flatnonzero(unreturned) + 1, 1)
    return np.flatnonzero(np.cumsum(step[:-1]) == 0)


def late(stream: Stream, rows: Array) -> Array:
    """Which of the rows are returns that were only noticed afterwards, so that their results are not known."""
    return np.asarray((stream.records["flags"][rows] & LATE) != 0)

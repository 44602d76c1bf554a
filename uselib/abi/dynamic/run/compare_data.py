"""The first difference in a program's accesses to exported data."""

from __future__ import annotations

import numpy as np

from uselib.abi.dynamic.run.data_watch import LOG
from uselib.abi.dynamic.run.process_pair import AT_END, DivergenceCandidate, ProcessPair
from uselib.abi.dynamic.run.result import Divergence
from uselib.abi.dynamic.run.streams import Stream


def compare_data(pair: ProcessPair) -> list[DivergenceCandidate]:
    """The first access to exported data, outside calls into the library, that differs: which code, which datum, which value."""
    logs = [_top_level(stream, run.data(stream.process.index)["log"], pair) for stream, run in pair.streams]
    length = min(map(len, logs))
    at = next((n for n in range(length) if not _same_access(pair, logs[0][n], logs[1][n])), length)
    full = any(len(run.data(stream.process.index)["log"]) >= LOG for stream, run in pair.streams)
    if at == length and (len(logs[0]) == len(logs[1]) or full or pair.limited):
        if full:
            pair.notes.add(f"only the first {LOG} uses of exported data are compared one by one")
        return []
    entries = [log[at] if at < len(log) else None for log in logs]

    def make() -> Divergence:
        shown = [_access(pair, n, entry) for n, entry in enumerate(entries)]
        first = entries[0] or entries[1]
        assert first is not None
        numbers = [
            stream.number(stream.row_of(entry[0])) if entry is not None else 0
            for (stream, _), entry in zip(pair.streams, entries, strict=True)
        ]
        same = entries[0] is not None and entries[1] is not None and entries[0][1:5] == entries[1][1:5]
        name = pair.datum(first[2])
        message = (
            f"the program {'writes' if first[4] else 'reads'} another value" if same else "the program uses other data"
        )
        return Divergence(
            "data access", message, shown[0], shown[1], numbers[0], numbers[1], pair.place(pair.old, first[1]), name
        )

    return [DivergenceCandidate((int(entries[0][0]) if entries[0] is not None else AT_END - 1, 3), make)]


def _top_level(stream: Stream, log: list[list[int]], pair: ProcessPair) -> list[list[int]]:
    """Accesses with no call into the library open."""
    if not log:
        return []
    top = np.zeros(len(stream) + 1, bool)  # the last: before any event
    top[stream.top] = True
    top[np.flatnonzero(stream.opening)] = False  # in such a call
    top[-1] = True
    rows = np.searchsorted(stream.sequence, np.array([entry[0] for entry in log]), side="right") - 1
    return [entry for entry, row in zip(log, rows.tolist(), strict=True) if top[row]]


def _same_access(pair: ProcessPair, a: list[int], b: list[int]) -> bool:
    if a[1:5] != b[1:5]:
        return False
    if a[5] == b[5]:
        return True
    return a[3] == pair.inputs.machine.word and pair.pointers[0].same(pair.pointers[1], (a[5], 0), (b[5], 0))


def _access(pair: ProcessPair, side: int, entry: list[int] | None) -> str:
    if entry is None:
        return "no further use"
    _, pc, address, size, write, value = entry
    where = pair.place(pair.streams[side][0], pc)
    return f"{'writes' if write else 'reads'} {pair.datum(address)}: {_number(value, size)}  from {where}"


def _number(value: int, size: int) -> str:
    return (
        str(value)
        if value < 1 << 16
        else str(value - (1 << 8 * size))
        if value >> (8 * size - 8) == 0xFF
        else hex(value)
    )

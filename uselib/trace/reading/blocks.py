"""Records of a trace as numpy arrays, for views that count millions of events.

A block is some hundred thousand records of one process; the small chunks that a recorder writes are joined. MORE records are
left out, but keep their effect on sequence numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from uselib.emulator.trace.store.format import RECORD, RECORDS_HEAD, EventKind
from uselib.trace.reading.model import TracedProcess, TraceFile

Array = npt.NDArray[Any]

DTYPE = np.dtype(
    [
        ("time", "<u8"),
        ("caller", "<u8"),
        ("sp", "<u8"),
        ("words", "<u8", (4,)),
        ("function", "<u4"),
        ("depth", "<u2"),
        ("kind", "u1"),
        ("flags", "u1"),
    ]
)
assert DTYPE.itemsize == RECORD.size
BLOCK = 1 << 18  # records


@dataclass(frozen=True)
class Block:
    """records: of DTYPE, without MORE; sequence: of each of them."""

    process: TracedProcess
    records: Array
    sequence: Array


def _pieces(trace: TraceFile, process: TracedProcess) -> Iterator[tuple[Array, Array]]:
    for span in process.records:
        head = trace.read(span.offset, RECORDS_HEAD.size)
        if len(head) < RECORDS_HEAD.size:
            return
        sequence = RECORDS_HEAD.unpack(head)[0]
        for start in range(0, span.count, BLOCK):
            at = span.offset + RECORDS_HEAD.size + start * RECORD.size
            data = trace.read(at, min(BLOCK, span.count - start) * RECORD.size)
            records = np.frombuffer(data, DTYPE, count=len(data) // RECORD.size)
            if (records["kind"] == EventKind.MORE).any():
                records = records[records["kind"] != EventKind.MORE]
            # wraps around for a damaged first number, as C would
            numbers = np.arange(len(records), dtype=np.uint64) + np.uint64(sequence)
            yield records, numbers
            sequence = (sequence + len(records)) & (1 << 64) - 1


def blocks(trace: TraceFile, process: TracedProcess, step: Callable[[int], None] | None = None) -> Iterator[Block]:
    """The records of a process in their order. step: told how many records each block had, for a progress line."""
    parts: list[tuple[Array, Array]] = []
    count = 0
    for records, numbers in _pieces(trace, process):
        parts.append((records, numbers))
        count += len(records)
        if count >= BLOCK // 2:
            yield _joined(process, parts)
            if step is not None:
                step(count)
            parts, count = [], 0
    if count:
        yield _joined(process, parts)
        if step is not None:
            step(count)


def _joined(process: TracedProcess, parts: list[tuple[Array, Array]]) -> Block:
    if len(parts) == 1:
        return Block(process, *parts[0])
    return Block(process, np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))


def function_numbers(trace: TraceFile, process: TracedProcess, indices: Array) -> Array:
    """Indices as records have them -> numbers in trace.functions (int64); unknown ones are entered."""
    distinct, inverse = np.unique(indices, return_inverse=True)
    known = process.functions
    numbers = np.array([known[i] if i in known else trace.unknown(i).number for i in distinct.tolist()], dtype=np.int64)
    return numbers[inverse] if len(numbers) else np.zeros(0, np.int64)

"""Whether two long runs are the same, without keeping their events: one number for each piece of a trace, made while it is still in the
processor's cache.

A million calls and returns are 128 MB a side; writing and reading them takes longer than the runs themselves. So only the first
events are kept as they are. Of all of them a digest is made, over what the comparison would look at: which function, from where, the
words that mean something (meaning.py), the bytes that were copied. Digests are strict: they take callbacks and the values of
pointers as they are, which the comparison does not. If they agree, the runs are the same; if not, the comparison decides, and a
run too long to have been kept is done once more up to the piece that differs. That is possible because runs are deterministic.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from emulator.abi.meaning import WORDS, Shape
from emulator.trace.backend import Batch
from emulator.trace.format import ChunkKind, Kind
from emulator.trace.reading.blocks import Array
from emulator.trace.sinks import FileSink

KEPT = 1 << 16  # records of a process that are kept as they are, whatever the digests say
_ALL = (1 << 64) - 1
_COLUMNS = range(1, 7)  # of a record: caller, stack pointer, four words; of a MORE record also the first and no last
_RANDOM = np.random.default_rng(1991).integers(0, 1 << 64, (1 << 14) + 16, np.uint64) | np.uint64(1)
_MIX, _PLACE = _RANDOM[:16], _RANDOM[16:]

ShapeAt = Callable[[int, str], Shape]


class _Process:
    """The digests of one process."""

    def __init__(self) -> None:
        self.functions: dict[int, tuple[int, str]] = {}  # index -> address, name
        self.size = 0
        self.first = np.zeros(0, np.uint64)  # by key: function, and whether it is a return: stands for both
        self.masks = np.zeros((8, 0), np.uint64)  # column, key
        self.more = np.zeros((8, 0), np.uint64)  # column, function
        self.known = np.zeros(0, bool)
        self.counts = np.zeros(0, np.int64)
        self.digests: list[str] = []
        self.records = self.kept = self.events = 0
        self.last = 0  # function of the last event: MORE records may follow in the next piece

    def grow(self, size: int) -> None:
        """Room for `size` functions."""
        more = size - self.size
        if more <= 0:
            return
        self.first = np.concatenate([self.first, np.zeros(2 * more, np.uint64)])
        self.masks = np.concatenate([self.masks, np.zeros((8, 2 * more), np.uint64)], axis=1)
        self.more = np.concatenate([self.more, np.zeros((8, more), np.uint64)], axis=1)
        self.known = np.concatenate([self.known, np.zeros(2 * more, bool)])
        self.counts = np.concatenate([self.counts, np.zeros(2 * more, np.int64)])
        self.size = size


class DigestSink(FileSink):
    """A trace file with the first `kept` records of each process, and digests of all. shape: of the function at an address."""

    def __init__(self, path: str, meta: dict[str, Any], shape: ShapeAt, kept: int) -> None:
        self._shape, self._kept = shape, kept
        self._processes: dict[int, _Process] = {}
        super().__init__(path, meta)

    def describe(self, kind: ChunkKind, value: dict[str, Any], process: int) -> None:
        super().describe(kind, value, process)
        if kind == ChunkKind.PROCESS:
            new = self._processes[process] = _Process()
            before = self._processes.get(value["parent"]) if value["forked_at"] is not None else None
            if before is not None:
                self._functions(new, before.functions)
        elif kind == ChunkKind.TABLE:
            rows = zip(value["addresses"], value["names"], strict=True)
            self._functions(self._processes[process], dict(enumerate(rows, value["first"])))

    @staticmethod
    def _functions(process: _Process, rows: dict[int, tuple[int, str]]) -> None:
        process.functions.update(rows)
        process.grow(max(rows, default=-1) + 1)

    def batch(self, batch: Batch, process: int) -> None:
        state = self._processes[process]
        table = np.frombuffer(batch.records, "<u8").reshape(-1, 8)
        if state.records + len(table) <= self._kept and state.kept == state.records:
            super().batch(batch, process)
            state.kept += len(table)
        state.records += len(table)
        self._digest(state, table, batch.payload)

    def _digest(self, state: _Process, table: Array, payload: bytes | memoryview) -> None:
        info = table[:, 7].copy()
        kind = info >> np.uint64(48) & np.uint64(0xFF)
        key = ((info & np.uint64(0xFFFF_FFFF)) << np.uint64(1)).astype(np.int64)
        key += kind == Kind.RETURN
        more = np.flatnonzero(kind == Kind.MORE) if int(kind.max()) == Kind.MORE else None
        if more is not None:
            owner = np.maximum.accumulate(np.where(kind == Kind.MORE, -1, np.arange(len(kind))))[more]
            key[more] = np.where(owner < 0, state.last, key[owner])
        state.last = int(key[-1])
        state.grow(int(key.max()) // 2 + 1)
        seen = np.bincount(key, minlength=2 * state.size)
        used = np.flatnonzero(seen)
        for index in used[~state.known[used]].tolist():
            self._learn(state, index)
        state.counts += seen
        if more is not None:
            state.counts -= np.bincount(key[more], minlength=2 * state.size)
        state.events += len(kind) - (0 if more is None else len(more))
        # of each record a sum of products with odd numbers, modulo 2**64; of the piece the same once more
        rows = state.first[key]
        for column in _COLUMNS:
            if state.masks[column, used].any():
                rows += (table[:, column] & state.masks[column][key]) * _MIX[column]
        if more is not None:
            rows[more] = ((table[more] & state.more[:, key[more] >> 1].T) * _MIX[8:]).sum(axis=1, dtype=np.uint64)
        piece = int((rows * _PLACE[: len(rows)]).sum(dtype=np.uint64)) if len(rows) <= len(_PLACE) else 0
        copied = hashlib.blake2b(payload, digest_size=16).hexdigest() if len(payload) else ""
        state.digests.append(f"{piece:016x}{copied}")

    def _learn(self, state: _Process, key: int) -> None:
        index, back = divmod(key, 2)
        address, name = state.functions.get(index, (0, ""))
        shape = self._shape(address, name)
        state.known[key] = True
        state.first[key] = (address * 2 + back) * int(_MIX[0]) & _ALL
        words = [_ALL if n in shape.pointers else shape.values.get(n, 0) for n in range(WORDS)]
        if back:
            state.masks[3, key] = _ALL if shape.result_pointer is not None else shape.result
        else:
            state.masks[1, key] = _ALL
            state.masks[3:7, key] = words[:4]
        state.more[:, index] = [*words[4:], 0]

    def summary(self, process: int) -> dict[str, Any]:
        """digests; counts: address -> calls; calls, events; whole: all events are in the file."""
        state = self._processes[process]
        calls = state.counts[::2]
        counts = [(state.functions.get(n, (0, ""))[0], int(calls[n])) for n in np.flatnonzero(calls).tolist()]
        return {
            "digests": state.digests, "counts": counts, "events": state.events,
            "whole": state.kept == state.records,
        }  # fmt: skip

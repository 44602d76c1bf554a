"""Whether two long runs are the same, without keeping their events: one number for each piece of a trace, made while it is still in the
processor's cache.

A million calls and returns are 128 MB a side; writing and reading them takes longer than the runs themselves. So only the first
events are kept as they are. A digest is made of all of them, over the parts that the comparison would look at: the function, its caller, the
words that have a type (compared_words.py), the bytes that were copied. Digests are strict: they include callbacks and the values of pointers,
which the comparison does not compare. If they agree, the runs are the same. If not, the comparison decides, and a run too long to have been
kept is repeated up to the piece that differs. That is possible because runs are deterministic.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from ctypes import Array, addressof, c_uint64, memmove, sizeof
from typing import Any

from uselib.abi.dynamic.run.compared_words import WORDS, ComparedWords
from uselib.abi.dynamic.run.data_watch import library
from uselib.emulator.trace.store.format import RECORD, Batch, ChunkKind, EventKind
from uselib.emulator.trace.store.sinks import FileSink

KEPT = 1 << 16  # records of a process that are kept as they are, whatever the digests say
_ALL = (1 << 64) - 1
_FIELDS = 16  # of a key: first, 6 masks, 7 masks of MORE, count, known: struct Key in native/data_watch.c
_MASKS, _MORE, _COUNT, _KNOWN = 1, 7, 14, 15
_MIX_TEXT = """
    9E3779B97F4A7C15 D6E8FEB86659FD93 A0761D6478BD642F E7037ED1A0B428DB 8EBC6AF09C88C6E3 589965CC75374CC3 1D8E4E27C47D124F"""
_MIX = tuple(int(word, 16) for word in _MIX_TEXT.split())

ComparedWordsAt = Callable[[int, str], ComparedWords]


class _Process:
    """The digests of one process. A key is a function and whether it is a return: 2 * index + 1."""

    def __init__(self) -> None:
        self.functions: dict[int, tuple[int, str]] = {}  # index -> address, name
        self.keys: Array[c_uint64] = (c_uint64 * 0)()
        self.state = (c_uint64 * 3)()  # struct Digest: value, latest key, events
        self.digests: list[str] = []
        self.records = self.kept = 0

    @property
    def size(self) -> int:
        """Keys that there is room for."""
        return len(self.keys) // _FIELDS

    def grow(self, size: int) -> None:
        """Room for `size` keys."""
        if size > self.size:
            keys = (c_uint64 * (_FIELDS * max(size, 2 * self.size)))()
            memmove(keys, self.keys, sizeof(self.keys))
            self.keys = keys


class DigestSink(FileSink):
    """A trace file with the first `kept` records of each process, and digests of all. shape: of the function at an address."""

    def __init__(self, path: str, meta: dict[str, Any], shape: ComparedWordsAt, kept: int) -> None:
        self._shape, self._kept = shape, kept
        self._processes: dict[int, _Process] = {}
        native = library()
        self._add = _add_in_python if native is None else native.uselib_digest
        super().__init__(path, meta)

    def describe(self, kind: ChunkKind, value: dict[str, Any], process: int) -> None:
        super().describe(kind, value, process)
        if kind == ChunkKind.PROCESS:
            new = self._processes[process] = _Process()
            before = self._processes.get(value["parent"]) if value["forked_at"] is not None else None
            if before is not None:
                new.functions.update(before.functions)
        elif kind == ChunkKind.TABLE:
            rows = zip(value["addresses"], value["names"], strict=True)
            self._processes[process].functions.update(enumerate(rows, value["first"]))

    def batch(self, batch: Batch, process: int) -> None:
        state = self._processes[process]
        count = len(batch.records) // RECORD.size
        if state.records + count <= self._kept and state.kept == state.records:
            super().batch(batch, process)
            state.kept += count
        state.records += count
        self._digest(state, batch.records, count)
        copied = hashlib.blake2b(batch.payload, digest_size=16).hexdigest() if len(batch.payload) else ""
        state.digests.append(f"{state.state[0]:016x}{copied}")

    def _digest(self, state: _Process, records: bytes | memoryview, count: int) -> None:
        if not isinstance(records, memoryview) or records.readonly:
            records = memoryview(bytearray(records))
        at = addressof(c_uint64.from_buffer(records))
        done = 0
        while True:
            keys = addressof(state.keys) if state.size else 0
            done += self._add(at + done * RECORD.size, count - done, keys, state.size, addressof(state.state))
            if done == count:
                return
            _, index, _, kind, _ = _TAIL.unpack_from(records, done * RECORD.size)
            self._learn(state, 2 * index + (kind == EventKind.RETURN))

    def _learn(self, state: _Process, key: int) -> None:
        index, back = divmod(key, 2)
        address, name = state.functions.get(index, (0, ""))
        shape = self._shape(address, name)
        words = [_ALL if n in shape.pointers else shape.values.get(n, 0) for n in range(WORDS)]
        result = _ALL if shape.result_pointer is not None else shape.result
        masks = [0, 0, result, 0, 0, 0] if back else [_ALL, 0, *words[:4]]
        state.grow(key + 1)
        row = [(address * 2 + back) * _MIX[0] & _ALL, *masks, *words[4:], 0, 1]
        for n, value in enumerate(row, _FIELDS * key):
            state.keys[n] = value

    def summary(self, process: int) -> dict[str, Any]:
        """digests; counts: of each function that was called its address, calls, name; events; whole: all events are in the file."""
        state = self._processes[process]
        counts = []
        for key in range(0, state.size, 2):
            times = state.keys[_FIELDS * key + _COUNT]
            if times:
                address, name = state.functions.get(key // 2, (0, ""))
                counts.append((address, times, name))
        whole = state.kept == state.records
        return {"digests": state.digests, "counts": counts, "events": state.state[2], "whole": whole}


_TAIL = struct.Struct("<56sIHBB")  # a record: words, function, depth, kind, flags


def _add_in_python(at: int, count: int, keys_at: int, size: int, state_at: int) -> int:
    """uselib_digest of native/data_watch.c, for machines without a C compiler."""
    records = (c_uint64 * (8 * count)).from_address(at)
    keys = (c_uint64 * (_FIELDS * size)).from_address(keys_at or at)  # of size 0: not looked at
    state = (c_uint64 * 3).from_address(state_at)
    for n in range(count):
        record = records[8 * n : 8 * n + 8]
        kind = record[7] >> 48 & 0xFF
        if kind == EventKind.MORE:
            row = _FIELDS * state[1] + _MORE
            total = kind + sum((record[c] & keys[row + c]) * _MIX[c] for c in range(7))
        elif kind > EventKind.RETURN:
            total = kind
        else:
            key = 2 * (record[7] & 0xFFFF_FFFF) + (kind == EventKind.RETURN)
            row = _FIELDS * key
            if key >= size or not keys[row + _KNOWN]:
                return n
            total = keys[row] + sum((record[c + 1] & keys[row + _MASKS + c]) * _MIX[c] for c in range(6))
            keys[row + _COUNT] += 1
            state[1], state[2] = key, state[2] + 1
        value = (state[0] ^ total & _ALL) * 0xC2B2AE3D27D4EB4F & _ALL
        state[0] = value ^ value >> 31
    return count


assert sizeof(c_uint64) * _FIELDS == 128

"""Where a recorder's output goes: a trace file, or events for the renderers of a live trace; and the flight recorder between."""

from __future__ import annotations

import mmap
import os
import struct
from typing import Any, Protocol

from uselib.emulator.trace.store.format import (
    CHUNK,
    HEADER,
    MAGIC,
    RECORD,
    RECORDS_HEAD,
    VERSION,
    Batch,
    ChunkKind,
    ChunkWriter,
    EventKind,
)
from uselib.emulator.trace.store.writer import BackgroundWriter

_FUNCTION, _KIND = struct.Struct("<I"), RECORD.size - 2


class TraceSink(Protocol):
    """Gets what a recorder has, process by process. Raises OSError if it cannot be kept."""

    live: bool  # whether events should come out before the program goes on with a system call

    def describe(self, kind: ChunkKind, value: dict[str, Any], process: int) -> None:
        """META, PROCESS, TABLE, FILE, THREADS or END."""

    def batch(self, batch: Batch, process: int) -> None:
        """Its memory is the recorder's and must not be kept."""

    def flush(self) -> None:
        """Before a fork: nothing may be left in buffers."""

    def forked(self) -> None:
        """This is the child."""

    def close(self) -> None: ...


class ProcessNumbers:
    """Numbers of the processes of one trace, from 0, over all of them; and whether one of them could not write everything."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 9)  # shared with children: mmap(2), MAP_SHARED | MAP_ANONYMOUS

    def next(self) -> int:
        """A parent takes its child's number before it forks, so that no two processes ask at the same time unless both fork."""
        number = int.from_bytes(self._shared[:8], "little")
        self._shared[:8] = (number + 1).to_bytes(8, "little")
        return number

    @property
    def failed(self) -> bool:
        return self._shared[8] != 0

    @failed.setter
    def failed(self, value: bool) -> None:
        self._shared[8] = value


class FileSink:
    """A trace file (format.py). Each chunk is one write to a descriptor in append mode, so that the processes of a program can
    write to it at the same time, and a crash leaves whole chunks. Raises OSError."""

    live = False

    def __init__(self, path: str, meta: dict[str, Any]) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._writer = BackgroundWriter(self._fd)
        self._writer.write(HEADER.pack(MAGIC, VERSION, 0))
        self.describe(ChunkKind.META, meta, 0)

    def describe(self, kind: ChunkKind, value: dict[str, Any], process: int) -> None:
        self._writer.write(ChunkWriter.json_chunk(kind, value, process))

    def batch(self, batch: Batch, process: int) -> None:
        if batch.payload:
            self._writer.write(CHUNK.pack(ChunkKind.PAYLOAD, len(batch.payload), process, 0), batch.payload)
        size = RECORDS_HEAD.size + len(batch.records)
        head = CHUNK.pack(ChunkKind.RECORDS, size, process, 0) + RECORDS_HEAD.pack(batch.first)
        self._writer.write(head, batch.records)

    def flush(self) -> None:
        self._writer.flush()

    def forked(self) -> None:
        self._writer = BackgroundWriter(self._fd)  # the thread is the parent's

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                self._writer.flush()
            finally:
                os.close(fd)


def events_in(records: bytes | memoryview) -> int:
    """Events in a run of records: all but MORE."""
    kinds = bytes(records[_KIND :: RECORD.size])
    return len(kinds) - kinds.count(EventKind.MORE)


def last_events(batch: Batch, count: int) -> Batch:
    """The last `count` events of a batch; the payload stays as it is (readers look rows up by sequence number)."""
    records = bytes(batch.records)
    kinds = records[_KIND :: RECORD.size]
    at, left = len(kinds), count
    while at and left:
        at -= 1
        left -= kinds[at] != EventKind.MORE
    skipped = at - kinds.count(EventKind.MORE, 0, at)
    return Batch(batch.first + skipped, records[at * RECORD.size :], bytes(batch.payload))


class FlightRecorder:
    """Keeps the last `count` events and hands them on when the process ends. Memory: two batches of `count` events."""

    def __init__(self, sink: TraceSink, count: int) -> None:
        self._sink, self._count = sink, count
        self._kept: list[Batch] = []
        self._process = 0
        self.live = False

    def describe(self, kind: ChunkKind, value: dict[str, Any], process: int) -> None:
        if kind is ChunkKind.END:
            self._hand_over(process)
        self._sink.describe(kind, value, process)

    def batch(self, batch: Batch, process: int) -> None:
        self._kept.append(Batch(batch.first, bytes(batch.records), bytes(batch.payload)))
        while len(self._kept) > 1 and sum(events_in(kept.records) for kept in self._kept[1:]) >= self._count:
            del self._kept[0]

    def _hand_over(self, process: int) -> None:
        missing = self._count - sum(events_in(batch.records) for batch in self._kept[1:])
        for index, batch in enumerate(self._kept):
            self._sink.batch(last_events(batch, missing) if index == 0 else batch, process)
        self._kept.clear()

    def forked(self) -> None:
        self._kept.clear()  # the events so far are the parent's
        self._sink.forked()

    def flush(self) -> None:
        self._sink.flush()

    def close(self) -> None:
        self._sink.close()

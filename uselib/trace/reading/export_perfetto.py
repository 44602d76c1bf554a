"""Perfetto traces (protos/perfetto/trace/trace_packet.proto), written with a protobuf encoder of a few lines.

A trace is a sequence of packets, so it is streamed. Each thread is a packet sequence with a track of its own (thread track), its
calls are slices with the library as category, names and categories interned once. The clock of the trace stands in for
nanoseconds: one block is shown as 1 ns, and the same run gives the same bytes.

Field numbers are those of Perfetto's .proto files, which never change a number; the tests read the result back with the classes
that the `perfetto` package has generated from them.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from uselib.trace.reading.decoding import Decoder
from uselib.trace.reading.export_chrome import other_name
from uselib.trace.reading.model import Function, TracedProcess, TraceFile
from uselib.trace.reading.progress import Progress
from uselib.trace.reading.slices import slices

# message.field = number
_PACKET = 1  # Trace.packet
_TIMESTAMP, _SEQUENCE, _FLAGS, _EVENT, _INTERNED, _DEFAULTS, _TRACK = 8, 10, 13, 11, 12, 59, 60  # TracePacket
_CLEARED, _NEEDED = 1, 2  # sequence_flags
_TYPE, _NAME_IID, _NAME, _CATEGORY_IID, _ANNOTATION = 9, 10, 23, 3, 4  # TrackEvent
_BEGIN, _END, _INSTANT = 1, 2, 3  # TrackEvent.type
_CATEGORIES, _NAMES, _ANNOTATION_NAMES = 1, 2, 3  # InternedData
_PROCESS_TRACKS = 1 << 32  # from here on: threads have 32 bits
_ARGUMENTS, _CALLER, _SLOT, _RESULT, _OPEN = 1, 2, 3, 4, 5
_ANNOTATIONS = {_ARGUMENTS: "arguments", _CALLER: "caller", _SLOT: "slot", _RESULT: "result", _OPEN: "return not seen"}


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A varint field."""
    return varint(field << 3) + varint(value)


def data(field: int, value: bytes | str) -> bytes:
    """A length-delimited field: string, bytes, message."""
    body = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(body)) + body


def _annotation(name: int, text: str) -> bytes:
    return data(_ANNOTATION, number(1, name) + data(6, text))


class _Sequence:
    """The packets of one thread. identity: number of its packet sequence and track, from 1."""

    def __init__(self, process: TracedProcess, thread: int, identity: int) -> None:
        self._id = number(_SEQUENCE, identity)
        self._process, self._thread, self._track = process, thread, identity
        self._heads: dict[int, bytes] = {}  # function -> the part of its slices that is always the same
        self._categories: dict[str, int] = {}

    def packet(self, body: bytes, flags: int = _NEEDED) -> bytes:
        return data(_PACKET, body + self._id + number(_FLAGS, flags))

    def start(self) -> bytes:
        """Descriptors and defaults."""
        process, track = self._process, self._track
        name = os.path.basename(process.program) or "?"
        who = number(1, process.pid) + data(6, name)
        thread = number(1, process.pid) + number(2, self._thread) + data(5, name)
        descriptor = number(1, _PROCESS_TRACKS + process.index) + data(3, who)
        calls = number(1, track) + number(5, _PROCESS_TRACKS + process.index) + data(4, thread)
        names = b"".join(data(_ANNOTATION_NAMES, number(1, n) + data(2, text)) for n, text in _ANNOTATIONS.items())
        defaults = data(_DEFAULTS, data(11, number(11, track)))
        return (
            self.packet(defaults + data(_INTERNED, names), _CLEARED)
            + self.packet(data(_TRACK, descriptor))
            + self.packet(data(_TRACK, calls))
        )

    def begin(self, time: int, function: Function, annotations: bytes) -> bytes:
        head = self._heads.get(function.number)
        interned = b""
        if head is None:
            category = self._categories.get(function.library)
            if category is None:
                category = self._categories[function.library] = len(self._categories) + 1
                interned = data(_CATEGORIES, number(1, category) + data(2, function.library or "program"))
            interned = data(_INTERNED, interned + data(_NAMES, number(1, function.number + 1) + data(2, function.name)))
            head = number(_TYPE, _BEGIN) + number(_NAME_IID, function.number + 1) + number(_CATEGORY_IID, category)
            if function.slot:
                head += data(_ANNOTATION, number(1, _SLOT) + number(3, function.slot))
            self._heads[function.number] = head
        return self.packet(number(_TIMESTAMP, time) + data(_EVENT, head + annotations) + interned)

    def end(self, time: int, annotations: bytes) -> bytes:
        return self.packet(number(_TIMESTAMP, time) + data(_EVENT, number(_TYPE, _END) + annotations))

    def instant(self, time: int, name: str) -> bytes:
        return self.packet(number(_TIMESTAMP, time) + data(_EVENT, number(_TYPE, _INSTANT) + data(_NAME, name)))


def perfetto(trace: TraceFile, processes: list[TracedProcess], decoder: Decoder, weight: str, out: BinaryIO) -> None:
    pending: list[bytes] = []
    unseen = data(_ANNOTATION, number(1, _OPEN) + number(2, 1))
    used = 0  # packet sequences
    with Progress("writing", sum(p.record_count for p in processes)) as progress:
        for process in processes:
            threads: dict[int, _Sequence] = {}
            for thread in process.threads:
                used += 1
                threads[thread] = _Sequence(process, thread, used)
                pending.append(threads[thread].start())
            for piece in slices(trace, process):
                event, sequence = piece.event, threads[piece.thread]
                if piece.end:
                    result = decoder.result(event.function, event) if event is not None else ""
                    notes = unseen if event is None else _annotation(_RESULT, result) if result else b""
                    pending.append(sequence.end(piece.time, notes))
                elif event is None:
                    continue
                elif piece.begin and event.function is not None:
                    place = process.places.caller(event.caller, event.sequence)
                    notes = _annotation(_ARGUMENTS, ", ".join(decoder.arguments(event)))
                    notes += _annotation(_CALLER, str(place) if place is not None else hex(event.caller))
                    pending.append(sequence.begin(piece.time, event.function, notes))
                else:
                    name = other_name(event.kind, process, event.number, event.words[0])
                    pending.append(sequence.instant(piece.time, name))
                if len(pending) >= 4096:
                    progress.step(len(pending))
                    out.write(b"".join(pending))
                    pending.clear()
    out.write(b"".join(pending))

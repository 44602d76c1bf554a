"""Whole events by row, read from the file in pages when they are shown; the last few pages are kept."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass

from uselib.emulator.trace.store.format import PAYLOAD_ROW, RECORD, EventKind
from uselib.trace.reading.events import CALLS, RETURNS, Event
from uselib.trace.reading.model import Span, TracedProcess
from uselib.trace.tui.index import Index, IndexSegment

PAGE = 256  # rows
_PAGES, _PAYLOADS = 64, 16  # kept
_MOST_MORE = 2  # MORE records after an event, at most

Payload = dict[int, dict[int, tuple[bytes, bool]]]  # sequence -> word index -> bytes, cut


@dataclass(frozen=True, slots=True)
class _Spans:
    heads: list[int]  # first sequence in each
    spans: list[Span]


class Pages:
    def __init__(self, index: Index) -> None:
        self._index = index
        self._pages: OrderedDict[tuple[int, int], list[Event]] = OrderedDict()
        self._payloads: OrderedDict[int, Payload] = OrderedDict()
        self._spans: dict[int, _Spans] = {}

    def event(self, row: int) -> Event | None:
        """None if the file has become shorter meanwhile."""
        segment = self._index.segment(row)
        page = (row - segment.start) // PAGE
        key = segment.start, page
        found = self._pages.get(key)
        if found is None:
            found = self._pages[key] = self._load(segment, page * PAGE)
            if len(self._pages) > _PAGES:
                self._pages.popitem(last=False)
        else:
            self._pages.move_to_end(key)
        at = (row - segment.start) % PAGE
        return found[at] if at < len(found) else None

    def _load(self, segment: IndexSegment, low: int) -> list[Event]:
        high = min(low + PAGE, segment.count)
        places = range(low, high) if segment.positions is None else segment.positions[low:high].tolist()
        begin = places[0]
        end = min(places[-1] + 1 + _MOST_MORE, segment.records)
        data = self._index.read(segment.offset + begin * RECORD.size, (end - begin) * RECORD.size)
        rows = list(RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size]))
        return [
            self._event(segment, low + number, rows, place - begin)
            for number, place in enumerate(places)
            if place - begin < len(rows)
        ]

    def _event(self, segment: IndexSegment, number: int, rows: list[tuple[int, ...]], at: int) -> Event:
        time, caller, sp, w0, w1, w2, w3, index, depth, kind, flags = rows[at]
        words: tuple[int, ...] = w0, w1, w2, w3
        for row in rows[at + 1 : at + 1 + _MOST_MORE]:
            if row[9] != EventKind.MORE:
                break
            words += row[: min(row[7], 7)]
        process, trace = segment.process, self._index.trace
        function = None
        if kind in CALLS or kind in RETURNS:
            known = process.functions.get(index)
            function = trace.unknown(index) if known is None else trace.functions[known]
        sequence = segment.sequence + number
        payload = self._payload(process, sequence) if process.payloads else {}
        thread = process.thread_of(sequence) if process.thread_firsts else 0
        return Event(process, sequence, time, kind, function, index, caller, sp, words, depth, flags, payload, thread)

    # -- payloads -----------------------------------------------------------------------------------------------------

    def _payload(self, process: TracedProcess, sequence: int) -> dict[int, tuple[bytes, bool]]:
        known = self._spans.get(process.index)
        if known is None:
            pairs = [(int.from_bytes(self._index.read(s.offset, 8), "little"), s) for s in process.payloads]
            pairs.sort(key=lambda pair: pair[0])
            known = self._spans[process.index] = _Spans([p[0] for p in pairs], [p[1] for p in pairs])
        at = bisect_right(known.heads, sequence) - 1
        return self._span(known.spans[at]).get(sequence, {}) if at >= 0 else {}

    def _span(self, span: Span) -> Payload:
        found = self._payloads.get(span.offset)
        if found is not None:
            self._payloads.move_to_end(span.offset)
            return found
        found = {}
        body = self._index.read(span.offset, span.count)
        position = 0
        while position + PAYLOAD_ROW.size <= len(body):
            sequence, word, flags, size = PAYLOAD_ROW.unpack_from(body, position)
            position += PAYLOAD_ROW.size
            data = body[position : position + size]
            found.setdefault(sequence, {})[word] = data, bool(flags & 1) or len(data) < size
            position += size
        self._payloads[span.offset] = found
        if len(self._payloads) > _PAYLOADS:
            self._payloads.popitem(last=False)
        return found

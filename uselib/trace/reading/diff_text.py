"""Where two traces differ, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from uselib.trace.reading.decoding import Decoder
from uselib.trace.reading.diff import ProcessDiff, TraceDiff, TraceDifference
from uselib.trace.reading.events import Event, events_from
from uselib.trace.reading.flow_reading import Flow
from uselib.trace.reading.model import TraceFile
from uselib.trace.reading.show import EventLines
from uselib.trace.reading.text import Colours, plural

_SHOWN = 12  # calls of one side of a hunk


class FlowText:
    """Shows calls of one flow."""

    def __init__(self, trace: TraceFile, flow: Flow, names: list[str], decoder: Decoder, colour: Colours) -> None:
        self._trace, self._flow, self._names = trace, flow, names
        self._decoder = decoder
        self._render = EventLines(trace, decoder, colour)

    def texts(self, first: int, last: int, base: int) -> list[str]:
        """The calls of that range, indented by their level over `base`."""
        flow = self._flow
        first, last = max(first, 0), min(last, len(flow))
        if first >= last:
            return []
        wanted = {int(flow.sequence[n]): n for n in range(first, last)}
        calls: dict[int, Event] = {}
        backs: dict[int, Event] = {}
        stop = max(wanted) + 100_000  # how far a return is looked for
        for event in events_from(self._trace, flow.process, min(wanted)):
            if event.is_call and event.sequence in wanted:
                calls[event.sequence] = event
            elif event.is_return and event.caller in wanted:
                backs[event.caller] = event
            if event.sequence >= stop or (len(calls) == len(backs) == len(wanted)):
                break
        lines = []
        for sequence, number in wanted.items():
            call, back = calls.get(sequence), backs.get(sequence)
            if call is None:
                continue
            text = self._render.call(call)
            if back is not None:
                result = self._decoder.result(call.function, back)
                text += f" = {result}" if result else ""
            lines.append("  " * max(int(flow.level[number]) - base, 0) + text)
        return lines

    def inside(self, number: int, level: int) -> list[str]:
        """Names of the calls that are open around call `number` (of that level), outermost first."""
        names: list[str] = []
        flow = self._flow
        at = min(number, len(flow)) - 1
        while level > 0 and at >= 0:
            low = max(at - 65536, -1)
            hits = np.flatnonzero(flow.level[low + 1 : at + 1] < level)
            if not len(hits):
                at = low
                continue
            at = low + 1 + int(hits[-1])
            level = int(flow.level[at])
            names.append(self._names[int(flow.token[at])])
            at -= 1
        return names[::-1]


def _show(
    d: TraceDifference, diff: ProcessDiff, a: FlowText, b: FlowText, context: int, colour: Colours
) -> Iterator[str]:
    h = d.hunk
    levels = [int(flow.level[at]) for flow, at, end in ((diff.a, h.a0, h.a1), (diff.b, h.b0, h.b1)) if at < end]
    level = min(levels) if levels else 0
    base = max(min([level, *(int(n) for n in diff.a.level[max(h.a0 - context, 0) : h.a0])]), 0)
    path = a.inside(h.a0, level)
    where = f", inside {' > '.join(path)}" if path else ""
    what = "other arguments or result" if d.changed else "other calls"
    yield colour("bold", f"@@ call {h.a0 + 1:,} of A, {h.b0 + 1:,} of B{where}: {what}")
    for text in a.texts(h.a0 - context, h.a0, base):
        yield f"    {text}"
    for side, sign, paint, first, last in ((a, "-", "red", h.a0, h.a1), (b, "+", "green", h.b0, h.b1)):
        for text in side.texts(first, min(last, first + _SHOWN), base):
            yield colour(paint, f"  {sign} {text}")
        if last - first > _SHOWN:
            yield colour(paint, f"  {sign} ... {last - first - _SHOWN:,} more calls")
    for text in a.texts(h.a1, h.a1 + context, base):
        yield f"    {text}"


@dataclass(frozen=True)
class DiffLimits:
    """How much is shown; 0: all. context: calls around a difference; hunks: differences; counts: rows of the table of counts."""

    context: int = 3
    hunks: int = 1
    counts: int = 20


def as_text(
    result: TraceDiff,
    traces: tuple[TraceFile, TraceFile],
    decoders: tuple[Decoder, Decoder],
    limits: DiffLimits,
    colour: Colours,
) -> Iterator[str]:
    a, b = traces
    sides = []
    for name, trace, flows in (("A", a, [p.a for p in result.processes]), ("B", b, [p.b for p in result.processes])):
        calls = sum(len(flow) for flow in flows)
        sides.append(
            f"{name}: {trace.path}: {plural(calls, 'call')}, {plural(len(trace.processes), 'process', 'processes')}"
        )
    yield from sides
    limit = limits.hunks
    for diff in result.processes:
        if diff.same:
            continue
        only_a = sum(h.a1 - h.a0 for h in diff.hunks)
        only_b = sum(h.b1 - h.b0 for h in diff.hunks)
        yield ""
        of_flow = f"{plural(len(diff.hunks), 'difference')} of flow"
        of_values = f"{plural(diff.changed_count, 'call')} with other arguments or results"
        yield f"process {diff.number}, {_title(diff)}: {of_flow} ({only_a:,} calls only in A, {only_b:,} only in B), {of_values}"
        if any(h.coarse for h in diff.hunks):
            yield "  (some parts differ so much that they were not aligned call by call)"
        rows = diff.ordered()
        first, second = (
            FlowText(a, diff.a, result.names, decoders[0], colour),
            FlowText(b, diff.b, result.names, decoders[1], colour),
        )
        for d in rows[: limit or len(rows)]:
            yield from _show(d, diff, first, second, limits.context, colour)
        total = len(diff.hunks) + diff.changed_count
        if limit and total > limit:
            yield f"... {total - limit:,} more; --hunks 0 shows all"
        if diff.ends[0] != diff.ends[1]:
            yield f"ended with {diff.ends[0]} in A, {diff.ends[1]} in B"
    for side, process in result.lonely:
        yield f"process only in {side}: {process.title}"
    yield from _counts(result, limits.counts)


def _title(diff: ProcessDiff) -> str:
    ours, theirs = diff.a.process.title, diff.b.process.title
    title = ours if ours == theirs else f"{ours} in A, {theirs} in B"
    thread = max(diff.a.thread, diff.b.thread)
    return f"{title}, thread {thread}" if thread else title


def _counts(result: TraceDiff, limit: int) -> Iterator[str]:
    if not result.counts:
        return
    yield ""
    yield f"{'calls in A':>12} {'in B':>12}  function"
    for name, in_a, in_b in result.counts[: limit or None]:
        note = "  only in A" if not in_b else "  only in B" if not in_a else ""
        yield f"{in_a:>12,} {in_b:>12,}  {name}{note}"
    if limit and len(result.counts) > limit:
        yield f"{'':>12} ... {len(result.counts) - limit} more; --limit 0 shows all"


def as_json(result: TraceDiff) -> str:
    """For programs: a summary."""
    document = {
        "version": 1,
        "same": result.same,
        "processes": [_process(diff) for diff in result.processes],
        "only": [{"side": side, "process": process.title} for side, process in result.lonely],
        "counts": [{"function": name, "a": x, "b": y} for name, x, y in result.counts],
    }
    return json.dumps(document, indent=1)


def _process(diff: ProcessDiff) -> dict[str, object]:
    return {
        "a": diff.a.process.title,
        "b": diff.b.process.title,
        "thread": max(diff.a.thread, diff.b.thread) or None,
        "calls": [len(diff.a), len(diff.b)],
        "hunks": len(diff.hunks),
        "only_a": sum(hunk.a1 - hunk.a0 for hunk in diff.hunks),
        "only_b": sum(hunk.b1 - hunk.b0 for hunk in diff.hunks),
        "changed": diff.changed_count,
        "ends": list(diff.ends),
        "first": _first(diff),
    }


def _first(diff: ProcessDiff) -> dict[str, object] | None:
    rows = diff.ordered()
    if not rows:
        return None
    hunk, kind = rows[0].hunk, "values" if rows[0].changed else "flow"
    sides = {"a": (hunk.a0, hunk.a1), "b": (hunk.b0, hunk.b1)}
    return {"kind": kind, **{side: {"call": at + 1, "calls": end - at} for side, (at, end) in sides.items()}}

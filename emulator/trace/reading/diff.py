"""`uselib trace diff A B`: where two runs part, by the flow of their calls.

Processes are paired in their order. The calls of each pair are aligned as trees (flow.py, align.py); calls that correspond are then
compared by arguments and results, as far as prototypes say what these are. Exit status: 0 the same, 1 different, 2 trouble (as
diff(1) has it).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uselib.emulator.trace.prototypes.damage import said_once
from uselib.emulator.trace.reading.blocks import Array
from uselib.emulator.trace.reading.decoding import ALL_BITS, PROTOTYPES, ByPrototype, Decoder, Masks
from uselib.emulator.trace.reading.events import Event, events_from
from uselib.emulator.trace.reading.flow import Flow, Hunk, ValueHasher, Vocabulary, differences, equal_runs, load
from uselib.emulator.trace.reading.model import Function, Process, TraceFile
from uselib.emulator.trace.reading.options import Colours, Option, choice, count, parse, plural, warn
from uselib.emulator.trace.reading.show import Renderer
from uselib.emulator.trace.reading.values import Known, Values
from uselib.linker.errors import ToolError, UsageError

USAGE = "uselib trace diff [OPTIONS] A B"
ABOUT = (
    """Aligns two traces by call flow and shows where they differ. Exit status: 0 the same, 1 different, 2 trouble."""
)
OPTIONS = {
    "--values": Option(
        "WHICH",
        "compare arguments and results: known (by prototype; default), words, none",
        choice("known", "words", "none"),
    ),
    "--prototypes": PROTOTYPES,
    "--by-caller": Option("", "the same function called from another function is another call", None),
    "--context": Option("N", "calls shown around a difference (default 3)", count),
    "--hunks": Option("N", "differences shown (default 1, the first; 0: all)", count),
    "--limit": Option("N", "rows in the table of counts (default 20; 0: all)", count),
    "--json": Option("", "for programs: a summary", None),
    "-q": Option("", "say nothing; the exit status tells", None),
}
_SHOWN = 12  # calls of one side of a hunk


@dataclass(frozen=True)
class Difference:
    """A hunk of flow, or (changed) one pair of corresponding calls with other values."""

    hunk: Hunk
    changed: bool = False


@dataclass
class ProcessDiff:
    """The comparison of two processes. changed: pairs of call numbers whose values differ."""

    a: Flow
    b: Flow
    hunks: list[Hunk]
    changed: list[tuple[int, int]]
    changed_count: int
    ends: tuple[str, str] = ("", "")

    @property
    def same(self) -> bool:
        return not self.hunks and not self.changed_count and self.ends[0] == self.ends[1]

    def ordered(self) -> list[Difference]:
        rows = [Difference(h) for h in self.hunks]
        rows += [Difference(Hunk(i, i + 1, j, j + 1), changed=True) for i, j in self.changed]
        return sorted(rows, key=lambda d: (d.hunk.a0, d.hunk.b0))


@dataclass
class TraceDiff:
    """The comparison of two traces. lonely: processes that only one side has ("A" or "B")."""

    processes: list[ProcessDiff] = field(default_factory=list)
    lonely: list[tuple[str, Process]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # of the flows' tokens
    counts: list[tuple[str, int, int]] = field(default_factory=list)  # function, calls in A, in B: where they differ

    @property
    def same(self) -> bool:
        return not self.lonely and all(p.same for p in self.processes)


def _changed(a: Flow, b: Flow, hunks: list[Hunk]) -> Array:
    """Pairs of calls that correspond and have other values. A result that one side has not seen is no difference."""
    found = []
    for i, j, count_ in equal_runs(a, b, hunks):
        x, y = a.results[i : i + count_], b.results[j : j + count_]
        other = a.arguments[i : i + count_] != b.arguments[j : j + count_]
        other |= (x != y) & (x != 0) & (y != 0)
        at = np.flatnonzero(other)
        found.append(np.stack([at + i, at + j], axis=1))
    return np.concatenate(found) if found else np.zeros((0, 2), np.int64)


def _end(process: Process) -> str:
    if process.end is None:
        return "no end recorded"
    status, signal = process.end.get("status"), process.end.get("signal")
    return f"signal {signal}" if signal else f"status {status}"


def compare(a: TraceFile, b: TraceFile, known: Known | None, by_caller: bool = False) -> TraceDiff:
    """known: which values to compare; None: only the flow."""
    words = Vocabulary()
    result = TraceDiff(names=words.names)
    totals = np.zeros((2, 0), np.int64)

    digests = [{f.digest for p in trace.processes for f in p.places.files} for trace in (a, b)]
    same_files = frozenset(digests[0] & digests[1])

    def hasher(trace: TraceFile, process: Process) -> ValueHasher:
        return ValueHasher() if known is None else Values(trace, process, words, known, same_files)

    for ours, theirs in zip(a.processes, b.processes, strict=False):
        x = load(a, ours, words, hasher(a, ours), by_caller)
        y = load(b, theirs, words, hasher(b, theirs), by_caller)
        hunks = differences(x, y)
        changed = _changed(x, y, hunks)
        pairs = [(int(i), int(j)) for i, j in changed[:10_000]]
        result.processes.append(ProcessDiff(x, y, hunks, pairs, len(changed), (_end(ours), _end(theirs))))
        size = len(words.names)
        totals = np.pad(totals, ((0, 0), (0, size - totals.shape[1])))
        totals[0] += np.bincount(x.token, minlength=size)
        totals[1] += np.bincount(y.token, minlength=size)
    shared = min(len(a.processes), len(b.processes))
    result.lonely = [("A", p) for p in a.processes[shared:]] + [("B", p) for p in b.processes[shared:]]
    unequal = np.flatnonzero(totals[0] != totals[1])
    rows = [(words.names[n], int(totals[0][n]), int(totals[1][n])) for n in unequal.tolist()]
    result.counts = sorted(rows, key=lambda r: (bool(r[1] and r[2]), -abs(r[1] - r[2]), r[0]))
    return result


# -- showing ----------------------------------------------------------------------------------------------------------


class Side:
    """Shows calls of one flow."""

    def __init__(self, trace: TraceFile, flow: Flow, names: list[str], decoder: Decoder) -> None:
        self._trace, self._flow, self._names = trace, flow, names
        self._decoder = decoder
        self._render = Renderer(trace, {}, decoder, sys.stdout)

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


def _show(d: Difference, diff: ProcessDiff, a: Side, b: Side, context: int, colour: Colours) -> Iterator[str]:
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


def _report(
    result: TraceDiff, a: TraceFile, b: TraceFile, decoders: tuple[Decoder, Decoder], values: dict[str, Any]
) -> Iterator[str]:
    colour = Colours(sys.stdout)
    sides = []
    for name, trace, flows in (("A", a, [p.a for p in result.processes]), ("B", b, [p.b for p in result.processes])):
        calls = sum(len(flow) for flow in flows)
        sides.append(
            f"{name}: {trace.path}: {plural(calls, 'call', 'calls')}, {plural(len(trace.processes), 'process', 'processes')}"
        )
    yield from sides
    limit = values.get("hunks", 1)
    for number, diff in enumerate(result.processes):
        if diff.same:
            continue
        ours, theirs = diff.a.process.title, diff.b.process.title
        title = ours if ours == theirs else f"{ours} in A, {theirs} in B"
        only_a = sum(h.a1 - h.a0 for h in diff.hunks)
        only_b = sum(h.b1 - h.b0 for h in diff.hunks)
        yield ""
        of_flow = f"{plural(len(diff.hunks), 'difference', 'differences')} of flow"
        of_values = f"{plural(diff.changed_count, 'call', 'calls')} with other arguments or results"
        yield f"process {number + 1}, {title}: {of_flow} ({only_a:,} calls only in A, {only_b:,} only in B), {of_values}"
        if any(h.coarse for h in diff.hunks):
            yield "  (some parts differ so much that they were not aligned call by call)"
        rows = diff.ordered()
        first, second = Side(a, diff.a, result.names, decoders[0]), Side(b, diff.b, result.names, decoders[1])
        for d in rows[: limit or len(rows)]:
            yield from _show(d, diff, first, second, values.get("context", 3), colour)
        total = len(diff.hunks) + diff.changed_count
        if limit and total > limit:
            yield f"... {total - limit:,} more; --hunks 0 shows all"
        if diff.ends[0] != diff.ends[1]:
            yield f"ended with {diff.ends[0]} in A, {diff.ends[1]} in B"
    for side, process in result.lonely:
        yield f"process only in {side}: {process.title}"
    yield from _counts(result, values.get("limit", 20))


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


def _as_json(result: TraceDiff) -> str:
    def first(diff: ProcessDiff) -> dict[str, object] | None:
        rows = diff.ordered()
        if not rows:
            return None
        h = rows[0].hunk
        kind = "values" if rows[0].changed else "flow"
        return {
            "kind": kind,
            "a": {"call": h.a0 + 1, "calls": h.a1 - h.a0},
            "b": {"call": h.b0 + 1, "calls": h.b1 - h.b0},
        }

    return json.dumps(
        {
            "version": 1, "same": result.same,
            "processes": [
                {"a": d.a.process.title, "b": d.b.process.title, "calls": [len(d.a), len(d.b)], "hunks": len(d.hunks),
                 "only_a": sum(h.a1 - h.a0 for h in d.hunks), "only_b": sum(h.b1 - h.b0 for h in d.hunks),
                 "changed": d.changed_count, "ends": list(d.ends), "first": first(d)}
                for d in result.processes
            ],
            "only": [{"side": side, "process": p.title} for side, p in result.lonely],
            "counts": [{"function": name, "a": x, "b": y} for name, x, y in result.counts],
        },
        indent=1,
    )  # fmt: skip


def all_bits(_: Process, __: Function) -> Masks:
    """For `--values words`: the four words of the record and the result."""
    return ALL_BITS


def run(arguments: list[str]) -> int:
    """0 the same, 1 different, 2 trouble."""
    try:
        parsed = parse(USAGE, ABOUT, arguments, OPTIONS, files=2)
        if parsed is None:
            return 0
        (first, second), values = parsed
        with TraceFile(first) as a, TraceFile(second) as b:
            warn(a)
            warn(b)
            files = values.get("prototypes", ())
            said = said_once()  # files that both traces name
            decoders = ByPrototype(a, files, said), ByPrototype(b, files, said)
            known = {"known": decoders[0].masks, "words": all_bits, "none": None}[values.get("values", "known")]
            result = compare(a, b, known, values.get("by-caller", False))
            if values.get("q"):
                return 0 if result.same else 1
            if values.get("json"):
                print(_as_json(result))
            elif not result.same:
                for line in _report(result, a, b, decoders, values):
                    print(line)
            return 0 if result.same else 1
    except UsageError:
        raise
    except (ToolError, OSError) as failure:
        text = "\n".join(map(str, failure.diagnostics)) if isinstance(failure, ToolError) else _os_error(failure)
        print(f"uselib: {text}", file=sys.stderr)
        return 2


def _os_error(failure: OSError) -> str:
    if isinstance(failure, BrokenPipeError):
        raise failure
    return f"{failure.filename}: {failure.strerror}" if failure.filename else str(failure)

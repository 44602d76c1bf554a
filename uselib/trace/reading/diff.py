"""Where two runs differ, by the flow of their calls. diff_text.py shows it.

Processes are paired in their order, and the threads of two processes by their numbers. The calls of each pair are aligned as trees
(flow.py, align.py); calls that correspond are then compared by arguments and results, as far as prototypes say what these are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from uselib.trace.reading.blocks import Array
from uselib.trace.reading.decoding import ALL_BITS, Masks
from uselib.trace.reading.flow import Hunk, differences, equal_runs
from uselib.trace.reading.flow_reading import Flow, FlowReader, ValueHasher, Vocabulary
from uselib.trace.reading.model import Function, TracedProcess, TraceFile
from uselib.trace.reading.values import Known, Values


@dataclass(frozen=True)
class TraceDifference:
    """A hunk of flow, or (changed) one pair of corresponding calls with other values."""

    hunk: Hunk
    changed: bool = False


@dataclass
class ProcessDiff:
    """The comparison of two processes, or of a thread of each. number: of the pair of processes, from 1; changed: pairs of call numbers
    whose values differ; ends: how they ended, in the pair of the first threads."""

    number: int
    a: Flow
    b: Flow
    hunks: list[Hunk]
    changed: list[tuple[int, int]]
    changed_count: int
    ends: tuple[str, str] = ("", "")

    @property
    def same(self) -> bool:
        return not self.hunks and not self.changed_count and self.ends[0] == self.ends[1]

    def ordered(self) -> list[TraceDifference]:
        rows = [TraceDifference(h) for h in self.hunks]
        rows += [TraceDifference(Hunk(i, i + 1, j, j + 1), changed=True) for i, j in self.changed]
        return sorted(rows, key=lambda d: (d.hunk.a0, d.hunk.b0))


@dataclass
class TraceDiff:
    """The comparison of two traces. processes: a row for each pair of processes, or of their threads; lonely: processes that only one side
    has ("A" or "B")."""

    processes: list[ProcessDiff] = field(default_factory=list)
    lonely: list[tuple[str, TracedProcess]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # of the flows' tokens
    counts: list[tuple[str, int, int]] = field(default_factory=list)  # function, calls in A, in B: where they differ

    @property
    def same(self) -> bool:
        return not self.lonely and all(p.same for p in self.processes)


def _changed(a: Flow, b: Flow, hunks: list[Hunk]) -> Array:
    """Pairs of calls that correspond and have other values. A result that one side has not seen is not a difference."""
    found = []
    for i, j, count_ in equal_runs(a, b, hunks):
        x, y = a.results[i : i + count_], b.results[j : j + count_]
        other = a.arguments[i : i + count_] != b.arguments[j : j + count_]
        other |= (x != y) & (x != 0) & (y != 0)
        at = np.flatnonzero(other)
        found.append(np.stack([at + i, at + j], axis=1))
    return np.concatenate(found) if found else np.zeros((0, 2), np.int64)


def _end(process: TracedProcess) -> str:
    if process.end is None:
        return "no end recorded"
    status, signal = process.end.get("status"), process.end.get("signal")
    return f"signal {signal}" if signal else f"status {status}"


def _pairs(ours: list[Flow], theirs: list[Flow]) -> Iterator[tuple[Flow, Flow]]:
    """Threads by their numbers, the first ones first; one that the other side does not have is paired with an empty flow."""
    yield ours[0], theirs[0]
    rest = [{flow.thread: flow for flow in flows[1:]} for flows in (ours, theirs)]
    for thread in sorted(rest[0].keys() | rest[1].keys()):
        x, y = rest[0].get(thread), rest[1].get(thread)
        yield x or ours[0].empty(thread), y or theirs[0].empty(thread)


def compare(a: TraceFile, b: TraceFile, known: Known | None, by_caller: bool = False) -> TraceDiff:
    """known: which values to compare; None: only the flow."""
    words = Vocabulary()
    result = TraceDiff(names=words.names)
    totals = np.zeros((2, 0), np.int64)

    digests = [{f.digest for p in trace.processes for f in p.places.files} for trace in (a, b)]
    same_files = frozenset(digests[0] & digests[1])

    def hasher(trace: TraceFile, process: TracedProcess) -> ValueHasher:
        return ValueHasher() if known is None else Values(trace, process, words, known, same_files)

    readers = [FlowReader(trace, words, by_caller) for trace in (a, b)]
    for number, (ours, theirs) in enumerate(zip(a.processes, b.processes, strict=False), 1):
        sides = readers[0].flows(ours, hasher(a, ours)), readers[1].flows(theirs, hasher(b, theirs))
        ends = _end(ours), _end(theirs)
        for x, y in _pairs(*sides):
            hunks = differences(x, y)
            changed = _changed(x, y, hunks)
            pairs = [(int(i), int(j)) for i, j in changed[:10_000]]
            result.processes.append(ProcessDiff(number, x, y, hunks, pairs, len(changed), ends))
            ends = "", ""
        size = len(words.names)
        totals = np.pad(totals, ((0, 0), (0, size - totals.shape[1])))
        for side, flows in enumerate(sides):
            for flow in flows:
                totals[side] += np.bincount(flow.token, minlength=size)
    shared = min(len(a.processes), len(b.processes))
    result.lonely = [("A", p) for p in a.processes[shared:]] + [("B", p) for p in b.processes[shared:]]
    unequal = np.flatnonzero(totals[0] != totals[1])
    rows = [(words.names[n], int(totals[0][n]), int(totals[1][n])) for n in unequal.tolist()]
    result.counts = sorted(rows, key=lambda r: (bool(r[1] and r[2]), -abs(r[1] - r[2]), r[0]))
    return result


def all_bits(_: TracedProcess, __: Function) -> Masks:
    """For `--values words`: the four words of the record and the result."""
    return ALL_BITS

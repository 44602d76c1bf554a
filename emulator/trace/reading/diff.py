"""Where two runs differ, by the flow of their calls. diff_text.py shows it.

Processes are paired in their order. The calls of each pair are aligned as trees (flow.py, align.py); calls that correspond are then
compared by arguments and results, as far as prototypes say what these are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from uselib.emulator.trace.reading.blocks import Array
from uselib.emulator.trace.reading.decoding import ALL_BITS, Masks
from uselib.emulator.trace.reading.flow import Flow, Hunk, ValueHasher, Vocabulary, differences, equal_runs, load
from uselib.emulator.trace.reading.model import Function, TracedProcess, TraceFile
from uselib.emulator.trace.reading.values import Known, Values


@dataclass(frozen=True)
class TraceDifference:
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

    def ordered(self) -> list[TraceDifference]:
        rows = [TraceDifference(h) for h in self.hunks]
        rows += [TraceDifference(Hunk(i, i + 1, j, j + 1), changed=True) for i, j in self.changed]
        return sorted(rows, key=lambda d: (d.hunk.a0, d.hunk.b0))


@dataclass
class TraceDiff:
    """The comparison of two traces. lonely: processes that only one side has ("A" or "B")."""

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


def compare(a: TraceFile, b: TraceFile, known: Known | None, by_caller: bool = False) -> TraceDiff:
    """known: which values to compare; None: only the flow."""
    words = Vocabulary()
    result = TraceDiff(names=words.names)
    totals = np.zeros((2, 0), np.int64)

    digests = [{f.digest for p in trace.processes for f in p.places.files} for trace in (a, b)]
    same_files = frozenset(digests[0] & digests[1])

    def hasher(trace: TraceFile, process: TracedProcess) -> ValueHasher:
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


def all_bits(_: TracedProcess, __: Function) -> Masks:
    """For `--values words`: the four words of the record and the result."""
    return ALL_BITS

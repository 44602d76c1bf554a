"""The alignment of two call flows as trees.

A call is a row: what was called (a token shared by both traces) and its level. Two forests of sibling calls are aligned by the
hashes of whole subtrees first; what is left between equal subtrees is aligned by the called function alone, and pairs found that
way are opened and their children aligned in turn. So an extra call deep inside one of a million iterations is found there, and
all else corresponds. Only subtrees that differ are opened, and no call is looked at more often than it is deep.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from uselib.trace.reading.align import Budget, align, common_prefix, common_suffix
from uselib.trace.reading.blocks import Array
from uselib.trace.reading.flow_reading import Flow

_OPENED = 20_000  # pairs of subtrees; beyond that, pairs that differ are not looked into
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True, slots=True)
class Hunk:
    """Calls a0..a1 of A are at the place of b0..b1 of B; one of the ranges may be empty. coarse: not looked into."""

    a0: int
    a1: int
    b0: int
    b1: int
    coarse: bool = False


@dataclass
class _Aligner:
    a: Flow
    b: Flow
    budget: Budget = field(default_factory=Budget)
    hunks: list[Hunk] = field(default_factory=list)

    def run(self) -> list[Hunk]:
        a_key, b_key = self.a.key, self.b.key
        todo = [(0, len(self.a), 0, len(self.b), 0)]
        opened = 0
        while todo:
            a0, a1, b0, b1, level = todo.pop()
            opened += 1
            if opened > _OPENED:
                if not np.array_equal(a_key[a0:a1], b_key[b0:b1]):
                    self.hunks.append(Hunk(a0, a1, b0, b1, coarse=True))
                continue
            todo += self._forest(a0, a1, b0, b1, level, a_key, b_key)
        return _joined(sorted(self.hunks, key=lambda h: (h.a0, h.b0)))

    def _forest(
        self, a0: int, a1: int, b0: int, b1: int, level: int, a_key: Array, b_key: Array
    ) -> list[tuple[int, int, int, int, int]]:
        """Aligns the sibling subtrees in two ranges; returns the pairs to open."""
        a_part, b_part = a_key[a0:a1], b_key[b0:b1]
        prefix = common_prefix(a_part, b_part)
        if prefix == len(a_part) == len(b_part):
            return []
        suffix = common_suffix(a_part[prefix:], b_part[prefix:])
        a_roots = a0 + np.flatnonzero(self.a.level[a0:a1] == level)
        b_roots = b0 + np.flatnonzero(self.b.level[b0:b1] == level)
        # subtrees that begin in the common prefix are equal but for the last of them; those that begin in the suffix are equal
        skip = max(int(np.searchsorted(a_roots, a0 + prefix)) - 1, 0)
        a_roots, b_roots = a_roots[skip:], b_roots[skip:]
        a_end, b_end = a1, b1
        same = len(a_roots) - int(np.searchsorted(a_roots, a1 - suffix))
        if same:
            a_end, b_end = int(a_roots[-same]), int(b_roots[-same])
            a_roots, b_roots = a_roots[:-same], b_roots[:-same]
        a_hash, b_hash = _hashes(self.a, a_roots, a_end, level), _hashes(self.b, b_roots, b_end, level)
        a_bound, b_bound = np.append(a_roots, a_end), np.append(b_roots, b_end)
        pairs: list[tuple[int, int, int, int, int]] = []
        i = j = 0
        for match in [*align(a_hash, b_hash, self.budget), None]:
            i1, j1 = (match.i, match.j) if match is not None else (len(a_roots), len(b_roots))
            if i < i1 or j < j1:
                self._gap(a_bound, b_bound, i, i1, j, j1, level, pairs)
            if match is not None:
                i, j = match.i + match.count, match.j + match.count
        return pairs

    def _gap(
        self,
        a_bound: Array,
        b_bound: Array,
        i0: int,
        i1: int,
        j0: int,
        j1: int,
        level: int,
        pairs: list[tuple[int, int, int, int, int]],
    ) -> None:
        """Subtrees without an equal one: pairs those that call the same function, the rest are hunks."""
        a_token, b_token = self.a.token[a_bound[i0:i1]], self.b.token[b_bound[j0:j1]]
        i = j = 0
        for match in [*align(a_token, b_token, self.budget), None]:
            i2, j2 = (match.i, match.j) if match is not None else (i1 - i0, j1 - j0)
            if i < i2 or j < j2:
                a_ends, b_ends = a_bound[[i0 + i, i0 + i2]].tolist(), b_bound[[j0 + j, j0 + j2]].tolist()
                self.hunks.append(Hunk(a_ends[0], a_ends[1], b_ends[0], b_ends[1]))
            if match is None:
                break
            for n in range(match.count):
                at, bt = i0 + match.i + n, j0 + match.j + n
                pairs.append(
                    (int(a_bound[at]) + 1, int(a_bound[at + 1]), int(b_bound[bt]) + 1, int(b_bound[bt + 1]), level + 1)
                )
            i, j = match.i + match.count, match.j + match.count


def _hashes(flow: Flow, roots: Array, end: int, level: int) -> Array:
    """A hash of each subtree: a sum over its rows of (token, level below the root) times a power of the place in it."""
    if not len(roots):
        return np.zeros(0, np.uint64)
    begin = int(roots[0])
    starts = roots - begin
    lengths = np.diff(np.append(starts, end - begin))
    rows = (flow.token[begin:end].astype(np.uint64) + np.uint64(1)) * _MIX
    rows += flow.level[begin:end].astype(np.uint64) - np.uint64(level)
    rows ^= rows >> np.uint64(29)
    rows *= _MIX
    rows ^= rows >> np.uint64(32)
    powers = np.cumprod(np.full(int(lengths.max()), _FACTOR, np.uint64))
    rows *= powers[np.arange(end - begin) - np.repeat(starts, lengths)]
    return np.asarray(np.add.reduceat(rows, starts))


def _joined(hunks: list[Hunk]) -> list[Hunk]:
    """Neighbours made one."""
    joined: list[Hunk] = []
    for hunk in hunks:
        if joined and joined[-1].a1 == hunk.a0 and joined[-1].b1 == hunk.b0 and not (hunk.coarse or joined[-1].coarse):
            last = joined.pop()
            hunk = Hunk(last.a0, hunk.a1, last.b0, hunk.b1)
        joined.append(hunk)
    return joined


def differences(a: Flow, b: Flow) -> list[Hunk]:
    """Where the two flows differ, in order; empty if they are the same. All other calls correspond one to one."""
    if len(a) == len(b) and np.array_equal(a.token, b.token) and np.array_equal(a.level, b.level):
        return []
    return _Aligner(a, b).run()


def equal_runs(a: Flow, b: Flow, hunks: list[Hunk]) -> list[tuple[int, int, int]]:
    """(first in A, first in B, count) of the stretches between the hunks."""
    runs = []
    i = j = 0
    for hunk in [*hunks, Hunk(len(a), len(a), len(b), len(b))]:
        count = hunk.a0 - i
        if count != hunk.b0 - j or count < 0:
            raise AssertionError("an alignment must leave equal stretches")
        if count:
            runs.append((i, j, count))
        i, j = hunk.a1, hunk.b1
    return runs

"""Alignment of two sequences of numbers: which stretches correspond. Memory is linear in the lengths, time close to it.

In each range, in this order:

1. The common beginning and end are cut off, by array comparison.
2. Myers' greedy algorithm (An O(ND) Difference Algorithm, 1986), up to a small number D of differences; its runs of equal elements
   are compared by arrays, so a million equal elements cost next to nothing.
3. Anchors, as in patience diff: elements that occur once on either side, else groups of 4, 16, 64 neighbours that do. The longest
   increasing chain of anchors splits the range; each gap starts again at 1.
4. Without anchors Myers again with a larger D, as far as the budget goes; what is left then counts as replaced.

So the result is always a correct alignment, and a shortest one wherever differences are few.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from uselib.trace.reading.blocks import Array

_FEW, _MANY = 60, 1500  # differences
_FACTOR = 0x9E3779B97F4A7C15  # odd, so that groups of neighbours hash well modulo 2**64


@dataclass
class Budget:
    """Steps of Myers' algorithm, and array elements hashed for anchors, that are left. Counted, not timed: the same input gives
    the same result."""

    steps: int = 3_000_000
    elements: int = 400_000_000


@dataclass(frozen=True, slots=True)
class Match:
    """a[i:i+count] corresponds to b[j:j+count]."""

    i: int
    j: int
    count: int


def common_prefix(a: Array, b: Array) -> int:
    """How many elements at the beginning are equal."""
    limit = min(len(a), len(b))
    done, size = 0, 64
    while done < limit:
        stop = min(done + size, limit)
        unequal = a[done:stop] != b[done:stop]
        first = int(unequal.argmax())
        if unequal[first]:
            return done + first
        done, size = stop, min(size * 8, 1 << 20)
    return limit


def common_suffix(a: Array, b: Array) -> int:
    return common_prefix(a[::-1], b[::-1])


def align(a: Array, b: Array, budget: Budget) -> list[Match]:
    """The matches, in order, of two arrays of the same type."""
    found: list[Match] = []
    todo = [(0, len(a), 0, len(b))]
    while todo:
        i0, i1, j0, j1 = todo.pop()
        count = common_prefix(a[i0:i1], b[j0:j1])
        if count:
            found.append(Match(i0, j0, count))
            i0, j0 = i0 + count, j0 + count
        count = common_suffix(a[i0:i1], b[j0:j1])
        if count:
            i1, j1 = i1 - count, j1 - count
            found.append(Match(i1, j1, count))
        if i0 == i1 or j0 == j1:
            continue
        x, y = a[i0:i1], b[j0:j1]
        inner = _myers(x, y, _FEW, budget)
        if inner is None:
            anchors = _anchors(x, y, budget)
            if anchors:
                found += [Match(m.i + i0, m.j + j0, m.count) for m in anchors]
                i, j = i0, j0
                for match in [*anchors, Match(i1 - i0, j1 - j0, 0)]:
                    todo.append((i, i0 + match.i, j, j0 + match.j))
                    i, j = i0 + match.i + match.count, j0 + match.j + match.count
                continue
            inner = _myers(x, y, _MANY, budget) or []
        found += [Match(m.i + i0, m.j + j0, m.count) for m in inner]
    found.sort(key=lambda m: (m.i, m.j))
    return found


def _myers(a: Array, b: Array, limit: int, budget: Budget) -> list[Match] | None:
    """None if there are more than `limit` differences, or the budget is used up."""
    n, m = len(a), len(b)
    if abs(n - m) > limit:
        return None
    left, right = np.ascontiguousarray(a).data, np.ascontiguousarray(b).data  # memoryviews: faster for one element
    v = [0] * (2 * limit + 3)  # furthest x on diagonal k = x - y, at index k + limit + 1
    history: list[list[int]] = []
    middle = limit + 1
    for d in range(limit + 1):
        if budget.steps <= 0:
            return None
        budget.steps -= d + 1
        history.append(v[middle - d - 1 : middle + d + 2])
        for k in range(-d, d + 1, 2):
            at = middle + k
            x = v[at + 1] if k == -d or (k != d and v[at - 1] < v[at + 1]) else v[at - 1] + 1
            y = x - k
            if x > n or y > m or y < 0:
                v[at] = x  # outside: never better than a diagonal that stays inside
                continue
            stop = min(x + 16, n, m + k)
            while x < stop and left[x] == right[x - k]:
                x += 1
            if x == stop and x < n and x - k < m:
                x += common_prefix(a[x:], b[x - k :])
            v[at] = x
            if x >= n and x - k >= m:
                return _path(history, n, m)
    return None


def _path(history: list[list[int]], n: int, m: int) -> list[Match]:
    """Back from the end through the furthest points of each d."""
    found: list[Match] = []
    x, y = n, m
    for d in range(len(history) - 1, -1, -1):
        v, k = history[d], x - y
        at = d + 1 + k  # history[d][0] is diagonal -d - 1
        down = k == -d or (k != d and v[at - 1] < v[at + 1])
        if d == 0:
            start_x, start_y, from_x, from_y = 0, 0, 0, 0
        else:
            from_x = v[at + 1] if down else v[at - 1]
            from_y = from_x - (k + 1 if down else k - 1)
            start_x, start_y = (from_x, from_y + 1) if down else (from_x + 1, from_y)
        if x > start_x:
            found.append(Match(start_x, start_y, x - start_x))
        x, y = from_x, from_y
    return found[::-1]


def _anchors(a: Array, b: Array, budget: Budget) -> list[Match]:
    x, y = a.astype(np.uint64), b.astype(np.uint64)
    factor, group = _FACTOR, 1
    while group <= 64 and len(x) and len(y):
        budget.elements -= len(x) + len(y)
        if budget.elements < 0:
            return []
        found = _unique_pairs(x, y)
        if found:
            return found
        for _ in range(2):  # hash of 2k neighbours from those of k
            power = np.uint64(factor)
            x = x[:-group] + power * x[group:] if len(x) > group else x[:0]
            y = y[:-group] + power * y[group:] if len(y) > group else y[:0]
            factor, group = factor * factor & (1 << 64) - 1, group * 2
    return []


def _unique_pairs(x: Array, y: Array) -> list[Match]:
    """The longest increasing chain of elements that occur once in x and once in y; neighbours are joined to runs first."""
    x_values, x_index, x_count = np.unique(x, return_index=True, return_counts=True)
    y_values, y_index, y_count = np.unique(y, return_index=True, return_counts=True)
    x_once, y_once = x_count == 1, y_count == 1
    _, from_x, from_y = np.intersect1d(x_values[x_once], y_values[y_once], assume_unique=True, return_indices=True)
    if not len(from_x):
        return []
    i, j = x_index[x_once][from_x], y_index[y_once][from_y]
    order = np.argsort(i)
    i, j = i[order], j[order]
    breaks = np.flatnonzero((np.diff(i) != 1) | (np.diff(j) != 1)) + 1
    starts = np.concatenate([[0], breaks])
    lengths = np.diff(np.concatenate([starts, [len(i)]]))
    runs = list(zip(i[starts].tolist(), j[starts].tolist(), lengths.tolist(), strict=True))
    tails: list[int] = []  # patience: smallest j that ends a chain of each length
    tail_run: list[int] = []
    previous = [-1] * len(runs)
    for number, (_, at, _) in enumerate(runs):
        pile = bisect_left(tails, at)
        previous[number] = tail_run[pile - 1] if pile else -1
        if pile == len(tails):
            tails.append(at)
            tail_run.append(number)
        else:
            tails[pile], tail_run[pile] = at, number
    chain: list[Match] = []
    number = tail_run[-1]
    while number >= 0:
        chain.append(Match(*runs[number]))
        number = previous[number]
    return chain[::-1]

"""From depths to a call tree, vectorised: which return (or later event) ends which call, and which call is whose parent.

Depth alone decides. A call at depth d ends every open call at depth d or deeper, and so does a return from depth d; that way
a missing return (longjmp, a tail call, a trace without returns) loses only the time at which it happened.

    level        depth made gapless: 0 at the bottom, a call's level is its parent's plus one. Depths have gaps when a filter
                 left calls out, or when the trace began in the middle.
    open_before  calls open before a row. A row closes the levels from its own up to open_before.

Each level is opened and closed in turn, so when the opens and the closes of a block are sorted by level, the k-th close of a
level ends its k-th open: no stack is needed, and a block of a few hundred thousand rows is a handful of array operations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uselib.trace.reading.blocks import Array


@dataclass(frozen=True)
class Levels:
    """level, open_before: of each row. stack: raw depths that are open after the last row."""

    level: Array
    open_before: Array
    stack: list[int]


def levels(depth: Array, is_call: Array, stack: list[int]) -> Levels:
    """depth: of calls and returns in their order. stack: raw depths open before the first."""
    base = stack[0] if stack else (int(depth[0]) if len(depth) and is_call[0] else 0)
    if stack == list(range(base, base + len(stack))):
        level = depth - base
        after = level + is_call
        before = np.empty_like(after)
        before[:1] = len(stack)
        before[1:] = after[:-1]
        if (level >= 0).all() and (level + ~is_call <= before).all():
            top = int(after[-1]) if len(after) else len(stack)
            return Levels(level, before, list(range(base, base + top)))
    return _one_by_one(depth, is_call, stack)


def _one_by_one(depth: Array, is_call: Array, stack: list[int]) -> Levels:
    """The general case: depths with gaps, returns of calls that are not in the trace."""
    stack = list(stack)
    level, before = [], []
    for raw, call in zip(depth.tolist(), is_call.tolist(), strict=True):
        open_now = len(stack)
        if call:
            while stack and stack[-1] >= raw:
                stack.pop()
            level.append(len(stack))
            stack.append(raw)
        else:
            while stack and stack[-1] > raw:
                stack.pop()
            if stack and stack[-1] == raw:
                stack.pop()
            level.append(len(stack))
        before.append(open_now)
    return Levels(np.array(level, np.int64), np.array(before, np.int64), stack)


@dataclass(frozen=True)
class Pairs:
    """Calls of a block and what ends them. Opens are numbered: first the calls carried over from the block before (one a
    level), then the calls of this block.

    open_level, parent: of each open (parent: number of an open, -1 at level 0).
    closed, by_row, returned: for each call that ends in this block, its open number, the row that ends it, and whether that row
    is its own return. left: open numbers still open at the end, by level.
    """

    open_level: Array
    parent: Array
    closed: Array
    by_row: Array
    returned: Array
    left: Array


def pair(found: Levels, is_call: Array, carried: int) -> Pairs:
    """carried: how many calls were open before the first row."""
    rows = len(is_call)
    call_rows = np.flatnonzero(is_call)
    open_level = np.concatenate([np.arange(carried), found.level[call_rows]]).astype(np.int64)
    open_order = np.concatenate([np.arange(carried) - carried, call_rows]) + carried  # carried ones come first
    width = rows + carried + 1

    closes = np.maximum(found.open_before - found.level, 0)
    by_row = np.repeat(np.arange(rows), closes)
    first = np.cumsum(closes) - closes
    close_level = found.level[by_row] + (np.arange(len(by_row)) - first[by_row])
    returned = ~is_call[by_row] & (close_level == found.level[by_row])

    opens_sorted = np.argsort(_small(open_level), kind="stable")
    closes_sorted = np.argsort(_small(close_level), kind="stable")
    count = int(open_level.max(initial=-1)) + 1
    per_level = np.bincount(open_level, minlength=count)
    start = np.cumsum(per_level) - per_level
    ended_per_level = np.bincount(close_level, minlength=count)
    ended_start = np.cumsum(ended_per_level) - ended_per_level
    sorted_levels = close_level[closes_sorted]
    rank = np.arange(len(by_row)) - ended_start[sorted_levels]
    closed = np.empty(len(by_row), np.int64)
    closed[closes_sorted] = opens_sorted[start[sorted_levels] + rank]

    # the parent is the last open one level down before it
    keys = open_level[opens_sorted] * width + open_order[opens_sorted]
    below = np.searchsorted(keys, (open_level - 1) * width + open_order) - 1
    parent = np.where(open_level > 0, opens_sorted[np.maximum(below, 0)], -1)

    still = np.ones(len(open_level), bool)
    still[closed] = False
    left = np.flatnonzero(still)
    return Pairs(open_level, parent, closed, by_row, returned, left[np.argsort(open_level[left], kind="stable")])


def _small(values: Array) -> Array:
    """16 bits where they fit: numpy sorts those by radix."""
    return values.astype(np.uint16) if not len(values) or int(values.max()) < 1 << 16 else values

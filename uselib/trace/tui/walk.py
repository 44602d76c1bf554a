"""Ways through the call tree, found in the columns of an Index by depth alone, so they work without returns as well.

A call at depth d is open until the next event of its thread at depth d or less. Scans go by windows that grow, so near answers are
quick and far ones are a few milliseconds for millions of events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from uselib.trace.reading.blocks import Array
from uselib.trace.tui.index import IS_CALL, IS_RETURN, Index

_WINDOW, _LARGEST = 1 << 8, 1 << 20
Test = Callable[[slice], Array]


def first(low: int, high: int, test: Test) -> int | None:
    """The first row from `low`, below `high`, that passes; test: a mask for a slice of rows."""
    size = _WINDOW
    while low < high:
        mask = test(slice(low, min(low + size, high)))
        found = int(mask.argmax())
        if mask[found]:
            return low + found
        low += size
        size = min(size * 4, _LARGEST)
    return None


def last(low: int, high: int, test: Test) -> int | None:
    """The last row from `low`, below `high`, that passes."""
    size = _WINDOW
    while low < high:
        start = max(high - size, low)
        mask = test(slice(start, high))[::-1]
        found = int(mask.argmax())
        if mask[found]:
            return high - 1 - found
        high = start
        size = min(size * 4, _LARGEST)
    return None


@dataclass(frozen=True, slots=True)
class Extent:
    """What a call encloses. end: the row after its last event; closing: the row of its return, None if it is not there."""

    end: int
    closing: int | None


class Walk:
    def __init__(self, index: Index) -> None:
        self.index = index

    def is_call(self, row: int) -> bool:
        return bool(IS_CALL[self.index.kind[row]])

    def is_return(self, row: int) -> bool:
        return bool(IS_RETURN[self.index.kind[row]])

    def same_thread(self, row: int) -> Test:
        """Which rows are events of the thread that `row` is an event of."""
        threads = self.index.threads
        if threads is None:
            return lambda s: np.ones(1, bool)  # for every row
        own = threads[row]
        return lambda s: threads[s] == own

    def has_children(self, row: int) -> bool:
        """Whether something happened inside a call."""
        if not self.is_call(row):
            return False
        mine, depth = self.same_thread(row), self.index.depth
        if self.index.threads is None:
            inside: int | None = row + 1 if row + 1 < self.index.bounds(row)[1] else None
        else:
            inside = first(row + 1, self.index.bounds(row)[1], mine)
        return inside is not None and bool(depth[inside] > depth[row])

    def inside(self, row: int, extent: Extent) -> int:
        """How many events there are in a call."""
        rows = slice(row + 1, extent.end)
        return extent.end - row - 1 if self.index.threads is None else int(self.same_thread(row)(rows).sum())

    def extent(self, row: int) -> Extent:
        """Of a call."""
        depth, high = self.index.depth, self.index.bounds(row)[1]
        own, mine = depth[row], self.same_thread(row)
        end = first(row + 1, high, lambda s: (depth[s] <= own) & mine(s))
        if end is None:
            return Extent(high, None)
        if self.is_return(end) and depth[end] == own:
            return Extent(end, end)
        return Extent(end, None)

    def opening(self, row: int) -> int | None:
        """The call that a return belongs to."""
        depth, kind = self.index.depth, self.index.kind
        own, mine = depth[row], self.same_thread(row)
        found = last(self.index.bounds(row)[0], row, lambda s: (depth[s] <= own) & IS_CALL[kind[s]] & mine(s))
        return found if found is not None and depth[found] == own else None

    def parent(self, row: int) -> int | None:
        """The call in which an event happened; of a return, that of its call."""
        depth, kind = self.index.depth, self.index.kind
        own, mine = depth[row], self.same_thread(row)
        return last(self.index.bounds(row)[0], row, lambda s: (depth[s] < own) & IS_CALL[kind[s]] & mine(s))

    def sibling(self, row: int, forward: bool) -> int | None:
        """The next or previous call in the same call."""
        depth, kind = self.index.depth, self.index.kind
        own, mine = depth[row], self.same_thread(row)
        low, high = self.index.bounds(row)

        def test(s: slice) -> Array:
            mask: Array = (depth[s] <= own) & IS_CALL[kind[s]] & mine(s)
            return mask

        found = first(row + 1, high, test) if forward else last(low, row, test)
        return found if found is not None and depth[found] == own else None

    def children(self, row: int, extent: Extent) -> tuple[int, int]:
        """Calls that a call made itself, and all calls in it."""
        inside = slice(row + 1, extent.end)
        depths = self.index.depth[inside][IS_CALL[self.index.kind[inside]] & self.same_thread(row)(inside)]
        if not len(depths):
            return 0, 0
        return int((np.minimum.accumulate(depths) == depths).sum()), len(depths)

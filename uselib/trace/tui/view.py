"""Which rows of an Index are listed: those that the filters pass, without what lies inside folded calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from uselib.trace.reading.blocks import Array
from uselib.trace.reading.model import Function
from uselib.trace.reading.text import matches
from uselib.trace.tui.index import IS_CALL, IS_RETURN, Index
from uselib.trace.tui.walk import Walk, first, last


@dataclass(frozen=True)
class Filter:
    """library, symbol: globs, any if empty; depth: only events nested less than that deep; thread: only of that one."""

    library: tuple[str, ...] = ()
    symbol: tuple[str, ...] = ()
    depth: int | None = None
    thread: int | None = None

    def __str__(self) -> str:
        parts = [f"library {' '.join(self.library)}"] if self.library else []
        parts += [f"symbol {' '.join(self.symbol)}"] if self.symbol else []
        parts += [f"depth < {self.depth}"] if self.depth is not None else []
        parts += [f"thread {self.thread}"] if self.thread is not None else []
        return ", ".join(parts)


def fits(function: Function, pattern: str) -> bool:
    """Whether a function is one that a search for `pattern` means: a glob, or a part of the name if it has no `*?[`; with a `!`
    of the whole label, as in `libc*!str*`."""
    if not any(character in pattern for character in "*?["):
        pattern = f"*{pattern}*"
    return matches(function.label if "!" in pattern else function.name, (pattern,))


class View:
    """rows: the visible rows in their order."""

    def __init__(self, index: Index, chosen: Filter | None = None) -> None:
        self.index, self.walk = index, Walk(index)
        self.filter = chosen or Filter()
        self.folds: set[int] = set()
        self.rows: Array = np.zeros(0, np.uint32)
        self._passing: Array = self.rows
        self._done = 0  # rows of the index that have been looked at

    # -- filters ------------------------------------------------------------------------------------------------------

    def set_filter(self, chosen: Filter) -> None:
        self.filter = chosen
        self._done, self._passing = 0, np.zeros(0, np.uint32)
        self.update()

    def update(self) -> None:
        """Takes in what the index has got since."""
        count = self.index.count
        if count > self._done:
            found = np.flatnonzero(self._mask(slice(self._done, count))) + self._done
            self._passing = np.concatenate([self._passing, found.astype(np.uint32)])
            self._done = count
        self._fold()

    def _mask(self, rows: slice) -> Array:
        index, chosen = self.index, self.filter
        mask = ~index.joined[rows]
        if chosen.library or chosen.symbol:
            table = self._table(lambda f: matches(f.library, chosen.library) and matches(f.name, chosen.symbol))
            mask &= table[index.function[rows]]
        if chosen.depth is not None:
            depth, kind = index.depth[rows], index.kind[rows]
            mask &= depth < chosen.depth + (~(IS_CALL[kind] | IS_RETURN[kind])).astype(np.int64)
        if chosen.thread is not None and index.threads is not None:
            mask &= index.threads[rows] == chosen.thread
        return mask

    def _table(self, test: Callable[[Function], bool]) -> Array:
        """By function number whether it passes; the last entry (number -1) is for events without one."""
        return np.array([test(f) for f in list(self.index.trace.functions)] + [False])

    # -- folds --------------------------------------------------------------------------------------------------------

    def toggle(self, row: int) -> bool:
        """Folds or unfolds the call at a row, or that of a return; False if there is nothing to fold."""
        if self.walk.is_return(row):
            opening = self.walk.opening(row)
            if opening is None:
                return False
            row = opening
        if row in self.folds:
            self.folds.discard(row)
        elif self.walk.has_children(row):
            self.folds.add(row)
        else:
            return False
        self._fold()
        return True

    def unfold_all(self) -> None:
        self.folds.clear()
        self._fold()

    def hidden(self, row: int) -> tuple[int, int]:
        """The rows that a folded call hides: the first, and the one after the last; those of other threads between them stay."""
        extent = self.walk.extent(row)
        return row + 1, extent.end + (extent.closing is not None)

    def _fold(self) -> None:
        if not self.folds:
            self.rows = self._passing
            return
        if self.index.threads is not None:
            self.rows = self._passing[self._unfolded(self.index.threads)]
            return
        parts, done, until = [], 0, 0
        for row in sorted(self.folds):
            if row < until:
                continue  # inside a folded call
            at = int(np.searchsorted(self._passing, row))
            if at == len(self._passing) or int(self._passing[at]) != row:
                continue  # the call itself is filtered out
            until = self.hidden(row)[1]
            parts.append(self._passing[done : at + 1])
            done = int(np.searchsorted(self._passing, until))
        self.rows = np.concatenate([*parts, self._passing[done:]])

    def _unfolded(self, threads: Array) -> Array:
        """A mask of the passing rows."""
        kept = np.ones(len(self._passing), bool)
        for row in self.folds:
            at = int(np.searchsorted(self._passing, row))
            if at < len(kept) and int(self._passing[at]) == row:
                rows = slice(at + 1, int(np.searchsorted(self._passing, self.hidden(row)[1])))
                kept[rows] &= threads[self._passing[rows]] != threads[row]
        return kept

    # -- places -------------------------------------------------------------------------------------------------------

    def position(self, row: int) -> int:
        """Where a row is listed, or the last listed one before it; -1 if there is none."""
        return int(np.searchsorted(self.rows, row, side="right")) - 1

    def reveal(self, row: int) -> int | None:
        """Unfolds what hides a row; its position, None if the filters leave it out."""
        if row < self.index.count and self.index.joined[row]:
            row -= 1  # shown with its call
        around = self.walk.parent(row)
        while around is not None and self.folds:
            self.folds.discard(around)
            around = self.walk.parent(around)
        opening = self.walk.opening(row) if self.walk.is_return(row) else None
        self.folds.discard(-1 if opening is None else opening)
        self._fold()
        at = self.position(row)
        return at if at >= 0 and int(self.rows[at]) == row else None

    def search(self, pattern: str, row: int, forward: bool = True) -> int | None:
        """The row of the next call, from a row on, round the end, of a function that fits and that the filters pass."""
        table = self._table(lambda f: fits(f, pattern))
        index = self.index

        def test(rows: slice) -> Array:
            return table[index.function[rows]] & IS_CALL[index.kind[rows]] & self._mask(rows)

        count = index.count
        if not table.any():
            return None
        if forward:
            found = first(row + 1, count, test)
            return first(0, min(row + 1, count), test) if found is None else found
        found = last(0, row, test)
        return last(row, count, test) if found is None else found

    def matching(self, pattern: str) -> int:
        """How many calls fit, whatever the filters."""
        table = self._table(lambda f: fits(f, pattern))
        count = self.index.count
        return int((table[self.index.function[:count]] & IS_CALL[self.index.kind[:count]]).sum()) if table.any() else 0

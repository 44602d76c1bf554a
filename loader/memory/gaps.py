"""Where a search for a free range begins.

Linux gives an mmap without an address the highest free range that is large enough, and finds it in a tree. Here the search goes from mapping to
mapping, downwards; what it has learnt is kept, so that a program with 65,000 mappings does not walk past all of them for each new one.
"""

from __future__ import annotations

_SIZES = 64  # that are remembered


class GapHints:
    """What is known of free ranges: for a size, an address above which no free range is that large."""

    def __init__(self, top: int) -> None:
        """top: where searches begin when nothing is known (the mmap base)."""
        self._top = top
        self._above: dict[int, int] = {}
        self._enabled = True

    def disable(self) -> None:
        """There is a mapping that grows down, below which room is kept: what is free depends on more than the neighbours from now on, and
        every search begins at the top."""
        self._enabled = False
        self._above.clear()

    def start(self, size: int) -> int:
        """Where to begin, going down, for a free range of `size` bytes."""
        return min((address for known, address in self._above.items() if known <= size), default=self._top)

    def found(self, size: int, end: int) -> None:
        """The highest free range of `size` bytes ends at `end`."""
        if not self._enabled:
            return
        if len(self._above) >= _SIZES and size not in self._above:
            self._above.clear()
        self._above[size] = end

    def freed(self, end: int) -> None:
        """A free range has come into being or has grown; it ends at `end`, where a mapping or nothing more begins."""
        end = min(end, self._top)
        for size, address in self._above.items():
            if address < end:
                self._above[size] = end

    def forget(self) -> None:
        """Nothing is known: there are more addresses to give."""
        self._above.clear()

"""Lending: private memory of a process that a child sees as its own, and not a copy of it (vfork, clone with CLONE_VM).

The child is another process of the host. Before it is made, the private writable pages are replaced by shared ones with the same contents at
the same host addresses, so both have them afterwards. What either of them maps or unmaps later is its own. When the child is gone the pages
become private again, so that the next fork copies them.
Source: copy_mm in kernel/fork.c of Linux, vfork(2), mincore(2).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from uselib.loader.memory.host_memory import MADV_DONTNEED, MADV_REMOVE
from uselib.loader.memory.layout import MemoryLayout
from uselib.loader.memory.residence import Residence
from uselib.loader.memory.vma import PROT_WRITE, Vma


class Ranges:
    """Ranges of addresses that do not overlap, in their order."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._starts)

    @property
    def last(self) -> tuple[int, int]:
        """The highest one."""
        return self._starts[-1], self._ends[-1]

    def within(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of [start, end) that the ranges contain."""
        at = bisect_right(self._ends, start)
        while at < len(self._starts) and self._starts[at] < end:
            yield max(self._starts[at], start), min(self._ends[at], end)
            at += 1

    def outside(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts that they do not contain."""
        for low, high in self.within(start, end):
            if start < low:
                yield start, low
            start = high
        if start < end:
            yield start, end

    def add(self, start: int, end: int) -> None:
        """Adds a range, of which they must contain nothing."""
        at = bisect_right(self._starts, start)
        self._starts.insert(at, start)
        self._ends.insert(at, end)

    def remove(self, start: int, end: int) -> None:
        """Takes [start, end) out of the ranges."""
        first, last = bisect_right(self._ends, start), bisect_left(self._starts, end)
        if first >= last:
            return
        kept = [(self._starts[first], start), (end, self._ends[last - 1])]
        kept = [(low, high) for low, high in kept if low < high]
        self._starts[first:last] = [low for low, _ in kept]
        self._ends[first:last] = [high for _, high in kept]


class Lending(Residence):
    """The mappings of an address space, of which some may be lent. `_lent` has the ranges whose pages a child may see: what is mapped there
    later is not lent, and what moves stays lent.
    """

    def __init__(self, layout: MemoryLayout, limit: int | None, ceiling: int | None) -> None:
        super().__init__(layout, limit, ceiling)
        self._lent = Ranges()

    @property
    def lends(self) -> bool:
        return bool(self._lent)

    def is_lent(self, address: int) -> bool:
        """Whether a child may see what is written there."""
        return any(self._lent.within(address, address + 1))

    def lend(self) -> None:
        """Children of a fork share all private writable memory from now on. Raises OSError (ENOMEM); what has been lent then stays so."""
        for vma in self.vmas:
            if not vma.shared and vma.prot & PROT_WRITE:
                for start, end in list(self._lent.outside(vma.start, vma.end)):
                    self._change(vma.cut(start, end), shared=True)
                    self._lent.add(start, end)

    def take_back(self) -> None:
        """What has been lent is private again, with its contents. Raises OSError (ENOMEM)."""
        while self._lent:
            start, end = self._lent.last
            for vma in self.vmas.overlapping(start, end):
                if not vma.shared:
                    self._change(vma.cut(max(vma.start, start), min(vma.end, end)), shared=False)
            self._lent.remove(start, end)

    def _change(self, vma: Vma, *, shared: bool) -> None:
        """Other pages with the same contents. A file is read where it reaches; pages that were never touched stay so."""
        for window, start, end in self.windows.pieces(vma.start, vma.end):
            readable = end
            if vma.file is not None and shared:  # what is lent has no file behind it
                readable = min(end, max(start, vma.start + vma.file.pages() - vma.offset))
            window.replace(start, end - start, readable - start, shared=shared, whole=vma.file is not None)

    def _discarded(self, start: int, end: int) -> Iterable[tuple[int, int, int]]:
        """MADV_DONTNEED would leave the contents of shared pages as they are; MADV_REMOVE frees them."""
        if not self._lent:
            return super()._discarded(start, end)
        parts = [(low, high, MADV_REMOVE) for low, high in self._lent.within(start, end)]
        parts += [(low, high, MADV_DONTNEED) for low, high in self._lent.outside(start, end)]
        return sorted(parts)

    def _back(self, vma: Vma) -> None:
        super()._back(vma)
        self._lent.remove(vma.start, vma.end)

    def _return(self, start: int, end: int) -> None:
        super()._return(start, end)
        self._lent.remove(start, end)

    def _moved(self, start: int, target: int, size: int) -> None:
        parts = list(self._lent.within(start, start + size))
        self._lent.remove(start, start + size)
        for low, high in parts:
            self._lent.add(low - start + target, high - start + target)
        super()._moved(start, target, size)

"""Lending: private memory of a process that a child sees as its own, and not a copy of it (vfork, clone with CLONE_VM).

The child is another process of the host. Before it is made, the private writable pages are replaced by shared ones with the same contents at
the same host addresses, so both have them afterwards. What either of them maps or unmaps later is its own. When the child is gone the pages
become private again, so that the next fork copies them.
Source: copy_mm in kernel/fork.c of Linux, vfork(2), mincore(2).
"""

from __future__ import annotations

from uselib.loader.memory.host_memory import MADV_REMOVE
from uselib.loader.memory.layout import MemoryLayout
from uselib.loader.memory.residence import Residence
from uselib.loader.memory.vma import PROT_WRITE, Vma


class Lending(Residence):
    """The mappings of an address space, of which some may be lent. `_lent` has their ranges."""

    def __init__(self, layout: MemoryLayout, limit: int | None, ceiling: int | None) -> None:
        super().__init__(layout, limit, ceiling)
        self._lent: list[tuple[int, int]] = []

    @property
    def lends(self) -> bool:
        return bool(self._lent)

    def is_lent(self, address: int) -> bool:
        """Whether a child may see what is written there."""
        return any(start <= address < end for start, end in self._lent)

    def lend(self) -> None:
        """Children of a fork share all private writable memory from now on. Raises OSError (ENOMEM); what has been lent then stays so."""
        for vma in self.vmas:
            if not vma.shared and vma.prot & PROT_WRITE and not self.is_lent(vma.start):
                self._change(vma, shared=True)
                self._lent.append((vma.start, vma.end))

    def take_back(self) -> None:
        """What has been lent is private again, with its contents. Raises OSError (ENOMEM)."""
        while self._lent:
            start, end = self._lent[-1]
            for vma in self.vmas.overlapping(start, end):
                if not vma.shared:
                    self._change(vma.cut(max(vma.start, start), min(vma.end, end)), shared=False)
            self._lent.pop()

    def _change(self, vma: Vma, *, shared: bool) -> None:
        """Other pages with the same contents. A file is read where it reaches; pages that were never touched stay so."""
        for window, start, end in self.windows.pieces(vma.start, vma.end):
            readable = end
            if vma.file is not None and not self.is_lent(start):
                readable = min(end, max(start, vma.start + vma.file.pages() - vma.offset))
            window.replace(start, end - start, readable - start, shared=shared, whole=vma.file is not None)

    def _discards(self, advice: int, vma: Vma) -> int:
        """madvise(MADV_DONTNEED) would leave the contents of shared pages as they are; this frees them."""
        return MADV_REMOVE if not vma.shared and self.is_lent(vma.start) else advice

"""Residence: which pages stay in memory, and what is in those that do not: madvise(2), msync(2), mlock(2), fork.

Where there is a hole in the range of such a call, what is mapped has been dealt with, and the call fails with ENOMEM.
Source: mm/madvise.c, mm/msync.c, mm/mlock.c of Linux.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable

from uselib.linker.quick_dataclass import replace
from uselib.loader.memory.host_memory import MADV_DONTNEED, MADV_REMOVE
from uselib.loader.memory.layout import page_up
from uselib.loader.memory.mappings import Mappings, os_error
from uselib.loader.memory.vma import PAGE, PROT_EXEC, Vma

_DISTURBS = frozenset({MADV_DONTNEED, MADV_REMOVE})  # change what is read


class Residence(Mappings):
    """The mappings of an address space, whose pages may be dropped, written back and locked."""

    _marked = False  # some mapping may be locked, or not be for children

    def _discarded(self, start: int, end: int) -> Iterable[tuple[int, int, int]]:
        """How MADV_DONTNEED is carried out by the host: parts of a range, start, end and advice (lending.py)."""
        return ((start, end, MADV_DONTNEED),)

    def _over(self, start: int, end: int, deal: Callable[[Vma, int, int], None]) -> None:
        """Calls `deal` for each mapping with its part of the range. Raises OSError: what `deal` raises, ENOMEM."""
        if start >= end:
            return
        for vma in self.vmas.overlapping(start, end):
            deal(vma, max(vma.start, start), min(vma.end, end))
        if not self.vmas.covers(start, end):
            raise os_error(errno.ENOMEM)

    def advise(self, address: int, size: int, advice: int, wrong: Callable[[Vma], int], *, host: bool = True) -> None:
        """An advice of madvise(2). wrong: the error for a mapping, or 0; host: the host carries it out. Raises OSError (ENOMEM, what `wrong`
        says, what the host says)."""

        def deal(vma: Vma, start: int, end: int) -> None:
            if number := wrong(vma):
                raise os_error(number)
            if host:
                parts = self._discarded(start, end) if advice == MADV_DONTNEED else ((start, end, advice),)
                for begin, stop, told in parts:
                    for window, low, high in self.windows.pieces(begin, stop):
                        window.advise(low, high - low, told)
            if advice in _DISTURBS:
                if vma.prot & PROT_EXEC or vma.shared:
                    self.listener.code_written(start, end)
                if advice == MADV_REMOVE and vma.file is not None:
                    self.listener.file_changed(vma.file.identity)

        self._over(address, address + page_up(size), deal)

    def discard(self, address: int, size: int) -> None:
        """madvise(MADV_DONTNEED) of whole pages. Raises OSError (EINVAL, ENOMEM)."""
        if address % PAGE:
            raise os_error(errno.EINVAL)
        self.advise(address, size, MADV_DONTNEED, lambda vma: 0)

    def sync(self, address: int, size: int, flags: int, *, invalidate: bool = False) -> None:
        """msync(2). Raises OSError (EINVAL, ENOMEM, EBUSY)."""
        if address % PAGE:
            raise os_error(errno.EINVAL)

        def deal(vma: Vma, start: int, end: int) -> None:
            if invalidate and vma.locked:
                raise os_error(errno.EBUSY)
            if vma.file is not None and vma.shared:
                for window, low, high in self.windows.pieces(start, end):
                    window.sync(low, high - low, flags)

        self._over(address, address + page_up(size), deal)

    def _alter(self, start: int, end: int, altered: Callable[[Vma], Vma]) -> None:
        """Replaces the mappings of a range by altered ones. Raises OSError (ENOMEM)."""

        def deal(vma: Vma, low: int, high: int) -> None:
            if altered(vma) != vma:
                for part in self.vmas.remove(low, high):
                    self.vmas.insert(altered(part))

        self._marked = True
        self._over(start, end, deal)

    def lock(self, start: int, end: int, *, locked: bool) -> None:
        """mlock(2) and munlock(2) of whole pages. Raises OSError (ENOMEM)."""
        more = sum(min(v.end, end) - max(v.start, start) for v in self.vmas.overlapping(start, end) if not v.locked)
        if locked and self.lock_limit is not None and self.locked + more > self.lock_limit:
            raise os_error(errno.ENOMEM)
        self._alter(start, end, lambda vma: replace(vma, locked=locked))

    def lock_all(self, *, locked: bool) -> None:
        """mlockall(2) of what is mapped, and munlockall(2). Raises OSError (ENOMEM)."""
        if locked and self.lock_limit is not None and self.total > self.lock_limit:
            raise os_error(errno.ENOMEM)
        for vma in list(self.vmas):
            self._alter(vma.start, vma.end, lambda part: replace(part, locked=locked))

    def set_forked(self, address: int, size: int, forked: bool) -> None:
        """madvise(MADV_DOFORK, MADV_DONTFORK). Raises OSError (ENOMEM)."""
        self._alter(address, address + page_up(size), lambda vma: replace(vma, forked=forked))

    def after_fork(self) -> None:
        """In the child: it has no locks, and not the mappings that are not for it."""
        if self._marked or self.lock_new:
            self.lock_new = False
            self.lock_all(locked=False)
            for vma in [vma for vma in self.vmas if not vma.forked]:
                self.unmap(vma.start, vma.size)

"""Mappings: which mappings a guest has, and what the calls do that change them, with Linux's rules.

Each mapping of the list (vma.py) lies in a window of host memory (host_memory.py). The CPU is not known here: a listener is told of every
change. A call that fails raises OSError with Linux's errno. Addresses are deterministic: the same calls give the same addresses in every
run.
Source: mm/mmap.c, mm/mremap.c, mm/mprotect.c of Linux; mmap(2), mremap(2).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

from uselib.linker.quick_dataclass import replace
from uselib.loader.memory.access import MemoryCeiling, MemoryFault
from uselib.loader.memory.gaps import GapHints
from uselib.loader.memory.host_memory import Window
from uselib.loader.memory.layout import (
    LOW_END,
    LOW_START,
    MAX_MAPPINGS,
    MMAP_MIN,
    STACK_GUARD_GAP,
    MemoryLayout,
    page_down,
    page_up,
)
from uselib.loader.memory.listener import Listener, NoListener
from uselib.loader.memory.vma import PAGE, PROT_WRITE, MappedFile, SharedMemory, Vma, VmaList
from uselib.loader.memory.windows import Windows


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Mappings:
    """See the module's docstring. limit: bytes that may be mapped in all; more is ENOMEM (RLIMIT_AS). ceiling: likewise, but more raises
    MemoryCeiling."""

    def __init__(self, layout: MemoryLayout, limit: int | None, ceiling: int | None) -> None:
        self.ceiling = ceiling
        self.data_limit: int | None = None  # bytes of heap and private writable mappings (RLIMIT_DATA)
        self.lock_limit: int | None = None  # bytes that may be locked (RLIMIT_MEMLOCK)
        self.lock_new = False  # new mappings are locked (mlockall)
        self.large: int = 1 << 64  # bytes mapped of which `on_large` is told, once
        self.on_large: Callable[[], None] = lambda: None
        self.layout = layout
        self.limit = limit
        self.vmas = VmaList()
        self.windows = Windows()
        self._gaps = GapHints(self.layout.mmap_base)
        self.listener: Listener = NoListener()
        self.on_change: list[Callable[[], None]] = []  # called before the listener is told that mappings have changed
        for start, end in self.layout.windows:
            self.windows.add(Window.reserve(start, end))

    def set_listener(self, listener: Listener) -> None:
        """Replaces the listener and tells the new one of the windows there are."""
        self.listener = listener
        for window in self.windows:
            listener.window_added(window)

    def _changed(self, start: int, end: int) -> None:
        for tell in self.on_change:
            tell()
        self.listener.changed(start, end)

    def release(self) -> None:
        """Gives all memory back to the host (exec has replaced this address space)."""
        self.vmas = VmaList()
        self.windows.release()

    # -- looking ----------------------------------------------------------------------------------------------------

    @property
    def total(self) -> int:
        """Bytes mapped."""
        return self.vmas.total

    def find(self, address: int) -> Vma | None:
        """The mapping that contains `address`."""
        return self.vmas.find(address)

    def __iter__(self) -> Iterator[Vma]:
        return iter(self.vmas)

    def is_free(self, start: int, end: int) -> bool:
        """Whether nothing is mapped in the range and it lies within user addresses."""
        return start >= self.layout.lowest and end <= self.layout.top and not self.vmas.overlapping(start, end)

    def _window(self, address: int) -> Window:
        window = self.windows.find(address)
        if window is None:
            raise MemoryFault(address, "read")
        return window

    def _ensure(self, start: int, end: int) -> None:
        """Has host memory for a range. Raises OSError (ENOMEM)."""
        self.windows.ensure(start, end, self._added)

    def _added(self, window: Window) -> None:
        self._gaps.forget()
        self.listener.window_added(window)

    # -- mapping ----------------------------------------------------------------------------------------------------

    def map(
        self, address: int, size: int, prot: int, *, fd: int | None = None, offset: int = 0, shared: bool = False,
        placement: str = "hint", name: str = "", may_write: bool = True, grows_down: bool = False,
        origin: MappedFile | None = None, mutable: bool = False, low: bool = False, locked: bool = False,
    ) -> int:  # fmt: skip
        """mmap(2): returns the address. placement: "hint", "fixed" (replaces what is there) or "noreplace".

        fd: a host descriptor (it may be closed afterwards); may_write: for a shared mapping, whether it is open for
        writing; origin: the file that the caller copies in; mutable: guests may change the file; low: below 2 GiB;
        locked: as by mlock. Raises OSError: EINVAL, ENOMEM, EEXIST, EPERM, EAGAIN, or what the host's mmap says of the file.
        """
        if size <= 0 or offset % PAGE or (placement != "hint" and address % PAGE):
            raise os_error(errno.EINVAL)
        size = page_up(size)
        if size > self.layout.top:
            raise os_error(errno.ENOMEM)
        start = self._place(address, size, placement, low)
        end = start + size
        locked = locked or self.lock_new
        self._allow(start, end, locked)
        file = None if fd is None else MappedFile(fd, name, mutable=mutable)
        writable = not shared or file is None or may_write
        memory = SharedMemory(size) if shared and file is None else None
        offset = offset if file else 0
        vma = Vma(start, end, prot, file, offset, shared, writable, grows_down, name, origin, memory, locked)
        if self.data_limit is not None and vma.is_data:
            self._data_room(size)
        self._insert(self._backed(vma))
        return start

    def _allow(self, start: int, end: int, locked: bool) -> None:
        """Whether the limits allow a mapping in place of what is in the range. Raises OSError (EAGAIN, ENOMEM), MemoryCeiling."""
        size = end - start
        if locked and self.lock_limit is not None and self.locked + size > self.lock_limit:
            raise os_error(errno.EAGAIN)
        if self.limit is not None or self.ceiling is not None or self.total + size > self.large:
            self._room(size - self._mapped_within(start, end))
        if len(self.vmas) >= MAX_MAPPINGS:
            raise os_error(errno.ENOMEM)

    def _backed(self, vma: Vma) -> Vma:
        """The mapping as it can be had, with memory of the host's behind it. Raises OSError."""
        self._ensure(vma.start, vma.end)
        if vma.memory is not None and not self._is_backed(vma.start, vma.end):
            raise os_error(errno.ENOMEM)  # it would be two memories
        try:
            self._back(vma)
        except PermissionError:  # sealed: it may be read
            if vma.prot & PROT_WRITE or not vma.shared:
                raise
            vma = replace(vma, may_write=False)
            self._back(vma)
        return vma

    def _insert(self, vma: Vma) -> None:
        """Puts a mapping into the list in place of what is in its range."""
        if self.vmas.remove(vma.start, vma.end):
            self._changed(vma.start, vma.end)
        if vma.grows_down and vma.start < self.layout.mmap_base:
            self._gaps.disable()
        self.vmas.insert(vma)
        self.listener.mapped(vma)

    def _mapped_within(self, start: int, end: int) -> int:
        return sum(min(vma.end, end) - max(vma.start, start) for vma in self.vmas.overlapping(start, end))

    @property
    def locked(self) -> int:
        """Bytes locked in memory."""
        return sum(vma.size for vma in self.vmas if vma.locked)

    def _data_room(self, more: int) -> None:
        """Raises OSError (ENOMEM)."""
        if self.data_limit is not None and more + sum(vma.size for vma in self.vmas if vma.is_data) > self.data_limit:
            raise os_error(errno.ENOMEM)

    def _place(self, address: int, size: int, placement: str, low: bool = False) -> int:
        if placement == "hint":
            address = page_down(address)
            if address and (not low or address + size <= LOW_END) and self.is_free(address, address + size):
                return address
            return self._find_low_gap(size) if low else self.find_gap(size)
        if address + size > self.layout.top:
            raise os_error(errno.ENOMEM)
        if address < self.layout.lowest:
            raise os_error(errno.EPERM)
        if placement == "noreplace" and self.vmas.overlapping(address, address + size):
            raise os_error(errno.EEXIST)
        return address

    def find_gap(self, size: int) -> int:
        """The highest free range below the mmap base. Raises OSError (ENOMEM)."""
        end = above = self._gaps.start(size)
        while True:
            below = self.vmas.last_below(above - 1)
            floor = below.end if below else MMAP_MIN
            if end - size >= max(floor, MMAP_MIN) and self._is_backed(end - size, end):
                self._gaps.found(size, end)
                return end - size
            if below is None:
                raise os_error(errno.ENOMEM)
            above = below.start
            end = min(end, below.start - (STACK_GUARD_GAP if below.grows_down else 0))

    def _find_low_gap(self, size: int) -> int:
        """For MAP_32BIT: the lowest free range of its part of memory. Raises OSError (ENOMEM)."""
        start = LOW_START
        for vma in self.vmas.overlapping(LOW_START, LOW_END):
            if vma.start - start >= size:
                break
            start = max(start, vma.end)
        if start + size > LOW_END:
            raise os_error(errno.ENOMEM)
        return start

    def _is_backed(self, start: int, end: int) -> bool:
        window = self.windows.find(start)
        return window is not None and end <= window.end

    def unmap(self, address: int, size: int) -> None:
        """munmap(2). Raises OSError (EINVAL)."""
        start, end = address, address + page_up(size)
        if address % PAGE or size <= 0 or end > self.layout.top:
            raise os_error(errno.EINVAL)
        parts = self.vmas.remove(start, end)
        for part in parts:
            self._return(part.start, part.end)
        if parts:
            self._freed(end)
            self._changed(start, end)

    def _return(self, start: int, end: int) -> None:
        """Gives the host's pages of a range back."""
        window = self._window(start)
        if end <= window.end:
            window.unmap(start, end - start)
            return
        for window, low, high in self.windows.pieces(start, end):
            window.unmap(low, high - low)

    def _moved(self, start: int, target: int, size: int) -> None:
        """The host's pages of a range are at `target` now (lending.py)."""

    def _freed(self, end: int) -> None:
        """What lay below `end` is free now."""
        above = self.vmas.next_above(end - 1)
        self._gaps.freed(self.layout.mmap_base if above is None else above.start)

    def protect(self, address: int, size: int, prot: int) -> None:
        """mprotect(2). Raises OSError: EINVAL, ENOMEM (a hole), EACCES (writing to a file open for reading); what comes before the place that
        the error is about has changed."""
        if address % PAGE:
            raise os_error(errno.EINVAL)
        start = done = address
        end = address + page_up(size)
        failure = 0
        for vma in self.vmas.overlapping(start, end):
            if vma.start > done or (prot & PROT_WRITE and not vma.may_write):
                failure = errno.ENOMEM if vma.start > done else errno.EACCES
                break
            if (
                prot & PROT_WRITE
                and self.data_limit is not None
                and not vma.is_data
                and replace(vma, prot=prot).is_data
            ):
                try:
                    self._data_room(min(vma.end, end) - max(vma.start, start))
                except OSError:
                    failure = errno.ENOMEM
                    break
            done = min(vma.end, end)
        if start < done:
            for part in self.vmas.remove(start, done):
                self.vmas.insert(replace(part, prot=prot))
            self._changed(start, done)
        if failure or done < end:
            raise os_error(failure or errno.ENOMEM)

    def _room(self, more: int) -> None:
        """Raises OSError (ENOMEM) or MemoryCeiling if `more` bytes are too many."""
        if self.ceiling is not None and self.total + more > self.ceiling:
            raise MemoryCeiling
        if self.total + more > self.large:
            self.large = 1 << 64
            self.on_large()
        if self.limit is not None and self.total + more > self.limit:
            raise os_error(errno.ENOMEM)

    def _extend(self, vma: Vma, end: int) -> None:
        self._room(end - vma.end)
        tail = replace(vma, start=vma.end, end=end, offset=vma.offset + vma.size if vma.backing else 0)
        self._ensure(tail.start, tail.end)
        self._back(tail)
        self.vmas.insert(tail)

    def _back(self, vma: Vma) -> None:
        """Puts fresh host pages behind a range that has windows. Raises OSError."""
        window = self._window(vma.start)
        if vma.end <= window.end and vma.backing is None:  # what most are
            window.map_anonymous(vma.start, vma.end - vma.start, shared=False)
            return
        for window, start, end in self.windows.pieces(vma.start, vma.end):
            offset = vma.offset + start - vma.start
            if vma.file is not None:
                window.map_file(start, end - start, vma.file.fd, offset, shared=vma.shared, writable=vma.may_write)
            elif vma.memory is None or not self._show_again(vma.memory, offset, window, start, end - start):
                window.map_anonymous(start, end - start, shared=vma.shared)

    def _show_again(self, memory: SharedMemory, offset: int, window: Window, start: int, size: int) -> bool:
        """Maps shared anonymous memory a second time. False if it is nowhere else, or only a later part of it."""
        for other in self.vmas.shared(memory.identity):
            if other.offset <= offset:
                window.show(self._window(other.start).delta + other.start, offset - other.offset, start, size)
                return True
        return False

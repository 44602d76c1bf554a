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
from dataclasses import replace

from uselib.loader.memory.access import MemoryCeiling, MemoryFault
from uselib.loader.memory.gaps import GapHints
from uselib.loader.memory.host_memory import Window
from uselib.loader.memory.layout import (
    MAX_MAPPINGS,
    MMAP_MIN,
    STACK_GUARD_GAP,
    WINDOW_UNIT,
    MemoryLayout,
    page_down,
    page_up,
)
from uselib.loader.memory.listener import Listener, NoListener
from uselib.loader.memory.vma import PAGE, PROT_EXEC, PROT_WRITE, MappedFile, SharedMemory, Vma, VmaList


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Mappings:
    """See the module's docstring. limit: bytes that may be mapped in all; more is ENOMEM (RLIMIT_AS). ceiling: likewise, but more raises
    MemoryCeiling."""

    def __init__(self, layout: MemoryLayout, limit: int | None, ceiling: int | None) -> None:
        self.ceiling = ceiling
        self.large: int = 1 << 64  # bytes mapped of which `on_large` is told, once
        self.on_large: Callable[[], None] = lambda: None
        self.layout = layout
        self.limit = limit
        self.vmas = VmaList()
        self.windows: list[Window] = []
        self._gaps = GapHints(self.layout.mmap_base)
        self.listener: Listener = NoListener()
        for start, end in self.layout.windows:
            self.windows.append(Window.reserve(start, end))

    def set_listener(self, listener: Listener) -> None:
        """Replaces the listener and tells the new one of the windows there are."""
        self.listener = listener
        for window in self.windows:
            listener.window_added(window)

    def release(self) -> None:
        """Gives all memory back to the host (exec has replaced this address space)."""
        for window in self.windows:
            window.release()
        self.windows.clear()
        self.vmas = VmaList()

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
        for window in self.windows:
            if window.start <= address < window.end:
                return window
        raise MemoryFault(address, "read")

    def _window_for(self, start: int, end: int) -> Window:
        """The window around the range, reserved if there is none yet. Raises OSError (ENOMEM)."""
        for window in self.windows:
            if window.start <= start and end <= window.end:
                return window
        low, high = start & -WINDOW_UNIT, (end + WINDOW_UNIT - 1) & -WINDOW_UNIT
        if any(low < window.end and window.start < high for window in self.windows):
            raise os_error(errno.ENOMEM)  # would straddle two reservations
        window = Window.reserve(low, high)
        self.windows.append(window)
        self._gaps.forget()
        self.listener.window_added(window)
        return window

    # -- mapping ----------------------------------------------------------------------------------------------------

    def map(
        self, address: int, size: int, prot: int, *, fd: int | None = None, offset: int = 0, shared: bool = False,
        placement: str = "hint", name: str = "", may_write: bool = True, grows_down: bool = False,
        origin: MappedFile | None = None, mutable: bool = False,
    ) -> int:  # fmt: skip
        """mmap(2): returns the address. placement: "hint", "fixed" (replaces what is there) or "noreplace".

        fd: a host descriptor (it may be closed afterwards); may_write: for a shared mapping, whether it is open for
        writing; origin: the file that the caller copies in; mutable: guests may change the file.
        Raises OSError: EINVAL, ENOMEM, EEXIST, EPERM, or what the host's mmap says of the file.
        """
        if size <= 0 or offset % PAGE or (placement != "hint" and address % PAGE):
            raise os_error(errno.EINVAL)
        size = page_up(size)
        if size > self.layout.top:
            raise os_error(errno.ENOMEM)
        start = self._place(address, size, placement)
        end = start + size
        if self.limit is not None or self.ceiling is not None or self.total + size > self.large:
            self._room(size - self._mapped_within(start, end))
        if len(self.vmas) >= MAX_MAPPINGS:
            raise os_error(errno.ENOMEM)
        file = None if fd is None else MappedFile(fd, name, mutable=mutable)
        writable = not shared or file is None or may_write
        memory = SharedMemory(size) if shared and file is None else None
        vma = Vma(start, end, prot, file, offset if file else 0, shared, writable, grows_down, name, origin, memory)
        window = self._window_for(start, end)
        if file is None:
            window.map_anonymous(start, size, shared=shared)
        else:
            window.map_file(start, size, file.fd, offset, shared=shared, writable=may_write)
        if self.vmas.remove(start, end):
            self.listener.changed(start, end)
        if grows_down and start < self.layout.mmap_base:
            self._gaps.disable()
        self.vmas.insert(vma)
        self.listener.mapped(vma)
        return start

    def _mapped_within(self, start: int, end: int) -> int:
        return sum(min(vma.end, end) - max(vma.start, start) for vma in self.vmas.overlapping(start, end))

    def _place(self, address: int, size: int, placement: str) -> int:
        if placement == "hint":
            address = page_down(address)
            if address and self.is_free(address, address + size):
                return address
            return self.find_gap(size)
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

    def _is_backed(self, start: int, end: int) -> bool:
        return any(window.start <= start and end <= window.end for window in self.windows)

    def unmap(self, address: int, size: int) -> None:
        """munmap(2). Raises OSError (EINVAL)."""
        start, end = address, address + page_up(size)
        if address % PAGE or size <= 0 or end > self.layout.top:
            raise os_error(errno.EINVAL)
        parts = self.vmas.remove(start, end)
        for part in parts:
            self._window(part.start).unmap(part.start, part.size)
        if parts:
            self._freed(end)
            self.listener.changed(start, end)

    def _freed(self, end: int) -> None:
        """What lay below `end` is free now."""
        above = self.vmas.next_above(end - 1)
        self._gaps.freed(self.layout.mmap_base if above is None else above.start)

    def protect(self, address: int, size: int, prot: int) -> None:
        """mprotect(2). Raises OSError: EINVAL, ENOMEM (a hole), EACCES (writing to a file open for reading)."""
        if address % PAGE:
            raise os_error(errno.EINVAL)
        start, end = address, address + page_up(size)
        if start == end:
            return
        if not self.vmas.covers(start, end):
            raise os_error(errno.ENOMEM)
        if prot & PROT_WRITE and not all(vma.may_write for vma in self.vmas.overlapping(start, end)):
            raise os_error(errno.EACCES)
        for part in self.vmas.remove(start, end):
            self.vmas.insert(replace(part, prot=prot))
        self.listener.changed(start, end)

    def remap(
        self, address: int, old_size: int, new_size: int, *, may_move: bool, new_address: int | None = None
    ) -> int:
        """mremap(2): returns the new address. new_address: MREMAP_FIXED. Raises OSError (EINVAL, EFAULT, ENOMEM)."""
        old_size, new_size = page_up(old_size), page_up(new_size)
        if address % PAGE or not new_size or not old_size or (new_address is not None and new_address % PAGE):
            raise os_error(errno.EINVAL)
        vma = self.vmas.find(address)
        if vma is None or address + old_size > vma.end:
            raise os_error(errno.EFAULT)
        if new_address is None:
            if new_size <= old_size:
                if new_size < old_size:
                    self.unmap(address + new_size, old_size - new_size)
                return address
            grown = address + new_size
            if vma.end == address + old_size and self.is_free(vma.end, grown) and self._is_backed(address, grown):
                self._extend(vma, grown)
                return address
            if not may_move:
                raise os_error(errno.ENOMEM)
            target = self.find_gap(new_size)
        else:
            if new_address < address + old_size and address < new_address + new_size:
                raise os_error(errno.EINVAL)
            target = self._place(new_address, new_size, "fixed")
            self.unmap(target, new_size)
        return self._move(vma, address, old_size, target, new_size)

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
        self._back(tail)
        self.vmas.insert(tail)

    def _back(self, vma: Vma) -> None:
        """Puts fresh host pages behind a range."""
        window = self._window_for(vma.start, vma.end)
        if vma.file is None:
            window.map_anonymous(vma.start, vma.size, shared=vma.shared)
        else:
            window.map_file(vma.start, vma.size, vma.file.fd, vma.offset, shared=vma.shared, writable=vma.may_write)

    def _move(self, vma: Vma, address: int, old_size: int, target: int, new_size: int) -> int:
        self._room(max(new_size - old_size, 0))
        source, destination = self._window(address), self._window_for(target, target + new_size)
        kept = min(old_size, new_size)
        if source is destination:
            source.move(address, target, kept)
            fresh = target + kept
        else:  # two reservations: the pages are copied
            self._back(replace(vma, start=target, end=target + kept, offset=vma.offset + address - vma.start))
            destination.write(target, source.read(address, kept))
            source.unmap(address, kept)
            fresh = target + kept
        (part, *_) = self.vmas.remove(address, address + old_size)
        if kept < old_size:
            source.unmap(address + kept, old_size - kept)
        self.listener.changed(address, address + old_size)
        moved = replace(part, start=target, end=target + new_size)
        if fresh < moved.end:
            self._back(moved.cut(fresh, moved.end))
        self.vmas.insert(moved)
        self._freed(address + old_size)
        self.listener.mapped(moved)
        return target

    def discard(self, address: int, size: int) -> None:
        """madvise(MADV_DONTNEED). Raises OSError (EINVAL, ENOMEM)."""
        if address % PAGE:
            raise os_error(errno.EINVAL)
        end = address + page_up(size)
        for vma in self.vmas.overlapping(address, end):
            start, stop = max(vma.start, address), min(vma.end, end)
            self._window(start).discard(start, stop - start)
            if vma.prot & PROT_EXEC:
                self.listener.code_written(start, stop)
        if not self.vmas.covers(address, end):
            raise os_error(errno.ENOMEM)

    def sync(self, address: int, size: int, flags: int) -> None:
        """msync(2). Raises OSError (EINVAL, ENOMEM)."""
        if address % PAGE:
            raise os_error(errno.EINVAL)
        end = address + page_up(size)
        if not self.vmas.covers(address, end):
            raise os_error(errno.ENOMEM)
        for vma in self.vmas.overlapping(address, end):
            if vma.file is not None and vma.shared:
                start, stop = max(vma.start, address), min(vma.end, end)
                self._window(start).sync(start, stop - start, flags)

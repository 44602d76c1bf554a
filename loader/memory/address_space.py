"""AddressSpace: the memory of one guest process, with Linux's rules, over host mappings.

It keeps the list of mappings (vma.py), puts each one into a window of host memory (host_memory.py), and answers the
kernel's reads and writes with permission checks. It does not know the CPU: a listener is told of every change.

Errors: MemoryFault for an access that the guest may not make (EFAULT in a system call); OSError with Linux's errno for a
mapping call that fails. Addresses are deterministic: the same calls give the same addresses in every run.
Source: mm/mmap.c, mm/mremap.c, mm/mprotect.c of Linux; mmap(2), mremap(2), brk(2).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from uselib.loader.memory.access import MemoryCeiling, MemoryFault, allows
from uselib.loader.memory.gaps import GapHints
from uselib.loader.memory.host_memory import Window
from uselib.loader.memory.layout import (
    LAYOUTS,
    MAX_MAPPINGS,
    MMAP_MIN,
    STACK_GUARD_GAP,
    WINDOW_UNIT,
    MemoryLayout,
    page_down,
    page_up,
)
from uselib.loader.memory.vma import (
    PAGE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    FileIdentity,
    MappedFile,
    SharedMemory,
    Vma,
    VmaList,
)

__all__ = [
    "MMAP_MIN", "PAGE", "PROT_EXEC", "PROT_READ", "PROT_WRITE", "AddressSpace", "MemoryCeiling", "MemoryFault", "Vma",
    "page_down", "page_up",
]  # fmt: skip


class Listener(Protocol):
    """Hears of changes. Ranges are page-aligned [start, end)."""

    def window_added(self, window: Window) -> None:
        """From now on these guest addresses have host memory behind them."""

    def mapped(self, vma: Vma) -> None:
        """A new mapping, before it is joined with its neighbours. The range was unmapped."""

    def changed(self, start: int, end: int) -> None:
        """Mappings or permissions in the range are not what they were."""

    def code_written(self, start: int, end: int) -> None:
        """The kernel wrote into executable memory, or into memory that may be executable elsewhere (bytes, not pages)."""

    def file_changed(self, identity: FileIdentity) -> None:
        """The contents of a file that may be mapped are not what they were."""

    def lost_page(self) -> int:
        """Host address of a page that was not there when this process read or wrote it, because its file has become shorter, and which is
        an anonymous page now; 0: none. Each is told once."""


class _Deaf:
    def window_added(self, window: Window) -> None: ...
    def mapped(self, vma: Vma) -> None: ...
    def changed(self, start: int, end: int) -> None: ...
    def code_written(self, start: int, end: int) -> None: ...
    def file_changed(self, identity: FileIdentity) -> None: ...

    def lost_page(self) -> int:
        return 0


def _fail(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class AddressSpace:
    """See the module's docstring. limit: bytes that may be mapped in all; more is ENOMEM (RLIMIT_AS). ceiling: likewise,
    but more raises MemoryCeiling. stack_limit: bytes that a stack may grow to (RLIMIT_STACK)."""

    def __init__(
        self, bits: int, *, limit: int | None = None, ceiling: int | None = None, stack_limit: int = 8 << 20,
        layout: MemoryLayout | None = None,
    ) -> None:  # fmt: skip
        self.ceiling = ceiling
        self.large: int = 1 << 64  # bytes mapped of which `on_large` is told, once
        self.on_large: Callable[[], None] = lambda: None
        self.layout = layout or LAYOUTS[bits]
        self.limit = limit
        self.stack_limit = stack_limit
        self.vmas = VmaList()
        self.brk_start = self.brk = 0
        self.windows: list[Window] = []
        self._gaps = GapHints(self.layout.mmap_base)
        self.listener: Listener = _Deaf()
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
            raise _fail(errno.ENOMEM)  # would straddle two reservations
        window = Window.reserve(low, high)
        self.windows.append(window)
        self._gaps.forget()
        self.listener.window_added(window)
        return window

    # -- reading and writing, as the kernel does for a system call ----------------------------------------------------

    def check(self, address: int, size: int, access: str) -> bool:
        """Raises MemoryFault unless the guest may make this access (`read`, `write`, `execute`) to all of the range. True: pages of a file
        are among it, which may become shorter before the access is made (`_check_lost`)."""
        position, end, of_file = address, address + size, False
        while position < end:
            vma = self.vmas.find(position)
            if vma is None and self.grow_stack(position):
                vma = self.vmas.find(position)
            if vma is None:
                raise MemoryFault(position, access, stack_overflow=self.below_stack(position))
            if not allows(vma.prot, access):
                raise MemoryFault(position, access, mapped=True)
            of_file = of_file or vma.file is not None
            if vma.backing is not None and vma.offset + min(end, vma.end) - vma.start > page_up(vma.backing.size()):
                first_bad = max(position, vma.start + page_up(vma.backing.size()) - vma.offset)
                raise MemoryFault(first_bad, access, mapped=True, beyond_file=True)
            position = vma.end
        return of_file

    def recover_lost(self) -> int | None:
        """After an access of this process's to pages of a file: the first of those that were not there, and the mapping is as before."""
        first: int | None = None
        while page := self.listener.lost_page():
            window = next((w for w in self.windows if w.start <= page - w.delta < w.end), None)
            vma = self.vmas.find(page - window.delta) if window is not None else None
            if window is not None and vma is not None:
                at = page - window.delta
                self._back(vma.cut(at, at + PAGE))
                first = at if first is None else min(first, at)
        return first

    def _check_lost(self, access: str) -> None:
        """After an access of this process's to pages of a file. Raises MemoryFault if some were not there."""
        first = self.recover_lost()
        if first is not None:
            raise MemoryFault(first, access, mapped=True, beyond_file=True)

    def read(self, address: int, size: int) -> bytes:
        """Raises MemoryFault."""
        of_file = self.check(address, size, "read")
        if not size:
            return b""
        window = self._window(address)
        if address + size <= window.end:
            data = window.read(address, size)
            if of_file:
                self._check_lost("read")
            return data
        return window.read(address, window.end - address) + self.read(window.end, address + size - window.end)

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Raises MemoryFault; then nothing has been written, unless the file behind the range became shorter in the middle."""
        of_file = self.check(address, len(data), "write")
        self._store(address, data)
        if of_file:
            self._check_lost("write")

    def poke(self, address: int, data: bytes) -> None:
        """Writes whatever the permissions are (the loader clearing a bss tail). The range must be mapped."""
        self._store(address, data)

    def _store(self, address: int, data: bytes | bytearray | memoryview) -> None:
        if not len(data):
            return
        window = self._window(address)
        window.write(address, data)
        vma = self.vmas.find(address)
        if vma is not None and (vma.prot & PROT_EXEC or vma.shared or address + len(data) > vma.end):
            self.listener.code_written(address, address + len(data))

    def view(self, address: int, size: int) -> memoryview:
        """Writable host memory behind a range that the guest may write (for reading files without a copy).

        Raises MemoryFault.
        """
        self.check(address, size, "write")
        if not size:
            return memoryview(bytearray())
        vma = self.vmas.find(address)
        if vma is not None and (vma.prot & PROT_EXEC or vma.shared or address + size > vma.end):
            self.listener.code_written(address, address + size)
        return self._window(address).view(address, size)

    def read_string(self, address: int, limit: int = 1 << 20) -> bytes:
        """Bytes up to a NUL, without it. Raises MemoryFault; ENAMETOOLONG if there is no NUL within `limit`."""
        out = bytearray()
        while len(out) < limit:
            chunk = self.read(address, min(PAGE - address % PAGE, limit - len(out)))
            end = chunk.find(b"\0")
            if end >= 0:
                return bytes(out + chunk[:end])
            out += chunk
            address += len(chunk)
        raise _fail(errno.ENAMETOOLONG)

    def file_changed(self, identity: FileIdentity) -> None:
        """A file has been written: code that is mapped from it is not to be executed from what the CPU has kept of it."""
        self.listener.file_changed(identity)

    def forget_shortened(self) -> None:
        """Some file may have become shorter: likewise for all code that was mapped from its last page on."""
        for vma in self.vmas:
            if vma.file is not None and vma.prot & PROT_EXEC:
                end = vma.start + page_down(vma.file.size()) - vma.offset
                if end < vma.end:
                    self.listener.changed(max(end, vma.start), vma.end)

    # -- mapping ----------------------------------------------------------------------------------------------------

    def map(
        self, address: int, size: int, prot: int, *, fd: int | None = None, offset: int = 0, shared: bool = False,
        placement: str = "hint", name: str = "", may_write: bool = True, grows_down: bool = False,
        origin: MappedFile | None = None,
    ) -> int:  # fmt: skip
        """mmap(2): returns the address. placement: "hint", "fixed" (replaces what is there) or "noreplace".

        fd: a host descriptor (it may be closed afterwards); may_write: for a shared mapping, whether it is open for
        writing; origin: the file that the caller copies in.
        Raises OSError: EINVAL, ENOMEM, EEXIST, EPERM, or what the host's mmap says of the file.
        """
        if size <= 0 or offset % PAGE or (placement != "hint" and address % PAGE):
            raise _fail(errno.EINVAL)
        size = page_up(size)
        if size > self.layout.top:
            raise _fail(errno.ENOMEM)
        start = self._place(address, size, placement)
        end = start + size
        if self.limit is not None or self.ceiling is not None or self.total + size > self.large:
            self._room(size - self._mapped_within(start, end))
        if len(self.vmas) >= MAX_MAPPINGS:
            raise _fail(errno.ENOMEM)
        file = None if fd is None else MappedFile(fd, name)
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
            raise _fail(errno.ENOMEM)
        if address < self.layout.lowest:
            raise _fail(errno.EPERM)
        if placement == "noreplace" and self.vmas.overlapping(address, address + size):
            raise _fail(errno.EEXIST)
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
                raise _fail(errno.ENOMEM)
            above = below.start
            end = min(end, below.start - (STACK_GUARD_GAP if below.grows_down else 0))

    def _is_backed(self, start: int, end: int) -> bool:
        return any(window.start <= start and end <= window.end for window in self.windows)

    def unmap(self, address: int, size: int) -> None:
        """munmap(2). Raises OSError (EINVAL)."""
        start, end = address, address + page_up(size)
        if address % PAGE or size <= 0 or end > self.layout.top:
            raise _fail(errno.EINVAL)
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
            raise _fail(errno.EINVAL)
        start, end = address, address + page_up(size)
        if start == end:
            return
        if not self.vmas.covers(start, end):
            raise _fail(errno.ENOMEM)
        if prot & PROT_WRITE and not all(vma.may_write for vma in self.vmas.overlapping(start, end)):
            raise _fail(errno.EACCES)
        for part in self.vmas.remove(start, end):
            self.vmas.insert(replace(part, prot=prot))
        self.listener.changed(start, end)

    def remap(
        self, address: int, old_size: int, new_size: int, *, may_move: bool, new_address: int | None = None
    ) -> int:
        """mremap(2): returns the new address. new_address: MREMAP_FIXED. Raises OSError (EINVAL, EFAULT, ENOMEM)."""
        old_size, new_size = page_up(old_size), page_up(new_size)
        if address % PAGE or not new_size or not old_size or (new_address is not None and new_address % PAGE):
            raise _fail(errno.EINVAL)
        vma = self.vmas.find(address)
        if vma is None or address + old_size > vma.end:
            raise _fail(errno.EFAULT)
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
                raise _fail(errno.ENOMEM)
            target = self.find_gap(new_size)
        else:
            if new_address < address + old_size and address < new_address + new_size:
                raise _fail(errno.EINVAL)
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
            raise _fail(errno.ENOMEM)

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
            raise _fail(errno.EINVAL)
        end = address + page_up(size)
        for vma in self.vmas.overlapping(address, end):
            start, stop = max(vma.start, address), min(vma.end, end)
            self._window(start).discard(start, stop - start)
            if vma.prot & PROT_EXEC:
                self.listener.code_written(start, stop)
        if not self.vmas.covers(address, end):
            raise _fail(errno.ENOMEM)

    def sync(self, address: int, size: int, flags: int) -> None:
        """msync(2). Raises OSError (EINVAL, ENOMEM)."""
        if address % PAGE:
            raise _fail(errno.EINVAL)
        end = address + page_up(size)
        if not self.vmas.covers(address, end):
            raise _fail(errno.ENOMEM)
        for vma in self.vmas.overlapping(address, end):
            if vma.file is not None and vma.shared:
                start, stop = max(vma.start, address), min(vma.end, end)
                self._window(start).sync(start, stop - start, flags)

    # -- heap and stack -----------------------------------------------------------------------------------------------

    def start_brk(self, address: int) -> None:
        """Where the heap begins (exec: the page after the program's bss)."""
        self.brk_start = self.brk = page_up(address)

    def set_brk(self, address: int) -> int:
        """brk(2): returns the break, which is the old one if the request cannot be met."""
        if address < self.brk_start:
            return self.brk
        old, new = page_up(self.brk), page_up(address)
        try:
            if new > old:
                # one page is left free above the heap, as Linux's check for a mapping that is too close does
                if not self.is_free(old, new + PAGE):
                    return self.brk
                self.map(old, new - old, PROT_READ | PROT_WRITE, placement="noreplace", name="[heap]")
            elif new < old:
                self.unmap(new, old - new)
        except OSError:
            return self.brk
        self.brk = address
        return address

    def below_stack(self, address: int) -> bool:
        """Whether an unmapped address is where a stack would have grown to: what a stack overflow hits."""
        above = self.vmas.next_above(address)
        return above is not None and above.grows_down and above.start - address <= STACK_GUARD_GAP

    def grow_stack(self, address: int) -> bool:
        """Extends the stack down to `address` if it is below one and within its limit (expand_stack)."""
        vma = self.vmas.next_above(address)
        if vma is None or not vma.grows_down or self.vmas.find(address) is not None:
            return False
        start = page_down(address)
        top = vma.end
        if top - start > self.stack_limit or start < self.layout.lowest:
            return False
        below = self.vmas.last_below(start)
        if below is not None and below.prot and start - below.end < STACK_GUARD_GAP:
            return False
        allowed = min(self.limit or 1 << 64, self.ceiling or 1 << 64)
        if self.total + vma.start - start > allowed:
            return False
        grown = replace(vma, start=start, end=vma.start)
        self._back(grown)
        self.vmas.insert(grown)
        return True

"""AddressSpace: the memory of one guest process: its mappings (mappings.py), the accesses of the kernel to them, heap and stack.

Errors: MemoryFault for an access that the guest may not make (EFAULT in a system call); OSError with Linux's errno for a
mapping call that fails.
Source: mm/mmap.c, mm/memory.c of Linux; brk(2).
"""

from __future__ import annotations

import errno

from uselib.linker.quick_dataclass import replace
from uselib.loader.memory.access import MemoryCeiling, MemoryFault, allows
from uselib.loader.memory.layout import LAYOUTS, MMAP_MIN, STACK_GUARD_GAP, MemoryLayout, page_down, page_up
from uselib.loader.memory.lending import Lending
from uselib.loader.memory.mappings import os_error
from uselib.loader.memory.remapping import Remapping
from uselib.loader.memory.vma import PAGE, PROT_EXEC, PROT_READ, PROT_WRITE, FileIdentity, Vma

__all__ = [
    "MMAP_MIN", "PAGE", "PROT_EXEC", "PROT_READ", "PROT_WRITE", "AddressSpace", "MemoryCeiling", "MemoryFault", "Vma",
    "page_down", "page_up",
]  # fmt: skip


class AddressSpace(Remapping, Lending):
    """See the module's docstring. limit: bytes that may be mapped in all; more is ENOMEM (RLIMIT_AS). ceiling: likewise,
    but more raises MemoryCeiling. stack_limit: bytes that a stack may grow to (RLIMIT_STACK)."""

    def __init__(
        self, bits: int, *, limit: int | None = None, ceiling: int | None = None, stack_limit: int = 8 << 20,
        layout: MemoryLayout | None = None,
    ) -> None:  # fmt: skip
        super().__init__(layout or LAYOUTS[bits], limit, ceiling)
        self.stack_limit = stack_limit
        self.brk_start = self.brk = 0

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
            if (backing := vma.backing) is not None:
                of_file = of_file or vma.file is not None
                present = (
                    vma.start + page_up(backing.size()) - vma.offset
                )  # the address behind the last page that is there
                if min(end, vma.end) > present:
                    raise MemoryFault(max(position, present), access, mapped=True, beyond_file=True)
            position = vma.end
        return of_file

    def recover_lost(self) -> int | None:
        """After an access of this process's to pages of a file: the first of those that were not there, and the mapping is as before."""
        first: int | None = None
        while page := self.listener.lost_page():
            window = self.windows.of_host(page)
            vma = self.vmas.find(page - window.delta) if window is not None else None
            if window is not None and vma is not None:
                at = page - window.delta
                self._back(vma.cut(at, at + PAGE))
                first = at if first is None else min(first, at)
        return first

    @staticmethod
    def _whole(done: bytes | bytearray | memoryview, address: int, size: int, access: str) -> bytes:
        """The bytes of an access of which so much was done. Raises MemoryFault unless that is all."""
        if len(done) < size:
            raise MemoryFault(page_up(address + len(done)), access, mapped=True, beyond_file=True)
        return bytes(done)

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
            if not of_file:
                return window.read(address, size)
            if not self.listener.catches_faults:
                return self._whole(window.read_of_file(address, size), address, size, "read")
            data = window.read(address, size)
            self._check_lost("read")
            return data
        return window.read(address, window.end - address) + self.read(window.end, address + size - window.end)

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Raises MemoryFault; then nothing has been written, unless the file behind the range became shorter in the middle."""
        self._store(address, data, self.check(address, len(data), "write"))

    def exchange_word(self, address: int, expected: int, value: int) -> int:
        """An aligned word of 4 bytes becomes `value` if it is `expected`, at once for all processes that share the memory (where the host
        has a machine that can do it). Returns what it was. Raises MemoryFault."""
        of_file = self.check(address, 4, "write")
        found = self.listener.exchange_word(self.host_address(address), expected, value)
        if found is None:
            found = int.from_bytes(self.read(address, 4), "little")
            if found == expected:
                self.write(address, value.to_bytes(4, "little"))
        elif of_file:
            self._check_lost("write")
        return found

    def peek(self, address: int, size: int) -> bytes:
        """Reads whatever the permissions are, within one page. Raises MemoryFault if it is not mapped, or the file does not reach so far."""
        vma = self.vmas.find(address)
        if vma is None:
            raise MemoryFault(address, "read")
        window = self._window(address)
        if vma.file is None:
            return window.read(address, size)
        return self._whole(window.read_of_file(address, size), address, size, "read")

    def poke(self, address: int, data: bytes) -> None:
        """Writes whatever the permissions are (the loader clearing a bss tail). The range must be mapped. Raises MemoryFault if
        the file does not reach so far."""
        vma = self.vmas.find(address)
        self._store(address, data, vma is not None and vma.file is not None)

    def _store(self, address: int, data: bytes | bytearray | memoryview, of_file: bool) -> None:
        if not len(data):
            return
        window = self._window(address)
        if address + len(data) > window.end:
            first = window.end - address
            self._store(address, data[:first], of_file)
            self._store(window.end, data[first:], of_file)
            return
        if of_file and not self.listener.catches_faults:
            self._whole(data[: window.write_of_file(address, data)], address, len(data), "write")
        else:
            window.write(address, data)
            if of_file:
                self._check_lost("write")
        vma = self.vmas.find(address)
        if vma is not None and (vma.prot & PROT_EXEC or vma.shared or address + len(data) > vma.end):
            self.listener.code_written(address, address + len(data))

    def views(self, address: int, size: int) -> list[memoryview]:
        """Writable host memory behind a range that the guest may write (for reading files without a copy), most often in one piece.

        Raises MemoryFault.
        """
        self.check(address, size, "write")
        vma = self.vmas.find(address)
        if vma is not None and (vma.prot & PROT_EXEC or vma.shared or address + size > vma.end):
            self.listener.code_written(address, address + size)
        return [window.view(start, end - start) for window, start, end in self.windows.pieces(address, address + size)]

    def host_address(self, address: int) -> int:
        """Where the host has the byte at a guest address. Raises MemoryFault if it lies in no window."""
        return address + self._window(address).delta

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
        raise os_error(errno.ENAMETOOLONG)

    def file_changed(self, identity: FileIdentity) -> None:
        """A file has been written: code that is mapped from it is not to be executed from what the CPU has kept of it."""
        self.listener.file_changed(identity)

    def forget_shortened(self) -> None:
        """Some file may have become shorter: likewise for all code that was mapped from its last page on."""
        for vma in self.vmas:
            if vma.file is not None and vma.prot & PROT_EXEC:
                end = vma.start + page_down(vma.file.size()) - vma.offset
                if end < vma.end:
                    self._changed(max(end, vma.start), vma.end)

    # -- heap and stack -----------------------------------------------------------------------------------------------

    def start_brk(self, address: int) -> None:
        """Where the heap begins (exec: the page after the program's bss)."""
        self.brk_start = self.brk = page_up(address)

    def set_brk(self, address: int) -> int:
        """brk(2): returns the break, which is the old one if the request cannot be met."""
        if address < self.brk_start:
            return self.brk
        old, new = page_up(self.brk), page_up(address)
        if self.data_limit is not None and address - self.brk_start > self.data_limit:
            return self.brk
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
        self._ensure(start, vma.start)
        self._back(grown)
        self.vmas.insert(grown)
        return True

"""ProcessMemory: the open file of /proc/self/mem. Offsets are addresses; permissions of pages do not matter, except that shared memory without
write permission cannot be written. Source: mem_rw in fs/proc/base.c of Linux, access_remote_vm and check_vma_flags in mm/.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.vfs.descriptions import Description, FileUser
from uselib.emulator.kernel.vfs.places import SyntheticFile
from uselib.loader.memory.address_space import PAGE, AddressSpace, MemoryFault
from uselib.loader.memory.vma import PROT_WRITE

_END = 1 << 63


def peek(memory: AddressSpace, address: int, size: int) -> bytes:
    """The bytes from an address on, up to the first that is not mapped."""
    found = b""
    while len(found) < size:
        at = address + len(found)
        try:
            found += memory.peek(at, min(size - len(found), PAGE - at % PAGE))
        except MemoryFault:
            break
    return found


def poke(memory: AddressSpace, address: int, data: bytes) -> int:
    """Writes up to the first byte that cannot be written. Returns the number of bytes."""
    done = 0
    while done < len(data):
        at = address + done
        part = data[done : done + PAGE - at % PAGE]
        vma = memory.vmas.find(at)
        if vma is None or (vma.shared and not vma.prot & PROT_WRITE):
            break
        try:
            memory.poke(at, part)
        except MemoryFault:
            break
        done += len(part)
    return done


class ProcessMemory(Description):
    """The host's descriptor is an empty file that has the offset, which children share."""

    def __init__(self, path: bytes, flags: int, special: SyntheticFile) -> None:
        super().__init__(os.memfd_create("memory", os.MFD_CLOEXEC), path, flags)
        self.special = special

    def _transfer(self, process: FileUser, address: int, count: int, at: int, write: bool) -> int:
        """Between the process's buffer and the memory at `at`, in pieces of at most a page. Raises GuestError(EIO), MemoryFault."""
        done = 0
        while done < count and at + done < _END:
            size = min(count - done, PAGE)
            if write:
                moved = poke(process.memory, at + done, process.memory.read(address + done, size))
            else:
                data = peek(process.memory, at + done, size)
                process.memory.write(address + done, data)
                moved = len(data)
            done += moved
            if moved < size:
                break
        if count and not done:
            raise GuestError(errno.EIO)
        return done

    def _move(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None, write: bool) -> int:
        if self.flags & C.O_ACCMODE == (C.O_RDONLY if write else C.O_WRONLY):
            raise GuestError(errno.EBADF)
        at, total = os.lseek(self.fd, 0, os.SEEK_CUR) if offset is None else offset, 0
        for address, size in parts:
            try:
                done = self._transfer(process, address, size, at + total, write)
            except (GuestError, MemoryFault):
                if not total:
                    raise
                break
            total += done
            if done < size:
                break
        if offset is None:
            os.lseek(self.fd, min(at + total, _END - 1), os.SEEK_SET)
        return total

    def read(self, process: FileUser, address: int, count: int) -> int:
        return self._move(process, [(address, count)], None, False)

    def readv(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        return self._move(process, parts, offset, False)

    def write(self, process: FileUser, address: int, count: int) -> int:
        return self._move(process, [(address, count)], None, True)

    def writev(self, process: FileUser, parts: Sequence[tuple[int, int]], offset: int | None) -> int:
        return self._move(process, parts, offset, True)

    def seek(self, process: FileUser, offset: int, whence: int) -> int:
        if whence not in (os.SEEK_SET, os.SEEK_CUR):
            raise GuestError(errno.EINVAL)
        return os.lseek(self.fd, offset, whence)

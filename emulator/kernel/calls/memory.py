"""Memory: brk, mmap, munmap, mprotect, mremap, madvise, msync and the calls that only have to succeed."""

from __future__ import annotations

import errno
import stat

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall, Undo
from uselib.linker.image import Machine
from uselib.loader.memory.address_space import PAGE, PROT_EXEC, PROT_READ, PROT_WRITE, page_up

MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_TYPE = 1, 2, 3, 0xF
MAP_FIXED, MAP_ANONYMOUS, MAP_32BIT, MAP_GROWSDOWN = 0x10, 0x20, 0x40, 0x100
MAP_FIXED_NOREPLACE = 0x100000
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
MADV_DONTNEED, MADV_FREE = 4, 8
MADV_KNOWN = frozenset({0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23})
PROT_KNOWN = PROT_READ | PROT_WRITE | PROT_EXEC
_MINCORE_PIECE = 1 << 16  # bytes of the vector written at a time
MS_ASYNC, MS_INVALIDATE, MS_SYNC = 1, 2, 4


def sys_brk(process: Process, address: int) -> int:
    return process.memory.set_brk(address)


def sys_mmap(process: Process, address: int, size: int, prot: int, flags: int, fd: int, offset: int) -> int:
    """mmap(2), offset in bytes."""
    kind = flags & MAP_TYPE
    if not size or offset % PAGE or kind not in (MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE):
        raise GuestError(errno.EINVAL)
    shared = kind != MAP_PRIVATE
    placement = "noreplace" if flags & MAP_FIXED_NOREPLACE else "fixed" if flags & MAP_FIXED else "hint"
    if placement != "hint" and address % PAGE:
        raise GuestError(errno.EINVAL)
    host: int | None = None
    may_write, name, mutable = True, "", False
    if not flags & MAP_ANONYMOUS:
        description = process.files.get(fd)
        host = description.host()
        if not stat.S_ISREG(description.status().st_mode):
            raise GuestError(errno.ENODEV)
        access = description.flags & C.O_ACCMODE
        if access == C.O_WRONLY:
            raise GuestError(errno.EACCES)
        may_write = not shared or access == C.O_RDWR
        if prot & PROT_WRITE and not may_write:
            raise GuestError(errno.EACCES)
        name, mutable = description.path.decode("utf-8", "surrogateescape"), description.mutable
    return process.memory.map(
        address,
        size,
        prot & PROT_KNOWN,
        fd=host,
        offset=offset,
        shared=shared,
        placement=placement,
        name=name,
        may_write=may_write,
        mutable=mutable,
    )


def sys_mmap2(process: Process, address: int, size: int, prot: int, flags: int, fd: int, page: int) -> int:
    """i386: offset in pages of 4096 bytes."""
    return sys_mmap(process, address, size, prot, flags, fd, page * PAGE)


def sys_old_mmap(process: Process, block: int) -> int:
    """i386's first mmap: the six arguments are in memory."""
    data = process.memory.read(block, 24)
    address, size, prot, flags, fd, offset = (int.from_bytes(data[i : i + 4], "little") for i in range(0, 24, 4))
    return sys_mmap(process, address, size, prot, flags, fd - (fd >> 31 << 32), offset)


def sys_munmap(process: Process, address: int, size: int) -> int:
    process.memory.unmap(address, size)
    return 0


def sys_mprotect(process: Process, address: int, size: int, prot: int) -> int:
    if prot & ~(PROT_KNOWN | 0x8):
        raise GuestError(errno.EINVAL)
    process.memory.protect(address, size, prot & PROT_KNOWN)
    return 0


def sys_mremap(process: Process, address: int, old_size: int, new_size: int, flags: int, new_address: int) -> int:
    if flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED) or (flags & MREMAP_FIXED and not flags & MREMAP_MAYMOVE):
        raise GuestError(errno.EINVAL)
    may_move, target = bool(flags & MREMAP_MAYMOVE), new_address if flags & MREMAP_FIXED else None
    return process.memory.remap(address, old_size, new_size, may_move=may_move, new_address=target)


def sys_madvise(process: Process, address: int, size: int, advice: int) -> int:
    """MADV_DONTNEED changes what is read afterwards; all else is advice."""
    if address % PAGE or advice not in MADV_KNOWN:
        raise GuestError(errno.EINVAL)
    if advice == MADV_DONTNEED:
        process.memory.discard(address, size)
    return 0


def sys_msync(process: Process, address: int, size: int, flags: int) -> int:
    if flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) or (flags & MS_ASYNC and flags & MS_SYNC):
        raise GuestError(errno.EINVAL)
    process.memory.sync(address, size, flags)
    return 0


def sys_mincore(process: Process, address: int, size: int, vector: int) -> int:
    """Every mapped page is in memory."""
    if address % PAGE:
        raise GuestError(errno.EINVAL)
    end = address + page_up(size)
    if not process.memory.vmas.covers(address, end):
        raise GuestError(errno.ENOMEM)
    count, done = (end - address) // PAGE, 0
    while done < count:  # in pieces: the vector of a large range need not be there
        piece = min(count - done, _MINCORE_PIECE)
        process.memory.write(vector + done, b"\1" * piece)
        done += piece
    return 0


def sys_membarrier(process: Process, command: int, flags: int, cpu: int) -> int:
    """One thread needs no barriers; no command is offered."""
    if command == 0:
        return 0
    raise GuestError(errno.EINVAL)


def nothing(process: Process, *_arguments: int) -> int:
    """mlock and its kin: all memory is as good as locked."""
    return 0


_PROT, _MAP = a.flags("prot"), a.flags("map")

MEMORY = (
    Syscall("brk", sys_brk, (a.PTR,), undo=Undo.MEMORY),
    Syscall("mmap", sys_mmap, (a.PTR, a.SIZE, _PROT, _MAP, a.FD, a.SIZE), Machine.X86_64, undo=Undo.MEMORY),
    Syscall("mmap", sys_old_mmap, (a.PTR,), Machine.I386, undo=Undo.MEMORY),
    Syscall("mmap2", sys_mmap2, (a.PTR, a.SIZE, _PROT, _MAP, a.FD, a.SIZE), undo=Undo.MEMORY),
    Syscall("munmap", sys_munmap, (a.PTR, a.SIZE), undo=Undo.MEMORY),
    Syscall("mprotect", sys_mprotect, (a.PTR, a.SIZE, _PROT), undo=Undo.MEMORY),
    Syscall("mremap", sys_mremap, (a.PTR, a.SIZE, a.SIZE, a.flags("mremap"), a.PTR), undo=Undo.MEMORY),
    Syscall("madvise", sys_madvise, (a.PTR, a.SIZE, a.choice("madvise")), undo=Undo.MEMORY),
    Syscall("msync", sys_msync, (a.PTR, a.SIZE, a.INT)),
    Syscall("mincore", sys_mincore, (a.PTR, a.SIZE, a.PTR_OUT)),
    Syscall("mlock", nothing, (a.PTR, a.SIZE)),
    Syscall("munlock", nothing, (a.PTR, a.SIZE)),
    Syscall("mlockall", nothing, (a.INT,)),
    Syscall("munlockall", nothing),
    Syscall("mlock2", nothing, (a.PTR, a.SIZE, a.INT)),
    Syscall("membarrier", sys_membarrier, (a.INT, a.INT, a.INT)),
)

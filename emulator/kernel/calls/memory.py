"""Memory: brk, mmap, munmap, mprotect, mremap, madvise, msync, mincore, mlock.

Source: mm/mmap.c, mm/mprotect.c, mm/madvise.c, mm/mlock.c of Linux, for the order of the checks.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall, Undo
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import dataclass
from uselib.loader.memory.address_space import PAGE, PROT_EXEC, PROT_READ, PROT_WRITE, Vma, page_up

MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_TYPE = 1, 2, 3, 0xF
MAP_FIXED, MAP_ANONYMOUS, MAP_32BIT, MAP_GROWSDOWN = 0x10, 0x20, 0x40, 0x100
MAP_LOCKED, MAP_HUGETLB, MAP_FIXED_NOREPLACE = 0x2000, 0x40000, 0x100000
MAP_KNOWN = 0x7C07F97F | 0x4000000  # LEGACY_MAP_MASK: the flags that MAP_SHARED_VALIDATE accepts
PROT_SEM, PROT_GROWSDOWN, PROT_GROWSUP = 0x8, 0x1000000, 0x2000000
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
PROT_KNOWN = PROT_READ | PROT_WRITE | PROT_EXEC
_MINCORE_PIECE = 1 << 16  # bytes of the vector written at a time
MS_ASYNC, MS_INVALIDATE, MS_SYNC = 1, 2, 4
MLOCK_ONFAULT = 1
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
_DEV_ZERO = os.makedev(1, 5)
_ADDRESSES = 1 << 64


def sys_brk(process: Process, address: int) -> int:
    return process.memory.set_brk(address)


@dataclass(frozen=True)
class _Mapped:
    """What a descriptor contributes to a mapping. fd: None for anonymous memory (/dev/zero)."""

    fd: int | None = None
    name: str = ""
    may_write: bool = True
    mutable: bool = False


_NOTHING = _Mapped()


def _mapped(process: Process, fd: int, prot: int, flags: int, shared: bool) -> _Mapped:
    """Raises GuestError: EBADF, ENODEV, EACCES, EINVAL, EOPNOTSUPP."""
    description = process.files.get(fd)
    host = description.host()
    status = description.status()
    if flags & MAP_HUGETLB:
        raise GuestError(errno.EINVAL)
    if flags & MAP_TYPE == MAP_SHARED_VALIDATE and flags & ~MAP_KNOWN:
        raise GuestError(errno.EOPNOTSUPP)
    access = description.flags & C.O_ACCMODE
    may_write = not shared or access == C.O_RDWR
    if access == C.O_WRONLY or (prot & PROT_WRITE and not may_write):
        raise GuestError(errno.EACCES)
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == _DEV_ZERO:
        return _NOTHING
    if not stat.S_ISREG(status.st_mode):
        raise GuestError(errno.ENODEV)
    if flags & MAP_GROWSDOWN:
        raise GuestError(errno.EINVAL)
    return _Mapped(host, description.path.decode("utf-8", "surrogateescape"), may_write, description.mutable)


def sys_mmap(process: Process, address: int, size: int, prot: int, flags: int, fd: int, offset: int) -> int:
    """mmap(2), offset in bytes."""
    kind, anonymous = flags & MAP_TYPE, bool(flags & MAP_ANONYMOUS)
    if offset % PAGE:
        raise GuestError(errno.EINVAL)
    mapped = _NOTHING if anonymous else _mapped(process, fd, prot, flags, kind != MAP_PRIVATE)
    if not size or kind not in (MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE):
        raise GuestError(errno.EINVAL)
    if anonymous and flags & MAP_HUGETLB:
        raise GuestError(errno.ENOMEM)  # there are no huge pages
    if anonymous and (kind == MAP_SHARED_VALIDATE or (kind == MAP_SHARED and flags & MAP_GROWSDOWN)):
        raise GuestError(errno.EINVAL)
    placement = "noreplace" if flags & MAP_FIXED_NOREPLACE else "fixed" if flags & MAP_FIXED else "hint"
    if flags & MAP_LOCKED and not process.memory.lock_limit and process.memory.lock_limit is not None:
        raise GuestError(errno.EPERM)
    return process.memory.map(
        address,
        size,
        prot & PROT_KNOWN,
        fd=mapped.fd,
        offset=offset,
        shared=kind != MAP_PRIVATE,
        placement=placement,
        name=mapped.name or ("/dev/zero (deleted)" if kind != MAP_PRIVATE else ""),
        may_write=mapped.may_write,
        mutable=mapped.mutable,
        grows_down=bool(flags & MAP_GROWSDOWN),
        low=process.memory.layout.bits == 64 and (bool(flags & MAP_32BIT) or process.machine is Machine.I386),
        locked=bool(flags & MAP_LOCKED),
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
    """mprotect(2). The kernel computes in 64 bits, also for 32-bit programs."""
    grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP)
    if grows == PROT_GROWSDOWN | PROT_GROWSUP or address % PAGE:
        raise GuestError(errno.EINVAL)
    if not size:
        return 0
    end = (address + page_up(size) % _ADDRESSES) % _ADDRESSES
    if end <= address:
        raise GuestError(errno.ENOMEM)
    if prot & ~(PROT_KNOWN | PROT_SEM | grows):
        raise GuestError(errno.EINVAL)
    if grows:
        vma = process.memory.find(address) or process.memory.vmas.next_above(address)
        if vma is None or vma.start >= end or (grows == PROT_GROWSUP and vma.start > address):
            raise GuestError(errno.ENOMEM)
        if grows == PROT_GROWSUP or not vma.grows_down:
            raise GuestError(errno.EINVAL)
        address = vma.start
    process.memory.protect(address, end - address, prot & PROT_KNOWN)
    return 0


def sys_mremap(process: Process, address: int, old_size: int, new_size: int, flags: int, new_address: int) -> int:
    moves = flags & MREMAP_MAYMOVE
    if flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP):
        raise GuestError(errno.EINVAL)
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) and not moves:
        raise GuestError(errno.EINVAL)
    target = new_address if flags & MREMAP_FIXED else None
    return process.memory.remap(
        address,
        old_size,
        new_size,
        may_move=bool(moves),
        new_address=target,
        keep=bool(flags & MREMAP_DONTUNMAP),
    )


def _private_anonymous(vma: Vma) -> int:
    return 0 if vma.file is None and not vma.shared else errno.EINVAL


def _not_locked(vma: Vma) -> int:
    return errno.EINVAL if vma.locked else 0


def _removable(vma: Vma) -> int:
    if vma.locked or vma.backing is None:
        return errno.EINVAL
    return 0 if vma.shared and vma.may_write else errno.EACCES


def _readable(vma: Vma) -> int:
    return 0 if vma.prot else errno.EINVAL


def _writable(vma: Vma) -> int:
    return 0 if vma.prot & PROT_WRITE else errno.EINVAL


@dataclass(frozen=True)
class _Advice:
    """What an advice does. wrong: the function that gives the error for a mapping, or 0. host: the advice goes to the host too, since it
    changes what is read.
    """

    wrong: Callable[[Vma], int] = lambda vma: 0
    host: bool = False
    forked: bool | None = None


# All other known values are advice about speed, which has no effect here.
_ADVICES = {
    **dict.fromkeys((0, 1, 2, 3, 12, 13, 14, 15, 16, 17), _Advice()),
    4: _Advice(_not_locked, host=True),  # MADV_DONTNEED
    8: _Advice(_private_anonymous),  # MADV_FREE: the pages may stay
    9: _Advice(_removable, host=True),  # MADV_REMOVE
    10: _Advice(forked=False),  # MADV_DONTFORK
    11: _Advice(forked=True),
    18: _Advice(_private_anonymous, host=True),  # MADV_WIPEONFORK
    19: _Advice(_private_anonymous, host=True),
    20: _Advice(_not_locked),  # MADV_COLD
    21: _Advice(_not_locked),
    22: _Advice(_readable),  # MADV_POPULATE_READ
    23: _Advice(_writable),
}


def sys_remap_file_pages(process: Process, address: int, size: int, prot: int, page: int, flags: int) -> int:
    if prot:
        raise GuestError(errno.EINVAL)
    process.memory.rearrange(address & -PAGE, size & -PAGE, page * PAGE)
    return 0


def sys_madvise(process: Process, address: int, size: int, advice: int) -> int:
    known = _ADVICES.get(advice)
    end = address + page_up(size)
    if known is None or address % PAGE or end > _ADDRESSES or end > process.memory.layout.top + PAGE:
        raise GuestError(errno.EINVAL if known is None or address % PAGE or end > _ADDRESSES else errno.ENOMEM)
    if not size:
        return 0
    if known.forked is not None:
        process.memory.set_forked(address, size, known.forked)
    else:
        process.memory.advise(address, size, advice, known.wrong, host=known.host)
    return 0


def sys_msync(process: Process, address: int, size: int, flags: int) -> int:
    if flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) or (flags & MS_ASYNC and flags & MS_SYNC):
        raise GuestError(errno.EINVAL)
    if address % PAGE == 0 and address + page_up(size) > _ADDRESSES:
        raise GuestError(errno.ENOMEM)
    process.memory.sync(address, size, flags & ~MS_INVALIDATE, invalidate=bool(flags & MS_INVALIDATE))
    return 0


def sys_mincore(process: Process, address: int, size: int, vector: int) -> int:
    """Says that every mapped page is in memory."""
    if address % PAGE:
        raise GuestError(errno.EINVAL)
    end = address + page_up(size)
    if not process.memory.vmas.covers(address, end):
        raise GuestError(errno.ENOMEM)
    count, done = (end - address) // PAGE, 0
    while done < count:  # in pieces: the memory for the vector may end early
        piece = min(count - done, _MINCORE_PIECE)
        process.memory.write(vector + done, b"\1" * piece)
        done += piece
    return 0


def _pages(address: int, size: int) -> tuple[int, int]:
    """The pages of a range. Raises GuestError (EINVAL)."""
    start = address & -PAGE
    end = start + page_up(size + address - start) % _ADDRESSES
    if end > _ADDRESSES:
        raise GuestError(errno.EINVAL)
    return start, end


def _check_may_lock(process: Process) -> None:
    """Raises GuestError (EPERM)."""
    if process.memory.lock_limit == 0:
        raise GuestError(errno.EPERM)


def sys_mlock(process: Process, address: int, size: int) -> int:
    _check_may_lock(process)
    process.memory.lock(*_pages(address, size), locked=True)
    return 0


def sys_mlock2(process: Process, address: int, size: int, flags: int) -> int:
    if flags & ~MLOCK_ONFAULT:
        raise GuestError(errno.EINVAL)
    return sys_mlock(process, address, size)


def sys_munlock(process: Process, address: int, size: int) -> int:
    process.memory.lock(*_pages(address, size), locked=False)
    return 0


def sys_mlockall(process: Process, flags: int) -> int:
    if not flags or flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) or flags == MCL_ONFAULT:
        raise GuestError(errno.EINVAL)
    _check_may_lock(process)
    if flags & MCL_CURRENT:
        process.memory.lock_all(locked=True)
    process.memory.lock_new = bool(flags & MCL_FUTURE)
    return 0


def sys_munlockall(process: Process) -> int:
    process.memory.lock_new = False
    process.memory.lock_all(locked=False)
    return 0


_PROT, _MAP = a.flags("prot"), a.flags("map")

ROWS = (
    Syscall("brk", sys_brk, (a.PTR,), undo=Undo.MEMORY),
    Syscall("mmap", sys_mmap, (a.PTR, a.SIZE, _PROT, _MAP, a.FD, a.SIZE), Machine.X86_64, undo=Undo.MEMORY),
    Syscall("mmap", sys_old_mmap, (a.PTR,), Machine.I386, undo=Undo.MEMORY),
    Syscall("mmap2", sys_mmap2, (a.PTR, a.SIZE, _PROT, _MAP, a.FD, a.SIZE), undo=Undo.MEMORY),
    Syscall("munmap", sys_munmap, (a.PTR, a.SIZE), undo=Undo.MEMORY),
    Syscall("mprotect", sys_mprotect, (a.PTR, a.SIZE, _PROT), undo=Undo.MEMORY),
    Syscall("mremap", sys_mremap, (a.PTR, a.SIZE, a.SIZE, a.flags("mremap"), a.PTR), undo=Undo.MEMORY),
    Syscall("remap_file_pages", sys_remap_file_pages, (a.PTR, a.SIZE, a.INT, a.SIZE, _MAP), undo=Undo.MEMORY),
    Syscall("madvise", sys_madvise, (a.PTR, a.SIZE, a.choice("madvise")), undo=Undo.MEMORY),
    Syscall("msync", sys_msync, (a.PTR, a.SIZE, a.INT)),
    Syscall("mincore", sys_mincore, (a.PTR, a.SIZE, a.PTR_OUT)),
    Syscall("mlock", sys_mlock, (a.PTR, a.SIZE)),
    Syscall("munlock", sys_munlock, (a.PTR, a.SIZE)),
    Syscall("mlockall", sys_mlockall, (a.INT,)),
    Syscall("munlockall", sys_munlockall),
    Syscall("mlock2", sys_mlock2, (a.PTR, a.SIZE, a.INT)),
)

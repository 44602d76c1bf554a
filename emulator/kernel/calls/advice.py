"""Calls about files that change no result: advice, reading ahead, writing out. The errors are those of Linux (mm/fadvise.c,
mm/readahead.c, fs/sync.c).
"""

from __future__ import annotations

import errno
import os
import stat

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import FD, OFFSET64, SIZE, choice, flags
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall
from uselib.emulator.kernel.vfs.host_files import HostFile


def sys_fadvise64(process: Process, fd: int, offset: int, size: int, advice: int) -> int:
    """Advice changes no result, so it is accepted and not stored."""
    file = process.files.get(fd)
    if file.flags & C.O_PATH:
        raise GuestError(errno.EBADF)
    if isinstance(file, HostFile) and stat.S_ISFIFO(file.status().st_mode):
        raise GuestError(errno.ESPIPE)
    if not 0 <= advice <= 5 or size >> 63:
        raise GuestError(errno.EINVAL)
    return 0


def sys_readahead(process: Process, fd: int, offset: int, size: int) -> int:
    file = process.files.get(fd)
    if file.flags & C.O_PATH or file.flags & C.O_ACCMODE == C.O_WRONLY:
        raise GuestError(errno.EBADF)
    if not isinstance(file, HostFile) or not stat.S_ISREG(file.status().st_mode):
        raise GuestError(errno.EINVAL)
    return 0


def sys_sync_file_range(process: Process, fd: int, offset: int, size: int, flags: int) -> int:
    file = process.files.get(fd)
    if file.flags & C.O_PATH:
        raise GuestError(errno.EBADF)
    if flags & ~7 or offset < 0 or size < 0:
        raise GuestError(errno.EINVAL)
    if not isinstance(file, HostFile) or file.waits:
        raise GuestError(errno.ESPIPE)
    return 0


def sys_syncfs(process: Process, fd: int) -> int:
    if process.files.get(fd).flags & C.O_PATH:
        raise GuestError(errno.EBADF)
    return 0


def sys_fsync(process: Process, fd: int) -> int:
    os.fsync(process.files.get(fd).host())
    return 0


def sys_sync(process: Process) -> int:
    """Does nothing, since the guest cannot crash the host."""
    return 0


ROWS: tuple[Syscall, ...] = (
    Syscall("fadvise64", sys_fadvise64, (FD, OFFSET64, SIZE, choice("fadvise"))),
    Syscall("fadvise64_64", sys_fadvise64, (FD, OFFSET64, OFFSET64, choice("fadvise"))),
    Syscall("readahead", sys_readahead, (FD, OFFSET64, SIZE)),
    Syscall("sync_file_range", sys_sync_file_range, (FD, OFFSET64, OFFSET64, flags("sync_file_range"))),
    Syscall("fsync", sys_fsync, (FD,)),
    Syscall("fdatasync", sys_fsync, (FD,)),
    Syscall("sync", sys_sync),
    Syscall("syncfs", sys_syncfs, (FD,)),
)

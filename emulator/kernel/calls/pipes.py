"""pipe, pipe2, eventfd."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import FD_PAIR, UINT, flags
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.table import Syscall
from uselib.emulator.kernel.vfs.host_files import HostFile

if TYPE_CHECKING:
    from uselib.emulator.kernel.process import Process


def _add_pair(
    process: Process, pair: tuple[int, int], names: tuple[bytes, bytes], modes: tuple[int, int], flags: int
) -> tuple[int, int]:
    """Makes two new descriptors, or none. Raises GuestError(EMFILE)."""
    cloexec = bool(flags & C.O_CLOEXEC)
    status = flags & C.O_NONBLOCK
    for fd in pair:
        os.set_blocking(fd, not status)
    files = [HostFile(fd, name, mode | status, mutable=True) for fd, name, mode in zip(pair, names, modes, strict=True)]
    for file in files:
        file.inside = True
    try:
        process.files.check_room(2)
    except GuestError:
        for file in files:
            file.close()
        raise
    return process.files.add(files[0], cloexec), process.files.add(files[1], cloexec)


def sys_pipe(process: Process, address: int) -> int:
    return sys_pipe2(process, address, 0)


def sys_pipe2(process: Process, address: int, flags: int) -> int:
    if flags & ~(C.O_CLOEXEC | C.O_NONBLOCK | C.O_DIRECT):
        raise GuestError(errno.EINVAL)
    process.memory.check(address, 8, "write")
    packets = os.O_DIRECT if flags & C.O_DIRECT else 0
    pair = _add_pair(
        process, os.pipe2(packets | os.O_CLOEXEC), (b"pipe:[read]", b"pipe:[write]"), (C.O_RDONLY, C.O_WRONLY), flags
    )
    process.memory.write(address, struct.pack("<ii", *pair))
    return 0


def sys_eventfd(process: Process, value: int) -> int:
    return sys_eventfd2(process, value, 0)


def sys_eventfd2(process: Process, value: int, flags: int) -> int:
    if flags & ~(1 | C.O_CLOEXEC | C.O_NONBLOCK):
        raise GuestError(errno.EINVAL)
    host = os.EFD_CLOEXEC | (os.EFD_SEMAPHORE if flags & 1 else 0) | (os.EFD_NONBLOCK if flags & C.O_NONBLOCK else 0)
    file = HostFile(os.eventfd(value, host), b"anon_inode:[eventfd]", C.O_RDWR | flags & C.O_NONBLOCK)
    file.waits = file.inside = True
    return process.files.add(file, bool(flags & C.O_CLOEXEC))


ROWS: tuple[Syscall, ...] = (
    Syscall("pipe", sys_pipe, (FD_PAIR,)),
    Syscall("pipe2", sys_pipe2, (FD_PAIR, flags("open"))),
    Syscall("eventfd", sys_eventfd, (UINT,)),
    Syscall("eventfd2", sys_eventfd2, (UINT, flags("eventfd"))),
)

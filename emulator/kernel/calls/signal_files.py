"""signalfd, signalfd4."""

from __future__ import annotations

import errno

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import INT, SIGSET, SIZE, flags
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.signals.numbers import UNBLOCKABLE
from uselib.emulator.kernel.table import Syscall
from uselib.emulator.kernel.vfs.signal_file import SignalFile


def sys_signalfd4(process: Process, fd: int, mask_at: int, size: int, flags: int) -> int:
    if size != 8 or flags & ~(C.O_CLOEXEC | C.O_NONBLOCK):
        raise GuestError(errno.EINVAL)
    mask = int.from_bytes(process.memory.read(mask_at, 8), "little") & ~UNBLOCKABLE
    if fd == -1:
        process.files.check_room()
        return process.files.add(SignalFile(process.signals, mask, flags), bool(flags & C.O_CLOEXEC))
    file = process.files.get(fd)
    if not isinstance(file, SignalFile):
        raise GuestError(errno.EINVAL)
    file.set(mask)
    return fd


def sys_signalfd(process: Process, fd: int, mask_at: int, size: int) -> int:
    return sys_signalfd4(process, fd, mask_at, size, 0)


ROWS = (
    Syscall("signalfd", sys_signalfd, (INT, SIGSET, SIZE)),
    Syscall("signalfd4", sys_signalfd4, (INT, SIGSET, SIZE, flags("signalfd"))),
)

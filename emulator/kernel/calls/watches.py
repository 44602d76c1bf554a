"""inotify_init, inotify_add_watch, inotify_rm_watch."""

from __future__ import annotations

import errno
import os
import stat

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import FD, INT, PATH, UINT, flags
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall
from uselib.emulator.kernel.vfs.watch_file import WatchFile

_DONT_FOLLOW, _ONLY_DIRECTORY, _MASK_ADD, _MASK_CREATE = 0x0200_0000, 0x0100_0000, 0x2000_0000, 0x1000_0000
_EVENTS = 0xFFF | 0x0200_0000 | 0x0100_0000 | 0x0400_0000 | 0x1000_0000 | 0x2000_0000 | 0x8000_0000


def sys_inotify_init1(process: Process, flags: int) -> int:
    if flags & ~(C.O_CLOEXEC | C.O_NONBLOCK):
        raise GuestError(errno.EINVAL)
    process.files.check_room()
    return process.files.add(WatchFile(flags), bool(flags & C.O_CLOEXEC))


def sys_inotify_init(process: Process) -> int:
    return sys_inotify_init1(process, 0)


def _watches(process: Process, fd: int) -> WatchFile:
    file = process.files.get(fd)
    if not isinstance(file, WatchFile):
        raise GuestError(errno.EINVAL)
    return file


def sys_inotify_add_watch(process: Process, fd: int, path: int, mask: int) -> int:
    if not mask & _EVENTS or (mask & _MASK_ADD and mask & _MASK_CREATE):
        raise GuestError(errno.EINVAL)
    file = _watches(process, fd)
    name = process.memory.read_string(path, C.PATH_MAX)
    found = process.fs.existing(None, name, follow=not mask & _DONT_FOLLOW)
    if mask & _ONLY_DIRECTORY and found.directory is None:
        raise GuestError(errno.ENOTDIR)
    handle = found.directory.handle if found.directory is not None else found.handle
    if handle is None:  # files made here never change in a way that inotify reports
        raise GuestError(errno.EACCES)
    mode = os.fstat(handle.fd).st_mode
    wanted = mask & ~_DONT_FOLLOW if not stat.S_ISLNK(mode) else mask
    return file.add(handle.fd, wanted)


def sys_inotify_rm_watch(process: Process, fd: int, watch: int) -> int:
    _watches(process, fd).remove(watch)
    return 0


ROWS = (
    Syscall("inotify_init", sys_inotify_init),
    Syscall("inotify_init1", sys_inotify_init1, (flags("signalfd"),)),
    Syscall("inotify_add_watch", sys_inotify_add_watch, (FD, PATH, flags("inotify", UINT.width))),
    Syscall("inotify_rm_watch", sys_inotify_rm_watch, (FD, INT)),
)

"""The calls that change an inode: chmod, chown, utimes. They work below writable grants only, else EROFS."""

from __future__ import annotations

import errno
import os

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import DIRFD, FD, MODE, PATH, UID, flags, struct_in, struct_pair
from uselib.emulator.kernel.calls.files import path_at
from uselib.emulator.kernel.clock import SECOND
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Effect, Syscall
from uselib.emulator.kernel.vfs import inodes
from uselib.emulator.kernel.vfs.places import Found

_TIME_MOST = 1 << 62  # ns: file systems clamp times to what they can store
_UTIME_NOW, _UTIME_OMIT = 0x3FFFFFFF, 0x3FFFFFFE


def _path(process: Process, address: int) -> bytes:
    return process.memory.read_string(address, C.PATH_MAX)


# chmod, chown


def sys_chmod(process: Process, path: int, mode: int) -> int:
    inodes.chmod(process.fs, None, _path(process, path), mode)
    return 0


def _mutable(process: Process, fd: int) -> int:
    """The host descriptor of an inode that may be changed. Raises GuestError(EROFS, EBADF)."""
    file = process.files.get(fd)
    host = file.host()
    if not file.mutable:
        raise GuestError(errno.EROFS)
    return host


def sys_fchmod(process: Process, fd: int, mode: int) -> int:
    host, rights = _mutable(process, fd), process.fs.rights
    status = os.fstat(host)
    rights.check_owner(status)
    os.fchmod(host, mode & 0o1777)
    rights.change_mode(status, mode)
    return 0


def sys_fchmodat(process: Process, dirfd: int, path: int, mode: int) -> int:
    at, name = path_at(process, dirfd, path)
    inodes.chmod(process.fs, at, name, mode)
    return 0


def sys_fchmodat2(process: Process, dirfd: int, path: int, mode: int, flags: int) -> int:
    if flags & ~(C.AT_SYMLINK_NOFOLLOW | C.AT_EMPTY_PATH):
        raise GuestError(errno.EINVAL)
    if flags & C.AT_EMPTY_PATH and not _path(process, path):
        inodes.chmod(process.fs, None, b"." if dirfd == C.AT_FDCWD else b"/proc/self/fd/%d" % dirfd, mode)
        return 0
    at, name = path_at(process, dirfd, path)
    inodes.chmod(process.fs, at, name, mode, not flags & C.AT_SYMLINK_NOFOLLOW)
    return 0


def _chown(process: Process, found: Found, uid: int, gid: int) -> int:
    status = process.fs.status(found)
    inodes.change(found, lambda name, parent: process.fs.rights.change_owner(status, uid, gid))
    return 0


def sys_chown(process: Process, path: int, uid: int, gid: int) -> int:
    return _chown(process, process.fs.existing(None, _path(process, path)), uid, gid)


def sys_lchown(process: Process, path: int, uid: int, gid: int) -> int:
    return _chown(process, process.fs.existing(None, _path(process, path), follow=False), uid, gid)


def sys_fchown(process: Process, fd: int, uid: int, gid: int) -> int:
    process.fs.rights.change_owner(os.fstat(_mutable(process, fd)), uid, gid)
    return 0


def sys_fchownat(process: Process, dirfd: int, path: int, uid: int, gid: int, flags: int) -> int:
    if flags & ~(C.AT_SYMLINK_NOFOLLOW | C.AT_EMPTY_PATH):
        raise GuestError(errno.EINVAL)
    if flags & C.AT_EMPTY_PATH and not _path(process, path):
        if dirfd == C.AT_FDCWD:
            return _chown(process, process.fs.existing(None, b"."), uid, gid)
        return sys_fchown(process, dirfd, uid, gid)
    at, name = path_at(process, dirfd, path)
    return _chown(process, process.fs.existing(at, name, not flags & C.AT_SYMLINK_NOFOLLOW), uid, gid)


# Times


def _set_times(process: Process, at_fd: int, path: int, times: tuple[int | None, int | None], flags: int = 0) -> int:
    """Sets atime and mtime in ns. None leaves one unchanged."""
    if not path:
        file = process.files.get(at_fd)
        host = _mutable(process, at_fd)
        status = file.status()
        os.utime(host, ns=_filled(times, status))
        return 0
    at, name = path_at(process, at_fd, path)
    follow = not flags & C.AT_SYMLINK_NOFOLLOW
    found = process.fs.existing(at, name, follow)
    inodes.utime(process.fs, at, name, _filled(times, process.fs.status(found)), follow)
    return 0


def _filled(times: tuple[int | None, int | None], status: os.stat_result) -> tuple[int, int]:
    accessed, modified = times
    return (
        status.st_atime_ns if accessed is None else max(-_TIME_MOST, min(accessed, _TIME_MOST)),
        status.st_mtime_ns if modified is None else max(-_TIME_MOST, min(modified, _TIME_MOST)),
    )


def _now(process: Process) -> tuple[int, int]:
    now = process.clock.wall()
    return now, now


def sys_utimensat(process: Process, dirfd: int, path: int, times: int, flags: int, layout: str = "timespec") -> int:
    if flags & ~(C.AT_SYMLINK_NOFOLLOW | C.AT_EMPTY_PATH):
        raise GuestError(errno.EINVAL)
    if not times:
        return _set_times(process, dirfd, path, _now(process), flags)
    timespec = process.structs[layout]
    wanted: list[int | None] = []
    for seconds, nanoseconds in timespec.array(process.memory.read(times, 2 * timespec.size)):
        if nanoseconds == _UTIME_OMIT:
            wanted.append(None)
        elif nanoseconds == _UTIME_NOW:
            wanted.append(process.clock.wall())
        elif 0 <= nanoseconds < SECOND:
            wanted.append(seconds * SECOND + nanoseconds)
        else:
            raise GuestError(errno.EINVAL)
    return _set_times(process, dirfd, path, (wanted[0], wanted[1]), flags)


def sys_utimensat_time64(process: Process, dirfd: int, path: int, times: int, flags: int) -> int:
    return sys_utimensat(process, dirfd, path, times, flags, "timespec64")


def sys_futimesat(process: Process, dirfd: int, path: int, times: int) -> int:
    if not times:
        return _set_times(process, dirfd, path, _now(process))
    timeval = process.structs["timeval"]
    pairs = list(timeval.array(process.memory.read(times, 2 * timeval.size)))
    if any(not 0 <= microseconds < 1_000_000 for _, microseconds in pairs):
        raise GuestError(errno.EINVAL)
    accessed, modified = (seconds * SECOND + microseconds * 1000 for seconds, microseconds in pairs)
    return _set_times(process, dirfd, path, (accessed, modified))


def sys_utimes(process: Process, path: int, times: int) -> int:
    if not path:
        raise GuestError(errno.EFAULT)
    return sys_futimesat(process, C.AT_FDCWD, path, times)


def sys_utime(process: Process, path: int, times: int) -> int:
    if not path:
        raise GuestError(errno.EFAULT)
    if not times:
        return _set_times(process, C.AT_FDCWD, path, _now(process))
    layout = process.structs["utimbuf"]
    accessed, modified = layout.unpack(process.memory.read(times, layout.size))
    return _set_times(process, C.AT_FDCWD, path, (accessed * SECOND, modified * SECOND))


_AT = flags("at")

ROWS: tuple[Syscall, ...] = (
    Syscall("chmod", sys_chmod, (PATH, MODE), effect=Effect.FILES),
    Syscall("fchmod", sys_fchmod, (FD, MODE), effect=Effect.FILES),
    Syscall("fchmodat", sys_fchmodat, (DIRFD, PATH, MODE), effect=Effect.FILES),
    Syscall("fchmodat2", sys_fchmodat2, (DIRFD, PATH, MODE, _AT), effect=Effect.FILES),
    Syscall("chown", sys_chown, (PATH, UID, UID), effect=Effect.FILES),
    Syscall("chown32", sys_chown, (PATH, UID, UID), effect=Effect.FILES),
    Syscall("lchown", sys_lchown, (PATH, UID, UID), effect=Effect.FILES),
    Syscall("lchown32", sys_lchown, (PATH, UID, UID), effect=Effect.FILES),
    Syscall("fchown", sys_fchown, (FD, UID, UID), effect=Effect.FILES),
    Syscall("fchown32", sys_fchown, (FD, UID, UID), effect=Effect.FILES),
    Syscall("fchownat", sys_fchownat, (DIRFD, PATH, UID, UID, _AT), effect=Effect.FILES),
    Syscall("utimensat", sys_utimensat, (DIRFD, PATH, struct_pair("timespec"), _AT), effect=Effect.FILES),
    Syscall(
        "utimensat_time64", sys_utimensat_time64, (DIRFD, PATH, struct_pair("timespec64"), _AT), effect=Effect.FILES
    ),
    Syscall("futimesat", sys_futimesat, (DIRFD, PATH, struct_pair("timeval")), effect=Effect.FILES),
    Syscall("utimes", sys_utimes, (PATH, struct_pair("timeval")), effect=Effect.FILES),
    Syscall("utime", sys_utime, (PATH, struct_in("utimbuf")), effect=Effect.FILES),
)

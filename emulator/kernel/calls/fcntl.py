"""fcntl, flock.

Only commands that act on the guest's own descriptors are passed on. The receiver of signals (F_SETOWN, F_SETSIG) is kept here and not passed
to the host.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import FD, ArgumentKind, choice
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Handler, Syscall
from uselib.emulator.kernel.vfs.host_files import HostFile
from uselib.emulator.kernel.waiting import attempt

F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_SETOWN, F_GETOWN = range(10)
F_GETLK64, F_SETLK64, F_SETLKW64 = 12, 13, 14
F_SETSIG, F_GETSIG, F_SETOWN_EX, F_GETOWN_EX = 10, 11, 15, 16
_OWNER_THREAD, _OWNER_PROCESS, _OWNER_GROUP = range(3)  # F_OWNER_*
_PIPE_MOST = 1 << 20  # /proc/sys/fs/pipe-max-size
_CAP_SYS_RESOURCE = 24
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38
F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS = 1030, 1031, 1032, 1033, 1034

_SETTABLE = C.O_APPEND | C.O_NONBLOCK  # O_ASYNC would make the host send signals
_SHOWN = C.O_ACCMODE | _SETTABLE | C.O_DSYNC | C.O_SYNC
_KEPT = C.O_DIRECTORY | C.O_NOFOLLOW | C.O_PATH | C.O_LARGEFILE


def _dupfd(process: Process, fd: int, argument: int, cloexec: bool = False) -> int:
    if not 0 <= argument < process.files.limit:
        raise GuestError(errno.EINVAL)
    return process.files.add(process.files.get(fd), cloexec, argument)


def _dupfd_cloexec(process: Process, fd: int, argument: int) -> int:
    return _dupfd(process, fd, argument, True)


def _getfd(process: Process, fd: int, _: int) -> int:
    return int(process.files.descriptor(fd).cloexec)


def _setfd(process: Process, fd: int, argument: int) -> int:
    process.files.descriptor(fd).cloexec = bool(argument & 1)
    return 0


def _getfl(process: Process, fd: int, _: int) -> int:
    file = process.files.get(fd)
    if isinstance(file, HostFile):
        return fcntl.fcntl(file.fd, fcntl.F_GETFL) & _SHOWN | file.flags & _KEPT
    return file.flags & (_SHOWN | _KEPT)


def set_flags(process: Process, fd: int, argument: int) -> int:
    file = process.files.get(fd)
    if file.flags & C.O_PATH:
        raise GuestError(errno.EBADF)
    file.flags = file.flags & ~_SETTABLE | argument & _SETTABLE
    if isinstance(file, HostFile):
        old = fcntl.fcntl(file.fd, fcntl.F_GETFL)
        host = (os.O_APPEND if argument & C.O_APPEND else 0) | (os.O_NONBLOCK if argument & C.O_NONBLOCK else 0)
        fcntl.fcntl(file.fd, fcntl.F_SETFL, old & ~(os.O_APPEND | os.O_NONBLOCK) | host)
    return 0


_WAITING = {fcntl.F_SETLKW: fcntl.F_SETLK, F_OFD_SETLKW: F_OFD_SETLK}  # commands that wait -> commands that do not
_HOST_FLOCK = struct.Struct("hhqqi4x")  # struct flock of a 64-bit host


def _lock(process: Process, fd: int, address: int, layout: str, command: int) -> int:
    """The host keeps the locks. F_GETLK gives the guest's number of the process, or 1 for another process of the host."""
    guest = process.structs[layout]
    kind, whence, start, length, pid = guest.unpack(process.memory.read(address, guest.size))
    host, lock = process.files.get(fd).host(), _HOST_FLOCK.pack(kind, whence, start, length, pid)
    process.files.locks |= command in (fcntl.F_SETLK, fcntl.F_SETLKW)
    if command in _WAITING:
        try:
            attempt(process, lambda wait: _try_lock(process, host, command, lock, wait))
        finally:
            process.pids.set_waits_for(0)
        return 0
    answer = fcntl.fcntl(host, command, lock)
    if command in (fcntl.F_GETLK, F_OFD_GETLK):
        kind, whence, start, length, pid = _HOST_FLOCK.unpack(answer)
        pid = (process.pids.guest_of(pid) or 1) if pid > 0 else pid
        process.memory.write(address, guest.pack(kind, whence, start, length, pid))
    return 0


def _try_lock(process: Process, host: int, command: int, lock: bytes, wait: bool) -> None:
    """Raises BlockingIOError if another process has the lock, GuestError(EDEADLK) if that process waits, directly or not, for this one."""
    try:
        fcntl.fcntl(host, command if wait else _WAITING[command], lock)
    except BlockingIOError:
        if command == fcntl.F_SETLKW:
            holder = _HOST_FLOCK.unpack(fcntl.fcntl(host, fcntl.F_GETLK, lock))[4]
            if process.pids.set_waits_for(process.pids.guest_of(holder) if holder > 0 else 0):
                raise GuestError(errno.EDEADLK) from None
        raise


def _locker(layout: str, command: int) -> Handler:
    return lambda process, fd, argument: _lock(process, fd, argument, layout, command)


def _get_owner(process: Process, fd: int, _: int) -> int:
    kind, number = process.files.get(fd).owner
    return -number if kind == _OWNER_GROUP else number


def _set_owner(process: Process, fd: int, argument: int) -> int:
    """Keeps the owner, which F_GETOWN returns. O_ASYNC is not supported, so no process gets signals."""
    file = process.files.get(fd)
    if argument == -(1 << 31):
        raise GuestError(errno.EINVAL)
    number = abs(argument)
    members = [] if not number else process.pids.members(number) if argument < 0 else [number]
    if number and not (members and process.pids.is_there(members[0])):
        raise GuestError(errno.ESRCH)
    file.owner = (_OWNER_GROUP if argument < 0 else _OWNER_PROCESS, number)
    return 0


def _get_owner_ex(process: Process, fd: int, address: int) -> int:
    process.memory.write(address, struct.pack("<ii", *process.files.get(fd).owner))
    return 0


def _set_owner_ex(process: Process, fd: int, address: int) -> int:
    kind, number = struct.unpack("<ii", process.memory.read(address, 8))
    if kind not in (_OWNER_THREAD, _OWNER_PROCESS, _OWNER_GROUP):
        raise GuestError(errno.EINVAL)
    process.files.get(fd).owner = kind, number
    return 0


def _get_signal(process: Process, fd: int, _: int) -> int:
    return process.files.get(fd).signal


def _set_signal(process: Process, fd: int, argument: int) -> int:
    if not 0 <= argument <= 64:
        raise GuestError(errno.EINVAL)
    process.files.get(fd).signal = argument
    return 0


def _set_lease(process: Process, fd: int, kind: int) -> int:
    """Takes a host lease on a file that the guest may change. The guest gets the SIGIO of its end."""
    file = process.files.get(fd)
    if not isinstance(file, HostFile) or not file.mutable or not stat.S_ISREG(os.fstat(file.fd).st_mode):
        raise GuestError(errno.EINVAL)
    return fcntl.fcntl(file.fd, fcntl.F_SETLEASE, kind)


def _get_lease(process: Process, fd: int, _: int) -> int:
    return fcntl.fcntl(process.files.get(fd).host(), fcntl.F_GETLEASE)


def _pipe(process: Process, fd: int) -> int:
    host = process.files.get(fd).host()
    if not stat.S_ISFIFO(os.fstat(host).st_mode):
        raise GuestError(errno.EBADF)
    return host


def _pipe_size(process: Process, fd: int, _: int) -> int:
    return fcntl.fcntl(_pipe(process, fd), F_GETPIPE_SZ)


def _set_pipe_size(process: Process, fd: int, argument: int) -> int:
    host, size = _pipe(process, fd), argument & 0xFFFFFFFF
    if size > 1 << 31 or not size:
        raise GuestError(errno.EINVAL)
    if size > _PIPE_MOST:
        raise GuestError(errno.ENOMEM if process.identity.can(_CAP_SYS_RESOURCE) else errno.EPERM)
    return fcntl.fcntl(host, F_SETPIPE_SZ, size)


def _get_seals(process: Process, fd: int, _: int) -> int:
    return fcntl.fcntl(process.files.get(fd).host(), F_GET_SEALS)


def _add_seals(process: Process, fd: int, argument: int) -> int:
    return fcntl.fcntl(process.files.get(fd).host(), F_ADD_SEALS, argument)


FCNTL: dict[int, Handler] = {
    F_DUPFD: _dupfd,
    F_DUPFD_CLOEXEC: _dupfd_cloexec,
    F_GETFD: _getfd,
    F_SETFD: _setfd,
    F_GETFL: _getfl,
    F_SETFL: set_flags,
    F_GETLK: _locker("flock", fcntl.F_GETLK),
    F_SETLK: _locker("flock", fcntl.F_SETLK),
    F_SETLKW: _locker("flock", fcntl.F_SETLKW),
    F_GETLK64: _locker("flock64", fcntl.F_GETLK),
    F_SETLK64: _locker("flock64", fcntl.F_SETLK),
    F_SETLKW64: _locker("flock64", fcntl.F_SETLKW),
    F_OFD_GETLK: _locker("flock64", F_OFD_GETLK),
    F_OFD_SETLK: _locker("flock64", F_OFD_SETLK),
    F_OFD_SETLKW: _locker("flock64", F_OFD_SETLKW),
    F_GETOWN: _get_owner,
    F_SETOWN: _set_owner,
    F_GETOWN_EX: _get_owner_ex,
    F_SETOWN_EX: _set_owner_ex,
    F_GETSIG: _get_signal,
    F_SETSIG: _set_signal,
    fcntl.F_SETLEASE: _set_lease,
    fcntl.F_GETLEASE: _get_lease,
    F_GETPIPE_SZ: _pipe_size,
    F_SETPIPE_SZ: _set_pipe_size,
    F_ADD_SEALS: _add_seals,
    F_GET_SEALS: _get_seals,
}
_ON_PATH = (F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL)  # what an O_PATH descriptor allows


def sys_fcntl(process: Process, fd: int, command: int, argument: int) -> int:
    file = process.files.get(fd)
    if file.flags & C.O_PATH and command not in _ON_PATH:
        raise GuestError(errno.EBADF)
    handler = FCNTL.get(command)
    if handler is None:
        raise GuestError(errno.EINVAL)
    return handler(process, fd, argument)


def sys_flock(process: Process, fd: int, operation: int) -> int:
    host = process.files.get(fd).host()
    if operation & fcntl.LOCK_NB:
        fcntl.flock(host, operation)
    else:
        attempt(process, lambda wait: fcntl.flock(host, operation if wait else operation | fcntl.LOCK_NB))
    return 0


_FCNTL_ARGUMENT = ArgumentKind("fcntl", updated=True)

ROWS: tuple[Syscall, ...] = (
    Syscall("fcntl", sys_fcntl, (FD, choice("fcntl"), _FCNTL_ARGUMENT)),
    Syscall("fcntl64", sys_fcntl, (FD, choice("fcntl"), _FCNTL_ARGUMENT)),
    Syscall("flock", sys_flock, (FD, choice("flock"))),
)

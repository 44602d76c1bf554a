"""pidfd_open, pidfd_send_signal, pidfd_getfd. waitid accepts pidfds too (waits.py).

Source: kernel/pid.c of Linux. A pidfd is a host pidfd, so that poll and epoll report the end of the process.
"""

from __future__ import annotations

import errno
import struct

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import FD, INT, PID, PTR, SIGNAL, UINT
from uselib.emulator.kernel.calls.kill import queued_info, send, send_info
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.signals.frames import SI_TKILL, SI_USER
from uselib.emulator.kernel.table import Effect, Syscall
from uselib.emulator.kernel.vfs.pid_file import PidFile


def pid_file(process: Process, fd: int) -> PidFile:
    """Raises GuestError(EBADF)."""
    file = process.files.get(fd)
    if not isinstance(file, PidFile):
        raise GuestError(errno.EBADF)
    return file


def sys_pidfd_open(process: Process, pid: int, flags: int) -> int:
    if flags & ~C.O_NONBLOCK or pid <= 0:
        raise GuestError(errno.EINVAL)
    process.files.check_room()
    return process.files.add(PidFile(pid, process.pids.descriptor(pid), flags), True)


def sys_pidfd_send_signal(process: Process, fd: int, signal: int, info: int, flags: int) -> int:
    if flags:
        raise GuestError(errno.EINVAL)
    pid = pid_file(process, fd).pid
    if not info:
        return send(process, pid, signal, SI_USER)
    data = process.memory.read(info, 128)
    number, _, code = struct.unpack_from("<iii", data)
    if number != signal:
        raise GuestError(errno.EINVAL)
    if pid != process.identity.pid and (code >= 0 or code == SI_TKILL):
        raise GuestError(errno.EPERM)  # reserved for the kernel, and tkill to other threads
    return send_info(process, pid, queued_info(process, signal, info))


def sys_pidfd_getfd(process: Process, fd: int, target: int, flags: int) -> int:
    """A duplicate of an open file of this or another process. Raises GuestError: EBADF, EPERM, ESRCH."""
    if flags:
        raise GuestError(errno.EINVAL)
    pid = pid_file(process, fd).pid
    if pid == process.identity.pid:
        return process.files.add(process.files.get(target), True)
    from uselib.emulator.kernel.proc.asking import ask
    from uselib.emulator.kernel.sockets.passing import unpack

    process.files.check_room()
    try:
        fds = ask(process, pid, ("file", target))
    except GuestError as failure:
        raise GuestError(errno.EPERM if failure.errno == errno.EACCES else failure.errno) from None
    files, _ = unpack(process, fds, 1)
    if not files:
        raise GuestError(errno.EPERM)
    return process.files.add(files[0], True)


ROWS = (
    Syscall("pidfd_open", sys_pidfd_open, (PID, UINT)),
    Syscall("pidfd_send_signal", sys_pidfd_send_signal, (FD, SIGNAL, PTR, UINT), effect=Effect.PROCESSES),
    Syscall("pidfd_getfd", sys_pidfd_getfd, (FD, INT, UINT)),
)

"""epoll_create, epoll_ctl, epoll_wait and related calls, on the host's epoll(7)."""

from __future__ import annotations

import errno

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import FD, INT, PTR_OUT, SIGSET, SIZE, choice, flags, struct_in
from uselib.emulator.kernel.calls.poll import prepare, read_mask
from uselib.emulator.kernel.calls.time import read_timespec
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall, Undo
from uselib.emulator.kernel.vfs.epoll_file import DELETE, EpollFile
from uselib.emulator.kernel.vfs.host_files import HostFile
from uselib.emulator.kernel.waiting import READ, blocked, until

_MILLISECOND = 1_000_000  # ns
_EVENT_SIZE = 12  # of struct epoll_event on both machines
_NO_EVENTS = b""


def sys_epoll_create(process: Process, size: int) -> int:
    if size <= 0:
        raise GuestError(errno.EINVAL)
    return sys_epoll_create1(process, 0)


def sys_epoll_create1(process: Process, flags: int) -> int:
    if flags & ~C.O_CLOEXEC:
        raise GuestError(errno.EINVAL)
    process.files.check_room()
    return process.files.add(EpollFile(), bool(flags))


def _epoll(process: Process, fd: int) -> EpollFile:
    file = process.files.get(fd)
    if not isinstance(file, EpollFile):
        raise GuestError(errno.EINVAL)
    return file


def sys_epoll_ctl(process: Process, epoll: int, operation: int, fd: int, address: int) -> int:
    event = (0, 0)
    if operation != DELETE:
        layout = process.structs["epoll_event"]
        events, data = layout.unpack(process.memory.read(address, layout.size))
        event = events, data
    instance_file = process.files.get(epoll)
    file = process.files.get(fd)
    if file.flags & C.O_PATH:
        raise GuestError(errno.EBADF)
    if not isinstance(file, (HostFile, EpollFile)):
        raise GuestError(errno.EPERM)
    if file is instance_file:
        raise GuestError(errno.EINVAL)
    _epoll(process, epoll).control(operation, fd, file, event)
    return 0


def _wait(process: Process, epoll: int, address: int, most: int, timeout: int | None) -> int:
    if not 0 < most <= 0x7FFF_FFFF // _EVENT_SIZE:
        raise GuestError(errno.EINVAL)
    instance = _epoll(process, epoll)
    process.memory.check(address, 1, "write")
    prepare(process)
    data = until(process, lambda: instance.wait(most) or None, timeout=timeout, fds=[(instance.fd, READ)]) or _NO_EVENTS
    process.memory.write(address, data)
    return len(data) // _EVENT_SIZE


def sys_epoll_wait(process: Process, epoll: int, address: int, most: int, timeout: int) -> int:
    return _wait(process, epoll, address, most, None if timeout < 0 else timeout * _MILLISECOND)


def sys_epoll_pwait(process: Process, epoll: int, address: int, most: int, timeout: int, mask: int, size: int) -> int:
    with blocked(process, read_mask(process, mask, size)):
        return sys_epoll_wait(process, epoll, address, most, timeout)


def sys_epoll_pwait2(process: Process, epoll: int, address: int, most: int, timeout: int, mask: int, size: int) -> int:
    limit = read_timespec(process, timeout, "timespec64") if timeout else None
    with blocked(process, read_mask(process, mask, size)):
        return _wait(process, epoll, address, most, limit)


ROWS: tuple[Syscall, ...] = (
    Syscall("epoll_create", sys_epoll_create, (INT,)),
    Syscall("epoll_create1", sys_epoll_create1, (flags("open"),)),
    Syscall("epoll_ctl", sys_epoll_ctl, (FD, choice("epoll_ctl"), FD, struct_in("epoll_event"))),
    Syscall("epoll_wait", sys_epoll_wait, (FD, PTR_OUT, INT, INT), undo=Undo.NEVER, restarts=False),
    Syscall("epoll_pwait", sys_epoll_pwait, (FD, PTR_OUT, INT, INT, SIGSET, SIZE), undo=Undo.NEVER, restarts=False),
    Syscall(
        "epoll_pwait2",
        sys_epoll_pwait2,
        (FD, PTR_OUT, INT, struct_in("timespec64"), SIGSET, SIZE),
        undo=Undo.NEVER,
        restarts=False,
    ),
)

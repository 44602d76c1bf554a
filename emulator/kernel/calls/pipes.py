"""PIPES: pipe, pipe2, socketpair (the only socket there is), eventfd. There is no network: socket fails with EPERM.

A guest's socket pair is a host socket pair of the stream or datagram kind; without sendmsg no descriptor can pass
through it.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import (
    FD,
    FD_PAIR,
    INT,
    PTR,
    PTR_OUT,
    SIZE,
    TARGET,
    UINT,
    choice,
    data_in,
    data_out,
    flags,
)
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.table import Effect, Handler, Syscall
from uselib.emulator.kernel.vfs.descriptors import HostFile
from uselib.linker.image import Machine

if TYPE_CHECKING:
    from socket import socket as Socket

    from uselib.emulator.kernel.process import Process

_AF_UNIX = 1
_SOCK_CLOEXEC, _SOCK_NONBLOCK = C.O_CLOEXEC, C.O_NONBLOCK
_TYPES = (1, 2, 5)  # SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET
_MSG_NOSIGNAL = 0x4000


def _add_pair(
    process: Process, pair: tuple[int, int], names: tuple[bytes, bytes], modes: tuple[int, int], flags: int
) -> tuple[int, int]:
    """Two new descriptors. Raises GuestError(EMFILE), leaving none."""
    cloexec = bool(flags & C.O_CLOEXEC)
    status = flags & C.O_NONBLOCK
    for fd in pair:
        os.set_blocking(fd, not status)
    files = [HostFile(fd, name, mode | status) for fd, name, mode in zip(pair, names, modes, strict=True)]
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
    if flags & ~(C.O_CLOEXEC | C.O_NONBLOCK):
        raise GuestError(errno.EINVAL)
    process.memory.check(address, 8, "write")
    pair = _add_pair(process, os.pipe(), (b"pipe:[read]", b"pipe:[write]"), (C.O_RDONLY, C.O_WRONLY), flags)
    process.memory.write(address, struct.pack("<ii", *pair))
    return 0


def sys_socketpair(process: Process, domain: int, kind: int, protocol: int, address: int) -> int:
    if domain != _AF_UNIX:
        raise GuestError(errno.EAFNOSUPPORT)
    if kind & 0xF not in _TYPES or kind & ~(0xF | _SOCK_CLOEXEC | _SOCK_NONBLOCK):
        raise GuestError(errno.EINVAL)
    process.memory.check(address, 8, "write")
    from socket import socketpair  # takes 4 ms to load, and hardly any program needs it

    left, right = socketpair(_AF_UNIX, kind & 0xF)
    pair = _add_pair(
        process, (left.detach(), right.detach()), (b"socket:[0]", b"socket:[1]"), (C.O_RDWR, C.O_RDWR), kind
    )
    process.memory.write(address, struct.pack("<ii", *pair))
    return 0


def sys_socket(process: Process, domain: int, kind: int, protocol: int) -> int:
    """No network, and no way to name a host's socket."""
    raise GuestError(errno.EPERM)


def _socket(process: Process, fd: int) -> Socket:
    """The host socket behind a descriptor; detach it after use. Raises GuestError(ENOTSOCK)."""
    file = process.files.get(fd)
    if not isinstance(file, HostFile) or not file.path.startswith(b"socket:["):
        raise GuestError(errno.ENOTSOCK)
    from socket import socket

    return socket(fileno=os.dup(file.fd))


def sys_shutdown(process: Process, fd: int, how: int) -> int:
    with _socket(process, fd) as host:
        host.shutdown(how)
    return 0


def sys_sendto(process: Process, fd: int, buffer: int, size: int, flags: int, address: int, length: int) -> int:
    """send(2): MSG_NOSIGNAL and MSG_DONTWAIT only, and no address."""
    if address:
        raise GuestError(errno.EISCONN)
    if flags & ~0x4040:
        raise GuestError(errno.EOPNOTSUPP)
    with _socket(process, fd) as host:
        data = process.memory.read(buffer, min(size, 1 << 20))
        try:
            return host.send(data, flags & 0x40 | _MSG_NOSIGNAL)
        except BrokenPipeError:
            if not flags & 0x4000:
                process.signals.send(13)
            raise


def sys_recvfrom(process: Process, fd: int, buffer: int, size: int, flags: int, address: int, length: int) -> int:
    """recv(2): MSG_PEEK, MSG_WAITALL and MSG_DONTWAIT only; the sender has no address."""
    if flags & ~0x142:
        raise GuestError(errno.EOPNOTSUPP)
    with _socket(process, fd) as host:
        data = host.recv(min(size, 1 << 20), flags)
    process.memory.write(buffer, data)
    if length:
        process.memory.write(length, struct.pack("<I", 0))
    return len(data)


_SOCKETCALL: dict[int, tuple[Handler, int]] = {1: (sys_socket, 3), 8: (sys_socketpair, 4), 13: (sys_shutdown, 2)}


def sys_socketcall(process: Process, call: int, arguments: int) -> int:
    """i386: all of the socket calls in one (net/socket.c)."""
    if call not in _SOCKETCALL:
        raise GuestError(errno.EINVAL if not 1 <= call <= 20 else errno.EPERM)
    handler, count = _SOCKETCALL[call]
    values = struct.unpack(f"<{count}i", process.memory.read(arguments, 4 * count))
    words = [value & 0xFFFFFFFF if index == 3 else value for index, value in enumerate(values)]
    return handler(process, *words)


def sys_eventfd(process: Process, value: int) -> int:
    return sys_eventfd2(process, value, 0)


def sys_eventfd2(process: Process, value: int, flags: int) -> int:
    if flags & ~(1 | C.O_CLOEXEC | C.O_NONBLOCK):
        raise GuestError(errno.EINVAL)
    host = os.EFD_CLOEXEC | (os.EFD_SEMAPHORE if flags & 1 else 0) | (os.EFD_NONBLOCK if flags & C.O_NONBLOCK else 0)
    file = HostFile(os.eventfd(value, host), b"anon_inode:[eventfd]", C.O_RDWR | flags & C.O_NONBLOCK)
    file.waits = True
    return process.files.add(file, bool(flags & C.O_CLOEXEC))


_DOMAIN, _TYPE = choice("socket_domain"), choice("socket_type")

PIPES: tuple[Syscall, ...] = (
    Syscall("pipe", sys_pipe, (FD_PAIR,)),
    Syscall("pipe2", sys_pipe2, (FD_PAIR, flags("open"))),
    Syscall("socketpair", sys_socketpair, (_DOMAIN, _TYPE, INT, FD_PAIR)),
    Syscall("socket", sys_socket, (_DOMAIN, _TYPE, INT)),
    Syscall("shutdown", sys_shutdown, (FD, INT)),
    Syscall("sendto", sys_sendto, (TARGET, data_in(2), SIZE, INT, PTR, UINT), effect=Effect.OUTPUT),
    Syscall("recvfrom", sys_recvfrom, (FD, data_out(2), SIZE, INT, PTR, PTR_OUT)),
    Syscall("socketcall", sys_socketcall, (INT, PTR), Machine.I386),
    Syscall("eventfd", sys_eventfd, (UINT,)),
    Syscall("eventfd2", sys_eventfd2, (UINT, flags("eventfd"))),
)

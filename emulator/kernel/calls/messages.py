"""sendto, recvfrom, sendmsg, recvmsg, sendmmsg, recvmmsg, and i386's socketcall, which combines all socket calls in one."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence

from uselib.emulator.kernel.arguments import (
    FD,
    INT,
    LENGTH,
    MESSAGE_IN,
    MESSAGE_OUT,
    PTR,
    PTR_UPDATED,
    SIZE,
    TARGET,
    UINT,
    choice,
    data_in,
    data_out,
    flags,
    sockaddr_in,
    sockaddr_out,
)
from uselib.emulator.kernel.calls import sockets as calls
from uselib.emulator.kernel.calls.files import vectors
from uselib.emulator.kernel.calls.time import read_timespec
from uselib.emulator.kernel.errors import GuestError, guest_errno
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.sockets import ancillary, connections, options, passing
from uselib.emulator.kernel.sockets.addresses import sockaddr
from uselib.emulator.kernel.sockets.constants import (
    INET,
    MSG_CMSG_CLOEXEC,
    MSG_DONTWAIT,
    MSG_WAITFORONE,
    SOCK_DGRAM,
    SOCK_STREAM,
)
from uselib.emulator.kernel.sockets.socket_file import SocketFile
from uselib.emulator.kernel.sockets.table import Credentials
from uselib.emulator.kernel.sockets.transfer import Received, Sending
from uselib.emulator.kernel.table import Effect, Handler, Syscall
from uselib.emulator.kernel.vfs.descriptions import Description
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import NamedTuple
from uselib.loader.memory.address_space import MemoryFault

_MOST_MESSAGES = 1024  # UIO_MAXIOV
_MOST_BYTES = 0x7FFFF000


class Message(NamedTuple):
    """struct msghdr."""

    name: int
    name_size: int
    vector: int
    vectors: int
    control: int
    control_size: int
    flags: int


def _send(
    process: Process,
    file: SocketFile,
    parts: Sequence[tuple[int, int]],
    flags: int,
    name: bytes,
    files: Sequence[Description] = (),
) -> int:
    """name: the struct sockaddr, empty for none."""
    message = Sending(parts, flags)
    if name and not (file.record.family in INET and file.record.type == SOCK_STREAM):
        if file.record.type != SOCK_DGRAM:
            raise GuestError(errno.EISCONN if file.connected else errno.EOPNOTSUPP)
        message.to, message.node = calls.destination(process, file, name)
    connections.name_for_credentials(process, file)
    if not files:
        return file.send(process, message)
    if file.record.family in INET:
        raise GuestError(errno.EINVAL)
    message.descriptors = passing.pack(files)
    try:
        return file.send(process, message)
    finally:
        os.close(message.descriptors[0])


def _sender(file: SocketFile, received: Received) -> bytes:
    """The struct sockaddr of the sender, as a call returns it. TCP returns none."""
    if received.sender is None:
        return b""
    data = sockaddr(received.sender, file.record.family)
    return b"" if file.record.family not in INET and len(data) == 2 else data


def sys_sendto(process: Process, fd: int, buffer: int, size: int, flags: int, address: int, length: int) -> int:
    file = calls.socket_at(process, fd)
    name = calls.read_sockaddr(process, address, length) if address else b""
    return _send(process, file, [(buffer, min(size, _MOST_BYTES))], flags, name)


def sys_recvfrom(process: Process, fd: int, buffer: int, size: int, flags: int, address: int, length: int) -> int:
    file = calls.socket_at(process, fd)
    received = file.receive(process, [(buffer, min(size, _MOST_BYTES))], flags, False)
    calls.write_sockaddr(process, address, length, _sender(file, received))
    return received.size


def sys_send(process: Process, fd: int, buffer: int, size: int, flags: int) -> int:
    return sys_sendto(process, fd, buffer, size, flags, 0, 0)


def sys_recv(process: Process, fd: int, buffer: int, size: int, flags: int) -> int:
    return sys_recvfrom(process, fd, buffer, size, flags, 0, 0)


# -- struct msghdr --------------------------------------------------------------------------------------------------------


def _message(process: Process, address: int) -> Message:
    """Raises GuestError(EINVAL), MemoryFault."""
    layout = process.structs["msghdr"]
    message = Message(*layout.unpack(process.memory.read(address, layout.size)))
    if message.name_size > 0x7FFF_FFFF:
        raise GuestError(errno.EINVAL)
    if message.vectors > _MOST_MESSAGES:
        raise GuestError(errno.EMSGSIZE)
    return message


def _send_message(process: Process, file: SocketFile, address: int, flags: int) -> int:
    message = _message(process, address)
    name = calls.read_sockaddr(process, message.name, min(message.name_size, 128)) if message.name else b""
    parts = vectors(process, message.vector, message.vectors)
    files = ancillary.read(process, message.control, message.control_size) if message.control_size else []
    return _send(process, file, parts, flags, name, files)


def sys_sendmsg(process: Process, fd: int, address: int, flags: int) -> int:
    return _send_message(process, calls.socket_at(process, fd), address, flags)


def _receive_message(process: Process, file: SocketFile, address: int, flags: int) -> int:
    message = _message(process, address)
    parts = vectors(process, message.vector, message.vectors)
    received = file.receive(process, parts, flags & ~MSG_CMSG_CLOEXEC, True)
    if file.record.type != SOCK_DGRAM and received.owner is not None:
        host, *_ = received.owner
        who = process.identity
        pid = who.pid if host == os.getpid() else process.pids.guest(host) or 0
        received.owner = Credentials(pid, who.uid, who.gid)
    wanted = bool(file.record.options[options.PASSCRED])
    if file.record.family not in INET and received.owner is None and wanted:
        received.owner = Credentials(0, 0xFFFE, 0xFFFE)
    room = message.control_size if message.control else 0
    used, more = ancillary.write(
        process, message.control, room, received, flags, wanted and file.record.family not in INET
    )
    layout = process.structs["msghdr"]
    name = _sender(file, received)
    name_size = message.name_size
    if message.name:
        process.memory.write(message.name, name[: message.name_size])
        name_size = len(name)
    shown = received.flags | more | flags & MSG_CMSG_CLOEXEC
    process.memory.write(address, layout.pack(*message._replace(name_size=name_size, control_size=used, flags=shown)))
    return received.size


def sys_recvmsg(process: Process, fd: int, address: int, flags: int) -> int:
    return _receive_message(process, calls.socket_at(process, fd), address, flags)


def sys_sendmmsg(process: Process, fd: int, array: int, count: int, flags: int) -> int:
    file = calls.socket_at(process, fd)
    layout, header = process.structs["mmsghdr"], process.structs["msghdr"]
    done = 0
    for number in range(min(count, _MOST_MESSAGES)):
        place = array + number * layout.size
        try:
            sent = _send_message(process, file, place, flags)
            process.memory.write(place + header.size, struct.pack("<I", sent))
        except (GuestError, OSError, MemoryFault):
            if done:
                break
            raise
        done += 1
    return done


def sys_recvmmsg(
    process: Process, fd: int, array: int, count: int, flags: int, timeout: int, spec: str = "timespec"
) -> int:
    """recvmmsg(2). The time limit is checked after each message, as in Linux."""
    file = calls.socket_at(process, fd)
    layout, header = process.structs["mmsghdr"], process.structs["msghdr"]
    deadline = process.clock.now + read_timespec(process, timeout, spec) if timeout else None
    file.raise_error()
    done = 0
    for number in range(min(count, _MOST_MESSAGES)):
        place = array + number * layout.size
        try:
            size = _receive_message(process, file, place, flags & ~MSG_WAITFORONE)
            process.memory.write(place + header.size, struct.pack("<I", size))
        except (GuestError, OSError, MemoryFault) as failure:
            if not done:
                raise
            number_of = (
                failure.errno
                if isinstance(failure, GuestError)
                else (guest_errno(failure) if isinstance(failure, OSError) else errno.EFAULT)
            )
            if number_of not in (errno.EAGAIN, errno.EINTR):
                file.record.error = number_of  # the next call reports it
            break
        done += 1
        if flags & MSG_WAITFORONE:
            flags |= MSG_DONTWAIT
        if deadline is not None and process.clock.now >= deadline:
            break
    if deadline is not None:
        left = max(deadline - process.clock.now, 0)
        process.memory.write(timeout, process.structs[spec].pack(*divmod(left, 1_000_000_000)))
    return done


def sys_recvmmsg64(process: Process, fd: int, array: int, count: int, flags: int, timeout: int) -> int:
    return sys_recvmmsg(process, fd, array, count, flags, timeout, "timespec64")


# -- i386 -----------------------------------------------------------------------------------------------------------------

_S, _U = True, False  # a signed number, or a pointer or size
SOCKETCALL: dict[int, tuple[Handler, tuple[bool, ...]]] = {
    1: (calls.sys_socket, (_S, _S, _S)),
    2: (calls.sys_bind, (_S, _U, _S)),
    3: (calls.sys_connect, (_S, _U, _S)),
    4: (calls.sys_listen, (_S, _S)),
    5: (calls.sys_accept, (_S, _U, _U)),
    6: (calls.sys_getsockname, (_S, _U, _U)),
    7: (calls.sys_getpeername, (_S, _U, _U)),
    8: (calls.sys_socketpair, (_S, _S, _S, _U)),
    9: (sys_send, (_S, _U, _U, _U)),
    10: (sys_recv, (_S, _U, _U, _U)),
    11: (sys_sendto, (_S, _U, _U, _U, _U, _S)),
    12: (sys_recvfrom, (_S, _U, _U, _U, _U, _U)),
    13: (calls.sys_shutdown, (_S, _S)),
    14: (calls.sys_setsockopt, (_S, _S, _S, _U, _S)),
    15: (calls.sys_getsockopt, (_S, _S, _S, _U, _U)),
    16: (sys_sendmsg, (_S, _U, _U)),
    17: (sys_recvmsg, (_S, _U, _U)),
    18: (calls.sys_accept4, (_S, _U, _U, _S)),
    19: (sys_recvmmsg, (_S, _U, _U, _U, _U)),
    20: (sys_sendmmsg, (_S, _U, _U, _U)),
}


def sys_socketcall(process: Process, call: int, arguments: int) -> int:
    """All socket calls in one (net/socket.c)."""
    if call not in SOCKETCALL:
        raise GuestError(errno.EINVAL)
    handler, signs = SOCKETCALL[call]
    words = struct.unpack(f"<{len(signs)}I", process.memory.read(arguments, 4 * len(signs)))
    return handler(
        process, *(word - (word >> 31 << 32) if signed else word for word, signed in zip(words, signs, strict=True))
    )


_FLAGS = flags("msg", UINT.width)

ROWS: tuple[Syscall, ...] = (
    Syscall("sendto", sys_sendto, (TARGET, data_in(2), SIZE, _FLAGS, sockaddr_in(5), INT), effect=Effect.OUTPUT),
    Syscall("recvfrom", sys_recvfrom, (FD, data_out(2), SIZE, _FLAGS, sockaddr_out(5), LENGTH)),
    Syscall("sendmsg", sys_sendmsg, (TARGET, MESSAGE_IN, _FLAGS), effect=Effect.OUTPUT),
    Syscall("recvmsg", sys_recvmsg, (FD, MESSAGE_OUT, _FLAGS)),
    Syscall("sendmmsg", sys_sendmmsg, (TARGET, PTR_UPDATED, UINT, _FLAGS), effect=Effect.OUTPUT),
    Syscall("recvmmsg", sys_recvmmsg, (FD, PTR_UPDATED, UINT, _FLAGS, PTR_UPDATED)),
    Syscall("recvmmsg_time64", sys_recvmmsg64, (FD, PTR_UPDATED, UINT, _FLAGS, PTR_UPDATED)),
    Syscall("socketcall", sys_socketcall, (choice("socketcall"), PTR), Machine.I386),
)

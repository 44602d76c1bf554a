"""Bytes and packets over a connection: SOCK_STREAM and SOCK_SEQPACKET.

Source: net/unix/af_unix.c (unix_stream_sendmsg, unix_stream_read_generic), net/ipv4/tcp.c (tcp_sendmsg_locked, tcp_recvmsg_locked).
"""

from __future__ import annotations

import _socket as host
import errno
import struct
from collections.abc import Iterator, Sequence

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.shared.store import rights
from uselib.emulator.kernel.sockets.constants import (
    INET,
    MSG_EOR,
    MSG_ERRQUEUE,
    MSG_NOSIGNAL,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    SHUT_READ,
    SHUT_WRITE,
    SOCK_STREAM,
)
from uselib.emulator.kernel.sockets.endpoint import Endpoint
from uselib.emulator.kernel.sockets.table import CONNECTED, Credentials
from uselib.emulator.kernel.sockets.transfer import CONTROL_ROOM, Ancillary, Buffers, Received, Sending
from uselib.emulator.kernel.vfs.descriptions import FileUser
from uselib.emulator.kernel.waiting import READ, WRITE

SIGPIPE = 13
_CHUNK = 1 << 16  # bytes sent at a time
_UCRED = struct.Struct("<iII")
_SCM_CREDENTIALS = 2


def _not_connected(file: Endpoint, sends: bool) -> GuestError:
    if file.record.family in INET:
        return GuestError(errno.EPIPE if sends else errno.ENOTCONN)
    if sends or file.record.type != SOCK_STREAM:
        return GuestError(errno.ENOTCONN)
    return GuestError(errno.EINVAL)


def _broken(file: Endpoint, process: FileUser, flags: int) -> GuestError:
    """EPIPE, with its signal; packets of AF_UNIX have none."""
    if not flags & MSG_NOSIGNAL and file.record.type == SOCK_STREAM:
        process.signals.send(SIGPIPE)
    return GuestError(errno.EPIPE)


def _check_receiver(file: Endpoint, flags: int) -> None:
    """Raises GuestError or OSError if nothing can arrive."""
    record = file.record
    if flags & MSG_OOB:
        raise GuestError(errno.EINVAL if record.family in INET else errno.EOPNOTSUPP)
    if flags & MSG_ERRQUEUE:
        raise GuestError(errno.EAGAIN if record.family in INET else errno.EOPNOTSUPP)
    file.raise_error()
    if record.state != CONNECTED:
        raise _not_connected(file, False)


def _ready_again(file: Endpoint, process: FileUser, flags: int) -> bool:
    """Waits for data after an attempt that found none. Returns False if no more will arrive. Raises GuestError: EAGAIN if it must not wait,
    EINTR.
    """
    if file.record.shut & SHUT_READ:
        return False
    if not file.blocks(flags):
        raise GuestError(errno.EAGAIN)
    file.wait(process, READ, file.record.receive_timeout)
    return True


def _take(
    file: Endpoint, process: FileUser, views: list[memoryview | bytearray], room: int, flags: int, begun: bool
) -> tuple[int, Ancillary, int] | None:
    """Takes the data that is there, waiting for some if there is none: bytes, control messages, flags. begun: the call has taken some before,
    so a failure is left to the next call. Returns None in that case, and where no more data will arrive. Raises GuestError, OSError.
    """
    take = host.MSG_DONTWAIT | host.MSG_CMSG_CLOEXEC
    take |= flags & (MSG_PEEK | (0 if file.record.type == SOCK_STREAM else MSG_TRUNC))
    while True:
        try:
            return file.host_socket.recvmsg_into(views, room, take)[:3]
        except BlockingIOError:
            try:
                if not _ready_again(file, process, flags):
                    return None
            except GuestError:
                if not begun:
                    raise
                return None
        except ConnectionResetError:
            if not begun:
                raise
            return None


def receive(file: Endpoint, process: FileUser, parts: list[tuple[int, int]], flags: int, control: bool) -> Received:
    """control: the call takes control messages. Raises GuestError, OSError."""
    _check_receiver(file, flags)
    record = file.record
    stream = record.type == SOCK_STREAM
    buffers = Buffers(process, parts)
    views = buffers.views or [bytearray(0)]
    wanted = sum(len(view) for view in views)
    total, answer = 0, 0
    ancillary: Ancillary = []
    if stream and not wanted and not control:
        return Received(0)
    while (taken := _take(file, process, views, CONTROL_ROOM if control else 0, flags, total > 0)) is not None:
        found, ancillary, answer = taken
        total += found
        more = stream and found and flags & MSG_WAITALL and not flags & MSG_PEEK and not ancillary
        if not more or total >= wanted:
            break
        views = _rest(views, found)
    buffers.filled(min(total, wanted))
    owner = _owner(ancillary) if ancillary else None
    shown = answer & (MSG_TRUNC | host.MSG_CTRUNC | MSG_EOR)
    return Received(total, file.peer_name() if record.family not in INET else None, rights(ancillary), owner, shown)


def _rest(views: list[memoryview | bytearray], size: int) -> list[memoryview | bytearray]:
    left: list[memoryview | bytearray] = []
    for view in views:
        taken = min(size, len(view))
        size -= taken
        if taken < len(view):
            left.append(memoryview(view)[taken:])
    return left


def _owner(ancillary: Ancillary) -> Credentials | None:
    """The sender's credentials, with the host's process number (SO_PASSCRED of the host)."""
    for level, kind, data in ancillary:
        if level == host.SOL_SOCKET and kind == _SCM_CREDENTIALS and len(data) >= _UCRED.size:
            return Credentials(*_UCRED.unpack_from(data))
    return None


def send(file: Endpoint, process: FileUser, message: Sending) -> int:
    """Sends a message; returns the number of bytes sent. Raises GuestError, OSError."""
    record, flags = file.record, message.flags
    if flags & MSG_OOB and record.family not in INET:
        raise GuestError(errno.EOPNOTSUPP)
    if message.to is not None and record.family not in INET:
        raise GuestError(errno.EISCONN if record.state == CONNECTED else errno.EOPNOTSUPP)
    file.raise_error()
    if record.shut & SHUT_WRITE:
        raise _broken(file, process, flags)
    if record.state != CONNECTED:
        failure = _not_connected(file, True)
        raise _broken(file, process, flags) if failure.errno == errno.EPIPE else failure
    if record.type != SOCK_STREAM:
        data = b"".join(process.memory.read(address, size) for address, size in message.parts)
        return _send_piece(file, process, message, data, True)
    done, first = 0, True
    for piece in _pieces(process, message.parts):
        while piece:
            try:
                sent = _send_piece(file, process, message, piece, first)
            except (GuestError, OSError):
                if done:
                    return done
                raise
            done, piece, first = done + sent, piece[sent:], False
            if piece and not file.blocks(flags):
                return done
    return done


def _pieces(process: FileUser, parts: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    if sum(size for _, size in parts) <= _CHUNK:
        yield b"".join(process.memory.read(address, size) for address, size in parts)
        return
    for address, size in parts:
        while size > 0:
            step = min(size, _CHUNK)
            yield process.memory.read(address, step)
            address, size = address + step, size - step


def _send_piece(file: Endpoint, process: FileUser, message: Sending, data: bytes, first: bool) -> int:
    ancillary = message.ancillary() if first else []
    record = file.record
    while True:
        try:
            return file.host_socket.sendmsg([data], ancillary, host.MSG_DONTWAIT | host.MSG_NOSIGNAL)
        except BlockingIOError:
            if not file.blocks(message.flags):
                raise
            file.wait(process, WRITE, record.send_timeout)
        except (BrokenPipeError, ConnectionResetError):
            if record.family in INET and not record.dead_writes:
                record.dead_writes = 1  # the first write to a closed peer succeeds; the next one fails
                return len(data)
            raise _broken(file, process, message.flags) from None

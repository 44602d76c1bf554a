"""Datagrams: SOCK_DGRAM of AF_UNIX and UDP.

A datagram is written into the end that belongs to its receiver. A head of 128 bytes says who has sent it, and from which address.
Source: net/unix/af_unix.c (unix_dgram_sendmsg, unix_dgram_recvmsg), net/ipv4/udp.c (udp_sendmsg, udp_recvmsg).
"""

from __future__ import annotations

import _socket as host
import errno
import struct
from contextlib import suppress

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.shared.store import rights
from uselib.emulator.kernel.sockets import lookup
from uselib.emulator.kernel.sockets.addresses import (
    ADDRESS_SIZE,
    LOOPBACK_V4,
    LOOPBACK_V6,
    Address,
    InetAddress,
    UnixName,
    packed,
    unpacked,
)
from uselib.emulator.kernel.sockets.constants import (
    INET,
    MSG_ERRQUEUE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    SHUT_READ,
    SHUT_WRITE,
    SOCK_DGRAM,
)
from uselib.emulator.kernel.sockets.endpoint import Endpoint
from uselib.emulator.kernel.sockets.table import CONNECTED, NEW, PAIRED, Credentials, SocketRecord
from uselib.emulator.kernel.sockets.transfer import CONTROL_ROOM, Buffers, Received, Sending
from uselib.emulator.kernel.vfs.descriptions import FileUser
from uselib.emulator.kernel.waiting import READ, WRITE

_HEAD = struct.Struct(f"<{ADDRESS_SIZE}siII4x")
_UDP_MOST = 65507  # bytes of a datagram


def receive(file: Endpoint, process: FileUser, parts: list[tuple[int, int]], flags: int, control: bool) -> Received:
    """Raises GuestError, OSError."""
    record = file.record
    if flags & MSG_OOB:
        raise GuestError(errno.EOPNOTSUPP)
    if flags & MSG_ERRQUEUE:
        raise GuestError(errno.EAGAIN)
    file.raise_error()
    buffers = Buffers(process, parts)
    head = bytearray(_HEAD.size)
    take = host.MSG_DONTWAIT | host.MSG_CMSG_CLOEXEC | flags & (MSG_PEEK | MSG_TRUNC)
    while True:
        try:
            size, ancillary, answer, _ = file.host_socket.recvmsg_into(
                [head, *buffers.views], CONTROL_ROOM if control else 0, take
            )
            break
        except BlockingIOError:
            if record.shut & SHUT_READ:
                return Received(0)
            if not file.blocks(flags):
                raise
            file.wait(process, READ, record.receive_timeout)
            file.raise_error()
    if size < _HEAD.size:
        return Received(0)  # shut down
    size -= _HEAD.size
    buffers.filled(min(size, sum(len(view) for view in buffers.views)))
    sender, *owner = _HEAD.unpack(head)
    shown = answer & (MSG_TRUNC | host.MSG_CTRUNC)
    return Received(size, unpacked(sender), rights(ancillary), Credentials(*owner), shown)


def first_size(file: Endpoint) -> int:
    """The size of the next datagram in bytes; 0 if there is none."""
    try:
        size = file.host_socket.recvmsg_into([bytearray(1)], 0, host.MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC)[0]
    except BlockingIOError:
        return 0
    return max(size - _HEAD.size, 0)


def send(file: Endpoint, process: FileUser, message: Sending) -> int:
    """Raises GuestError, OSError."""
    record = file.record
    if message.flags & MSG_OOB:
        raise GuestError(errno.EOPNOTSUPP)
    size = sum(part for _, part in message.parts)
    if record.family in INET and size > _UDP_MOST:
        raise GuestError(errno.EMSGSIZE)
    if record.shut & SHUT_WRITE:
        raise GuestError(errno.EPIPE)
    file.raise_error()
    data = b"".join(process.memory.read(address, part) for address, part in message.parts)
    target, source = _target(file, process, message)
    who = process.identity
    parts = [_HEAD.pack(packed(source), who.pid, who.uid, who.gid), data]
    while target is not None:
        try:
            target.sendmsg(parts, message.ancillary(), host.MSG_DONTWAIT | host.MSG_NOSIGNAL)
            return size
        except BlockingIOError:
            if record.family in INET:
                return size  # the receiver's queue is full: the datagram is lost
            if not file.blocks(message.flags):
                raise
            file.wait_on(process, target.fileno(), WRITE, record.send_timeout)
        except (BrokenPipeError, ConnectionResetError, ConnectionRefusedError):
            file.forget_target()
            target = None
    if record.family in INET:
        if record.state == CONNECTED:
            record.error = errno.ECONNREFUSED  # the next call reports it
        return size
    if record.state == CONNECTED and message.to is None:
        record.state = NEW  # the peer has closed, so the connection has ended
    raise GuestError(errno.ECONNREFUSED)


def _target(file: Endpoint, process: FileUser, message: Sending) -> tuple[host.socket | None, Address]:
    """The end to write to (None: there is no receiver), and the sender's address as the receiver sees it. Raises GuestError."""
    record = file.record
    if record.state == PAIRED and message.to is None:
        return file.host_socket, record.local
    if record.family in INET:
        return _inet_target(file, message)
    if message.to is None:
        if record.state != CONNECTED:
            raise GuestError(errno.ENOTCONN)
        peer = file.sockets.record(record.peer_index)
        if peer.serial == record.peer_serial and peer.state == CONNECTED and peer.peer_serial != record.serial:
            raise GuestError(errno.EPERM)
        return _end(file, record.peer_index, record.peer_serial), record.local
    assert isinstance(message.to, UnixName)
    with file.sockets.lock:
        found = lookup.find_unix(file.sockets, message.to, message.node, SOCK_DGRAM)
    if found is None:
        return None, record.local
    index, other = found
    if other.type != SOCK_DGRAM:
        raise GuestError(errno.EPROTOTYPE)
    if other.state == CONNECTED and other.peer_serial != record.serial:
        raise GuestError(errno.EPERM)
    return _end(file, index, other.serial), record.local


def _inet_target(file: Endpoint, message: Sending) -> tuple[host.socket | None, Address]:
    record, sockets = file.record, file.sockets
    wanted = message.to if message.to is not None else record.peer if record.state == CONNECTED else None
    if not record.bound:
        with sockets.lock:
            lookup.bind_inet(sockets, record, InetAddress(lookup.any_host(record.family), 0), False)
    if wanted is None:
        raise GuestError(errno.EDESTADDRREQ)
    assert isinstance(wanted, InetAddress)
    if not wanted.port:
        raise GuestError(errno.EINVAL)
    with sockets.lock:
        where = lookup.destination(record, wanted)
        source = record.local
        assert isinstance(source, InetAddress)
        if source.any:
            source = source._replace(host=LOOPBACK_V4 if where.mapped else LOOPBACK_V6)
        found = lookup.find_inet(sockets, SOCK_DGRAM, where, listens=False)
        if found is None or not _takes(found[1], source):
            return None, source
    return _end(file, found[0], found[1].serial), source


def _takes(record: SocketRecord, source: InetAddress) -> bool:
    """Whether the socket receives from this sender: a connected one receives from its peer only."""
    return record.state != CONNECTED or record.peer == source


def _end(file: Endpoint, index: int, serial: int) -> host.socket | None:
    """The end to write to for a socket. The last one is cached."""
    if file.target is not None and file.target[0] == serial:
        return file.target[1]
    file.forget_target()
    with file.sockets.lock:
        fd = file.sockets.store.copy(serial) if file.sockets.record(index).serial == serial else None
    if fd is None:
        return None
    end = host.socket(host.AF_UNIX, host.SOCK_SEQPACKET, 0, fd)
    with suppress(OSError):
        end.setsockopt(host.SOL_SOCKET, host.SO_SNDBUF, 1 << 20)
    file.target = serial, end
    return end

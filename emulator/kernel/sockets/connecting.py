"""Sockets connected: connect(2) sends the other end of a pair to the socket that listens, or gives datagrams a target.

Source: net/unix/af_unix.c, net/ipv4/af_inet.c, net/ipv4/tcp_ipv4.c.
"""

from __future__ import annotations

import _socket as host
import array
import errno
import os
from contextlib import suppress

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.sockets import lookup
from uselib.emulator.kernel.sockets.addresses import Address, InetAddress, UnixName, nobody, packed
from uselib.emulator.kernel.sockets.connections import CALL, Node, me
from uselib.emulator.kernel.sockets.constants import SHUT_READ, SOCK_DGRAM, SOCK_STREAM
from uselib.emulator.kernel.sockets.endpoint import host_type
from uselib.emulator.kernel.sockets.socket_file import SocketFile
from uselib.emulator.kernel.sockets.table import CONNECTED, LISTENS, NEW, REFUSED, SocketRecord, holderless
from uselib.emulator.kernel.waiting import attempt


def connect(process: Process, file: SocketFile, to: Address, node: Node | None) -> None:
    """connect(2) to an address; node: the file of that name. Raises GuestError."""
    record = file.record
    if record.type == SOCK_DGRAM:
        _connect_datagrams(file, to, node)
        return
    if record.answer:  # the result of an earlier call that did not wait
        record.answer = 0
        file.raise_error()
        return
    if isinstance(to, InetAddress):
        if record.state in (CONNECTED, LISTENS):
            raise GuestError(errno.EISCONN)
        _connect_inet(process, file, to)
    else:
        _connect_unix(process, file, to, node)


def disconnect(file: SocketFile) -> None:
    """connect(2) with AF_UNSPEC."""
    record = file.record
    file.forget_target()
    if record.state == CONNECTED and record.type == SOCK_DGRAM:
        record.state, record.peer = NEW, nobody(record.family)


def _connect_datagrams(file: SocketFile, to: Address, node: Node | None) -> None:
    record, sockets = file.record, file.sockets
    file.forget_target()
    with sockets.lock:
        if isinstance(to, InetAddress):
            where = lookup.destination(record, to)
            lookup.source(sockets, record, where)
            record.peer, record.state = where, CONNECTED
            return
        found = lookup.find_unix(sockets, to, node, record.type)
        if found is None or not sockets.alive(found[1]):
            raise GuestError(errno.ECONNREFUSED)
        index, other = found
        if other.type != SOCK_DGRAM:
            raise GuestError(errno.EPROTOTYPE)
        if other.state == CONNECTED and other.peer_serial != record.serial:
            raise GuestError(errno.EPERM)
        record.peer, record.state = to, CONNECTED
        record.peer_index, record.peer_serial = index, other.serial


def _connect_inet(process: Process, file: SocketFile, to: InetAddress) -> None:
    record, sockets = file.record, file.sockets
    if not to.port:
        raise GuestError(errno.ECONNREFUSED)
    if record.state == REFUSED:
        _renew(file)
    with sockets.lock:
        where = lookup.destination(record, to)
        before = record.bound, record.local
        lookup.source(sockets, record, where)
        found = lookup.find_inet(sockets, SOCK_STREAM, where, listens=True)
        made = found is not None and _call(process, file, found, where)
        if made:
            record.peer, record.state = where, CONNECTED
        else:
            record.state = REFUSED
            record.bound, record.local = before
            sockets.store.remove(record.serial)  # so that poll(2) reports it
    waits = file.blocks(0)
    if not made:
        if waits:
            raise GuestError(errno.ECONNREFUSED)
        record.error = errno.ECONNREFUSED
    if not waits:
        record.answer = 1
        raise GuestError(errno.EINPROGRESS)


def _renew(file: SocketFile) -> None:
    """Makes another pair for a socket whose connection was refused."""
    ours, other = host.socketpair(host.AF_UNIX, host_type(file.record.type))
    os.set_blocking(ours.fileno(), os.get_blocking(file.fd))
    file.replace_host(ours.detach())
    with file.sockets.lock:
        file.sockets.store.put(file.record.serial, other.fileno())
        file.record.state = NEW
    other.close()


def _connect_unix(process: Process, file: SocketFile, to: UnixName, node: Node | None) -> None:
    record, sockets = file.record, file.sockets

    def once(wait: bool) -> None:
        with sockets.lock:
            found = lookup.find_unix(sockets, to, node, record.type)
            if found is None or found[1].state != LISTENS or found[1].shut & SHUT_READ:
                if found is not None and found[1].type != record.type:
                    raise GuestError(errno.EPROTOTYPE)
                raise GuestError(errno.ECONNREFUSED)
            if found[1].type != record.type:
                raise GuestError(errno.EPROTOTYPE)
            if record.state != NEW:
                raise GuestError(errno.EISCONN if record.state == CONNECTED else errno.EINVAL)
            if found[1].waiting > found[1].backlog and sockets.alive(found[1]):
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            if not _call(process, file, found, to):
                raise GuestError(errno.ECONNREFUSED)
            record.peer, record.state = found[1].local, CONNECTED
            record.set_peer_owner(found[1].owner)

    if file.blocks(0):
        attempt(process, once)
    else:
        once(False)


def _call(process: Process, file: SocketFile, listener: tuple[int, SocketRecord], where: Address) -> bool:
    """Sends the socket's other end to the socket that listens. Returns False if no process holds that one any more. The lock is held."""
    record, sockets, other = file.record, file.sockets, listener[1]
    fd = sockets.store.copy(other.serial)
    if fd is None:
        return False
    there = host.socket(host.AF_UNIX, host_type(record.type), 0, fd)
    try:
        if holderless(fd):
            sockets.free(other)
            return False
        end = sockets.store.take(record.serial)
        if end is None:
            raise GuestError(errno.EISCONN)
        data = CALL.pack(record.serial, file.index, *me(process), packed(where), packed(record.local))
        with suppress(OSError):
            there.setsockopt(host.SOL_SOCKET, host.SO_SNDBUF, 1 << 22)
        try:
            there.sendmsg([data], [(host.SOL_SOCKET, host.SCM_RIGHTS, array.array("i", [end]))], host.MSG_DONTWAIT)
        except OSError:
            sockets.store.put(record.serial, end)
            raise
        finally:
            os.close(end)
    finally:
        there.close()
    other.waiting += 1
    return True

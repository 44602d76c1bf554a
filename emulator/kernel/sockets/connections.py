"""socket, bind, listen, accept, connect, shutdown.

Source: net/unix/af_unix.c, net/ipv4/af_inet.c, net/ipv4/tcp_ipv4.c, net/socket.c.
"""

from __future__ import annotations

import _socket as host
import array
import errno
import os
import struct
from contextlib import suppress

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.shared.store import rights
from uselib.emulator.kernel.sockets import lookup, options
from uselib.emulator.kernel.sockets.addresses import (
    ADDRESS_SIZE,
    Address,
    InetAddress,
    UnixName,
    nobody,
    packed,
    unpacked,
)
from uselib.emulator.kernel.sockets.constants import (
    AF_UNIX,
    INET,
    SHUT_READ,
    SHUT_WRITE,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOMAXCONN,
)
from uselib.emulator.kernel.sockets.endpoint import host_type
from uselib.emulator.kernel.sockets.socket_file import SocketFile
from uselib.emulator.kernel.sockets.table import (
    CONNECTED,
    LISTENS,
    NEW,
    PAIRED,
    REFUSED,
    Credentials,
    SocketRecord,
    Sockets,
    holderless,
)
from uselib.emulator.kernel.waiting import READ, attempt

Node = tuple[int, int]
_CALL = struct.Struct(f"<QIiII4x{ADDRESS_SIZE}s{ADDRESS_SIZE}s")  # serial, index, pid, uid, gid; where to, from where


def sockets_of(process: Process) -> Sockets:
    return process.shared.part(Sockets)


def me(process: Process) -> Credentials:
    who = process.identity
    return Credentials(who.pid, who.uid, who.gid)


def _count_at_forks(process: Process) -> None:
    """A child holds the sockets of its parent as well."""
    process.shared.before_fork.setdefault(count_references, lambda: count_references(process))


def count_references(process: Process) -> None:
    """Before a fork: counts one more holder of each open socket, the child."""
    files = {id(entry.description): entry.description for entry in process.files.descriptors.values()}
    held = [file for file in files.values() if isinstance(file, SocketFile)]
    if held:
        with held[0].sockets.lock:
            for file in held:
                file.record.references += 1


def make(process: Process, family: int, type_: int, protocol: int, flags: int) -> SocketFile:
    """socket(2). Raises GuestError, OSError."""
    sockets = sockets_of(process)
    _count_at_forks(process)
    ours, other = host.socketpair(host.AF_UNIX, host_type(type_))
    fd = ours.detach()
    os.set_blocking(fd, not flags)
    try:
        with sockets.lock:
            index = sockets.new(family, type_, protocol)
            record = sockets.record(index)
            options.start(record)
            record.local = record.peer = nobody(family)
            record.set_owner(me(process))
            sockets.store.put(record.serial, other.fileno())
    except BaseException:
        os.close(fd)
        raise
    finally:
        other.close()
    return SocketFile(sockets, index, fd, flags)


def make_pair(process: Process, type_: int, flags: int) -> tuple[SocketFile, SocketFile]:
    """socketpair(2) of AF_UNIX."""
    sockets = sockets_of(process)
    _count_at_forks(process)
    ends = host.socketpair(host.AF_UNIX, type_)
    files = []
    for end in ends:
        fd = end.detach()
        os.set_blocking(fd, not flags)
        with sockets.lock:
            index = sockets.new(AF_UNIX, type_, 0)
            record = sockets.record(index)
            options.start(record)
            record.local = record.peer = UnixName(b"")
            record.state = PAIRED if type_ == SOCK_DGRAM else CONNECTED
            record.set_owner(me(process))
            record.set_peer_owner(me(process))
        files.append(SocketFile(sockets, index, fd, flags))
    for one, other_file in (files, files[::-1]):
        one.record.peer_index, one.record.peer_serial = other_file.index, other_file.serial
    return files[0], files[1]


# -- addresses ------------------------------------------------------------------------------------------------------------


def bind_name(process: Process, file: SocketFile, name: UnixName, path_made: Node | None) -> None:
    """path_made: the file that has the name, unless the name is abstract. Raises GuestError(EADDRINUSE)."""
    sockets, record = file.sockets, file.record
    with sockets.lock:
        if not name.name:
            name = lookup.free_abstract_name(sockets, record.type)
        found = lookup.find_unix(sockets, name, path_made, record.type)
        if found is not None:
            if path_made is None and sockets.alive(found[1]):
                raise GuestError(errno.EADDRINUSE)
            found[1].node_device = found[1].node_inode = 0  # its file is removed, and its inode number used again
            found[1].bound = int(sockets.alive(found[1]) and path_made is not None and _unreachable(found[1]))
        record.local, record.bound = name, 1
        record.node_device, record.node_inode = path_made or (0, 0)


def name_for_credentials(process: Process, file: SocketFile) -> None:
    """A socket with SO_PASSCRED that sends or connects gets a name (unix_dgram_sendmsg)."""
    record = file.record
    if (
        record.family == AF_UNIX
        and record.options[options.PASSCRED]
        and not record.bound
        and record.type != SOCK_STREAM
    ):
        bind_name(process, file, UnixName(b""), None)


def _unreachable(record: SocketRecord) -> bool:
    """The socket keeps its name, but can no longer be found by it."""
    record.node_device, record.node_inode = 0, (1 << 64) - 1
    return True


def bind_inet(process: Process, file: SocketFile, address: InetAddress) -> None:
    if file.record.bound:
        raise GuestError(errno.EINVAL)
    with file.sockets.lock:
        lookup.bind_inet(file.sockets, file.record, address, process.identity.effective_uid == 0)


# -- listening ------------------------------------------------------------------------------------------------------------


def listen(process: Process, file: SocketFile, backlog: int) -> None:
    """Raises GuestError."""
    record, sockets = file.record, file.sockets
    if record.type == SOCK_DGRAM:
        raise GuestError(errno.EOPNOTSUPP)
    if record.state not in (NEW, LISTENS, REFUSED):
        raise GuestError(errno.EINVAL)
    with sockets.lock:
        if not record.bound:
            if record.family == AF_UNIX:
                raise GuestError(errno.EINVAL)
            lookup.bind_inet(sockets, record, InetAddress(lookup.any_host(record.family), 0), False)
        record.backlog = min(backlog & 0xFFFF_FFFF, SOMAXCONN)
        record.state = LISTENS
        record.set_owner(me(process))


def accept(process: Process, file: SocketFile, flags: int) -> SocketFile:
    """accept(2): the new socket. Raises GuestError, OSError."""
    record, sockets = file.record, file.sockets
    if record.type == SOCK_DGRAM:
        raise GuestError(errno.EOPNOTSUPP)
    while True:
        if record.state != LISTENS or record.shut & SHUT_READ:
            raise GuestError(errno.EINVAL)
        try:
            data, ancillary, _, _ = file.host_socket.recvmsg(
                _CALL.size, host.CMSG_SPACE(4), host.MSG_DONTWAIT | host.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            if not file.blocks(0):
                raise
            file.wait(process, READ, record.receive_timeout)
            continue
        if fds := rights(ancillary):
            break
        if not data:
            raise GuestError(errno.EINVAL)
    serial, index, pid, uid, gid, to, source = _CALL.unpack(data)
    fd = fds[0]
    os.set_blocking(fd, not flags)
    with sockets.lock:
        record.waiting = max(record.waiting - 1, 0)
        new_index = sockets.new(record.family, record.type, record.protocol)
        new = sockets.record(new_index)
        options.inherit(new, record)
        new.local, new.peer, new.state, new.bound = unpacked(to), unpacked(source), CONNECTED, 0
        new.set_owner(record.owner)
        new.set_peer_owner(Credentials(pid, uid, gid))
        new.peer_index, new.peer_serial = index, serial
        caller = sockets.record(index)
        if caller.serial == serial:
            caller.peer_index, caller.peer_serial = new_index, new.serial
    accepted = SocketFile(sockets, new_index, fd, flags)
    _pass_credentials(accepted)
    return accepted


def _pass_credentials(file: SocketFile) -> None:
    """Has the host add the sender's credentials, if the guest has asked for them."""
    if file.record.type != SOCK_DGRAM:
        with suppress(OSError):
            file.host_socket.setsockopt(host.SOL_SOCKET, 16, file.record.options[options.PASSCRED])


credentials_wanted = _pass_credentials


# -- connecting -----------------------------------------------------------------------------------------------------------


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
        data = _CALL.pack(record.serial, file.index, *me(process), packed(where), packed(record.local))
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


# -- the end --------------------------------------------------------------------------------------------------------------


def shutdown(file: SocketFile, how: int) -> None:
    """Raises GuestError."""
    if not 0 <= how <= 2:
        raise GuestError(errno.EINVAL)
    record, bits = file.record, how + 1
    if record.state == LISTENS:
        record.shut |= bits
        if bits & SHUT_READ:
            _stop_listening(file)
        return
    if record.type != SOCK_DGRAM and record.state != CONNECTED:
        raise GuestError(errno.ENOTCONN)
    if record.type == SOCK_DGRAM and record.family in INET and record.state != CONNECTED:
        raise GuestError(errno.ENOTCONN)
    record.shut |= bits
    if record.type == SOCK_DGRAM:
        with suppress(OSError):
            if bits & SHUT_READ:
                file.host_socket.shutdown(0)
        return
    if record.family in INET:  # TCP does not tell the peer that a socket reads no more
        if bits & SHUT_WRITE:
            file.host_socket.shutdown(1)
        return
    file.host_socket.shutdown(how)


def _stop_listening(file: SocketFile) -> None:
    """Ends the calls that wait for a connection."""
    with file.sockets.lock:
        if file.record.family in INET:
            file.record.state = NEW
        file.sockets.store.remove(file.record.serial)

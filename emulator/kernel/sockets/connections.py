"""socket, bind, listen, accept, connect, shutdown.

Source: net/unix/af_unix.c, net/ipv4/af_inet.c, net/ipv4/tcp_ipv4.c, net/socket.c.
"""

from __future__ import annotations

import _socket as host
import errno
import os
import struct
from contextlib import suppress

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.shared.store import rights
from uselib.emulator.kernel.sockets import lookup, options
from uselib.emulator.kernel.sockets.addresses import ADDRESS_SIZE, InetAddress, UnixName, nobody, unpacked
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
)
from uselib.emulator.kernel.waiting import READ

Node = tuple[int, int]
CALL = struct.Struct(f"<QIiII4x{ADDRESS_SIZE}s{ADDRESS_SIZE}s")  # serial, index, pid, uid, gid; where to, from where


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
                CALL.size, host.CMSG_SPACE(4), host.MSG_DONTWAIT | host.MSG_CMSG_CLOEXEC
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
    serial, index, pid, uid, gid, to, source = CALL.unpack(data)
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
    credentials_wanted(accepted)
    return accepted


def credentials_wanted(file: SocketFile) -> None:
    """Has the host add the sender's credentials, if the guest has asked for them."""
    if file.record.type != SOCK_DGRAM:
        with suppress(OSError):
            file.host_socket.setsockopt(host.SOL_SOCKET, 16, file.record.options[options.PASSCRED])


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

"""Addresses of sockets: which may be used, which are free, and which socket is meant.

Source: net/ipv4/inet_connection_sock.c (inet_csk_bind_conflict), net/ipv4/udp.c, net/unix/af_unix.c. Ephemeral ports are given in order from
32768 on, so that runs are the same; the kernel takes them at random.
"""

from __future__ import annotations

import errno

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.sockets import options
from uselib.emulator.kernel.sockets.addresses import (
    ANY_V4,
    ANY_V6,
    LOOPBACK_V4,
    LOOPBACK_V6,
    InetAddress,
    UnixName,
)
from uselib.emulator.kernel.sockets.constants import AF_INET, AF_INET6, AF_UNIX, INET, SOCK_STREAM
from uselib.emulator.kernel.sockets.table import LISTENS, SocketRecord, Sockets

FIRST_PORT, LAST_PORT = 32768, 60999  # net.ipv4.ip_local_port_range
_PRIVILEGED = 1024
_BROADCAST = ANY_V4[:12] + b"\xff\xff\xff\xff"


def any_host(family: int) -> bytes:
    """The address that stands for all addresses of this machine."""
    return ANY_V4 if family == AF_INET else ANY_V6


def _dual(record: SocketRecord) -> bool:
    """Whether it is an IPv6 socket that also takes what comes by IPv4."""
    return record.family == AF_INET6 and not record.options[options.V6ONLY]


def _overlap(one: SocketRecord, mine: InetAddress, other: SocketRecord, theirs: InetAddress) -> bool:
    """Whether some address would reach both sockets (ipv6_rcv_saddr_equal)."""
    if mine.host == theirs.host:
        return True
    if one.family == other.family:
        return mine.any or theirs.any
    six, wide = (one, mine) if one.family == AF_INET6 else (other, theirs)
    if wide.any:
        return _dual(six)
    narrow = theirs if wide is mine else mine
    return wide.mapped and narrow.any


def _may_share(one: SocketRecord, other: SocketRecord) -> bool:
    if one.options[options.REUSEPORT] and other.options[options.REUSEPORT]:
        return True
    both = one.options[options.REUSEADDR] and other.options[options.REUSEADDR]
    return bool(both) and (one.type != SOCK_STREAM or LISTENS not in (one.state, other.state))


def in_use(sockets: Sockets, record: SocketRecord, address: InetAddress) -> bool:
    """Whether another socket has the address. A socket whose holders have all been killed does not count."""
    for _, other in list(sockets.all()):
        if other.serial == record.serial or other.family not in INET or other.type != record.type or not other.bound:
            continue
        theirs = other.local
        assert isinstance(theirs, InetAddress)
        if theirs.port != address.port or not _overlap(record, address, other, theirs) or _may_share(record, other):
            continue
        if sockets.alive(other):
            return True
        sockets.free(other)
    return False


def bind_inet(sockets: Sockets, record: SocketRecord, address: InetAddress, privileged: bool) -> None:
    """Gives a socket its address. Port 0 means the next free one. Raises GuestError: EADDRNOTAVAIL, EACCES, EADDRINUSE."""
    if not (address.any or address.local):
        raise GuestError(errno.EADDRNOTAVAIL)
    if address.port and address.port < _PRIVILEGED and not privileged:
        raise GuestError(errno.EACCES)
    if address.port:
        if in_use(sockets, record, address):
            raise GuestError(errno.EADDRINUSE)
    else:
        address = address._replace(port=_free_port(sockets, record, address))
    record.local, record.bound = address, 1


def _free_port(sockets: Sockets, record: SocketRecord, address: InetAddress) -> int:
    head, count = sockets.head, LAST_PORT - FIRST_PORT + 1
    for _ in range(count):
        port = FIRST_PORT + head.port % count
        head.port += 1
        if not in_use(sockets, record, address._replace(port=port)):
            return port
    raise GuestError(errno.EADDRINUSE)


def destination(record: SocketRecord, address: InetAddress) -> InetAddress:
    """Where a socket's packets to an address go. Raises GuestError: ENETUNREACH for addresses outside this machine, EACCES."""
    if address.any:
        return address._replace(host=LOOPBACK_V4 if address.mapped or record.family == AF_INET else LOOPBACK_V6)
    if address.host == _BROADCAST and not record.options[options.BROADCAST]:
        raise GuestError(errno.EACCES)
    if not address.local or (address.mapped and record.family == AF_INET6 and record.options[options.V6ONLY]):
        raise GuestError(errno.ENETUNREACH)
    return address


def source(sockets: Sockets, record: SocketRecord, target: InetAddress) -> None:
    """Gives a socket without an address the one from which it sends to a destination."""
    host = LOOPBACK_V4 if target.mapped else LOOPBACK_V6
    if not record.bound:
        bind_inet(sockets, record, InetAddress(any_host(record.family), 0), False)
    local = record.local
    assert isinstance(local, InetAddress)
    if local.any:
        record.local = local._replace(host=host)


def find_inet(sockets: Sockets, type_: int, address: InetAddress, *, listens: bool) -> tuple[int, SocketRecord] | None:
    """The socket at an address of this machine. A socket bound to exactly this address comes before one bound to all."""
    best: tuple[int, int, SocketRecord] | None = None
    for index, record in sockets.all():
        if record.family not in INET or record.type != type_ or not record.bound:
            continue
        if listens and record.state != LISTENS:
            continue
        local = record.local
        assert isinstance(local, InetAddress)
        if local.port != address.port:
            continue
        if local.host == address.host:
            score = 3
        elif local.any and address.mapped == (record.family == AF_INET):
            score = 2
        elif local.any and address.mapped and _dual(record):
            score = 1
        else:
            continue
        if best is None or score > best[0]:
            best = score, index, record
    return None if best is None else best[1:]


def find_unix(
    sockets: Sockets, name: UnixName, node: tuple[int, int] | None, type_: int
) -> tuple[int, SocketRecord] | None:
    """The socket with an abstract name, or with the name of this file (device, inode). Abstract names are separate for each socket type."""
    for index, record in sockets.all():
        if record.family != AF_UNIX or not record.bound:
            continue
        if node is not None:
            if (record.node_device, record.node_inode) == node:
                return index, record
        elif not record.node_inode and record.type == type_ and record.local == name:
            return index, record
    return None


def free_abstract_name(sockets: Sockets, type_: int) -> UnixName:
    """A free abstract name, for a socket that is bound without one (unix_autobind)."""
    while True:
        sockets.head.name += 1
        name = UnixName(b"\0%05x" % (sockets.head.name & 0xFFFFF))
        if find_unix(sockets, name, None, type_) is None:
            return name

"""struct sockaddr_un, sockaddr_in and sockaddr_in6, and the addresses in them.

Source: unix(7), ip(7), ipv6(7); net/unix/af_unix.c, net/ipv4/af_inet.c, net/ipv6/af_inet6.c.
"""

from __future__ import annotations

import errno
import struct

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.sockets.constants import AF_INET, AF_INET6, AF_UNIX
from uselib.linker.quick_dataclass import NamedTuple

MAX = 128  # bytes of a struct sockaddr_storage
UNIX_MAX = 110  # sizeof(struct sockaddr_un)
_V4 = struct.Struct(">H4s8x")
_V6 = struct.Struct(">HI16s")
_MAPPED = bytes(10) + b"\xff\xff"
ANY_V6 = bytes(16)
ANY_V4 = _MAPPED + bytes(4)
LOOPBACK_V4 = _MAPPED + bytes((127, 0, 0, 1))
LOOPBACK_V6 = bytes(15) + b"\1"


class UnixName(NamedTuple):
    """name: b"" for a socket without one, b"\\0..." for an abstract name, else a path."""

    name: bytes


class InetAddress(NamedTuple):
    """host: 16 bytes, those of IPv4 mapped into IPv6."""

    host: bytes
    port: int

    @property
    def mapped(self) -> bool:
        return self.host.startswith(_MAPPED)

    @property
    def any(self) -> bool:
        return self.host in (ANY_V4, ANY_V6)

    @property
    def local(self) -> bool:
        """Whether it is an address of this machine, which has the loopback interface only."""
        return self.host == LOOPBACK_V6 or (self.mapped and self.host[12] == 127)


Address = UnixName | InetAddress


def family_of(data: bytes) -> int:
    """The family of a sockaddr. Raises GuestError(EINVAL) if there are too few bytes for one."""
    if len(data) < 2:
        raise GuestError(errno.EINVAL)
    return int.from_bytes(data[:2], "little")


def unix_name(data: bytes) -> UnixName:
    """The name in the bytes of a struct sockaddr_un. Raises GuestError(EINVAL)."""
    if family_of(data) != AF_UNIX or len(data) > UNIX_MAX:
        raise GuestError(errno.EINVAL)
    path = data[2:]
    if path.startswith(b"\0"):
        return UnixName(path)
    return UnixName(path.split(b"\0", 1)[0])


def inet_address(family: int, data: bytes) -> InetAddress:
    """The address in a sockaddr that is given to a socket of this family. Raises GuestError: EINVAL for too few bytes, EAFNOSUPPORT for
    another family.
    """
    if len(data) < (16 if family == AF_INET else 24):
        raise GuestError(errno.EINVAL)
    if family_of(data) != family:
        raise GuestError(errno.EAFNOSUPPORT)
    if family == AF_INET:
        port, host = _V4.unpack_from(data, 2)
        return InetAddress(_MAPPED + host, port)
    port, _, host = _V6.unpack_from(data, 2)
    return InetAddress(host, port)


def sockaddr(address: Address, family: int) -> bytes:
    """The bytes of the address as a socket of this family shows it to the guest."""
    if isinstance(address, UnixName):
        name = address.name
        return struct.pack("<H", AF_UNIX) + name + (b"\0" if name and not name.startswith(b"\0") else b"")
    if family == AF_INET:
        return struct.pack("<H", AF_INET) + _V4.pack(address.port, address.host[12:])
    return struct.pack("<H", AF_INET6) + _V6.pack(address.port, 0, address.host) + bytes(4)


def nobody(family: int) -> Address:
    """The address of a socket that has none."""
    if family == AF_UNIX:
        return UnixName(b"")
    return InetAddress(ANY_V4 if family == AF_INET else ANY_V6, 0)


_PACKED = struct.Struct("<BB")


def packed(address: Address) -> bytes:
    """The bytes of an address in shared memory and messages: ADDRESS_SIZE bytes, padded with zeroes."""
    if isinstance(address, UnixName):
        data = _PACKED.pack(0, len(address.name)) + address.name
    else:
        data = _PACKED.pack(1, 0) + struct.pack("<H16s", address.port, address.host)
    return data.ljust(ADDRESS_SIZE, b"\0")


def unpacked(data: bytes) -> Address:
    kind, size = _PACKED.unpack_from(data)
    if not kind:
        return UnixName(data[2 : 2 + size])
    port, host = struct.unpack_from("<H16s", data, 2)
    return InetAddress(host, port)


ADDRESS_SIZE = 112

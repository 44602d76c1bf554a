"""socket, bind, connect, listen, accept, shutdown, names and options, socketpair, and i386's socketcall.

The sockets themselves are in emulator/kernel/sockets/. Calls that transfer data are in messages.py.
"""

from __future__ import annotations

import errno
import stat
import struct

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import (
    FD,
    FD_PAIR,
    INT,
    LENGTH,
    OPTION_NAME,
    choice,
    flags,
    option_in,
    option_out,
    sockaddr_in,
    sockaddr_out,
)
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.sockets import connecting, connections, options
from uselib.emulator.kernel.sockets.addresses import (
    MAX,
    Address,
    UnixName,
    family_of,
    inet_address,
    sockaddr,
    unix_name,
)
from uselib.emulator.kernel.sockets.constants import (
    AF_INET,
    AF_UNIX,
    AF_UNSPEC,
    INET,
    IPPROTO_IP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    SOCK_DGRAM,
    SOCK_RAW,
    SOCK_SEQPACKET,
    SOCK_STREAM,
)
from uselib.emulator.kernel.sockets.socket_file import SocketFile
from uselib.emulator.kernel.sockets.table import CONNECTED, LISTENS, PAIRED
from uselib.emulator.kernel.table import Syscall
from uselib.emulator.kernel.vfs import entries

_CLOEXEC, _NONBLOCK = C.O_CLOEXEC, C.O_NONBLOCK
_TYPE = 0xF
_FAMILIES, _TYPES = 46, 11  # AF_MAX, SOCK_MAX
_AF_PACKET = 17
_PROTOCOLS = {SOCK_STREAM: IPPROTO_TCP, SOCK_DGRAM: IPPROTO_UDP}


def socket_at(process: Process, fd: int) -> SocketFile:
    """Raises GuestError: EBADF, ENOTSOCK."""
    file = process.files.get(fd)
    if not isinstance(file, SocketFile):
        raise GuestError(errno.EBADF if file.flags & C.O_PATH else errno.ENOTSOCK)
    return file


# -- struct sockaddr ------------------------------------------------------------------------------------------------------


def read_sockaddr(process: Process, address: int, size: int) -> bytes:
    """Raises GuestError(EINVAL), MemoryFault."""
    if not 0 <= size <= MAX:
        raise GuestError(errno.EINVAL)
    return process.memory.read(address, size) if size else b""


def write_sockaddr(process: Process, address: int, length_at: int, data: bytes) -> None:
    """Writes an address, cut to the caller's room, and its whole length. A null pointer means that the caller does not want it."""
    if not address:
        return
    room = int.from_bytes(process.memory.read(length_at, 4), "little", signed=True)
    if room < 0:
        raise GuestError(errno.EINVAL)
    process.memory.write(address, data[:room])
    process.memory.write(length_at, struct.pack("<I", len(data)))


def destination(process: Process, file: SocketFile, data: bytes) -> tuple[Address, tuple[int, int] | None]:
    """The address of a send or connect, and the file of that name. Raises GuestError."""
    if file.record.family in INET:
        return inet_address(file.record.family, data), None
    name = unix_name(data)
    if not name.name:
        raise GuestError(errno.EINVAL)
    return name, None if name.name.startswith(b"\0") else _node(process, name.name)


def _node(process: Process, path: bytes) -> tuple[int, int]:
    """Device and inode of a socket's file. Raises GuestError: ENOENT, ECONNREFUSED for another file, EACCES."""
    found = process.fs.existing(None, path)
    status = process.fs.status(found)
    if not stat.S_ISSOCK(status.st_mode):
        raise GuestError(errno.ECONNREFUSED)
    if process.identity.effective_uid and not status.st_mode & 0o222:
        raise GuestError(errno.EACCES)
    return status.st_dev, status.st_ino


# -- making ---------------------------------------------------------------------------------------------------------------


def _check_kind(process: Process, domain: int, kind: int, protocol: int) -> tuple[int, int]:
    """Type and protocol of a new socket. Raises GuestError."""
    type_ = kind & _TYPE
    if kind & ~(_TYPE | _CLOEXEC | _NONBLOCK) or not 0 <= type_ < _TYPES:
        raise GuestError(errno.EINVAL)
    if domain not in (AF_UNIX, *INET):
        if domain == _AF_PACKET and process.identity.effective_uid:
            raise GuestError(errno.EPERM)
        raise GuestError(errno.EAFNOSUPPORT)
    if domain == AF_UNIX:
        if protocol not in (0, AF_UNIX):
            raise GuestError(errno.EPROTONOSUPPORT)
        type_ = SOCK_DGRAM if type_ == SOCK_RAW else type_
        if type_ not in (SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET):
            raise GuestError(errno.ESOCKTNOSUPPORT)
        return type_, 0
    if type_ == SOCK_RAW:
        raise GuestError(errno.EPERM if protocol else errno.EPROTONOSUPPORT)
    if type_ not in _PROTOCOLS:
        raise GuestError(errno.ESOCKTNOSUPPORT)
    if protocol not in (IPPROTO_IP, _PROTOCOLS[type_]):
        raise GuestError(errno.EINVAL if not 0 <= protocol < 262 else errno.EPROTONOSUPPORT)
    return type_, _PROTOCOLS[type_]


def sys_socket(process: Process, domain: int, kind: int, protocol: int) -> int:
    type_, protocol = _check_kind(process, domain, kind, protocol)
    process.files.check_room()
    file = connections.make(process, domain, type_, protocol, kind & _NONBLOCK)
    return process.files.add(file, bool(kind & _CLOEXEC))


def sys_socketpair(process: Process, domain: int, kind: int, protocol: int, address: int) -> int:
    type_, _ = _check_kind(process, domain, kind, protocol)
    if domain != AF_UNIX:
        raise GuestError(errno.EOPNOTSUPP)
    process.memory.check(address, 8, "write")
    process.files.check_room(2)
    files = connections.make_pair(process, type_, kind & _NONBLOCK)
    pair = [process.files.add(file, bool(kind & _CLOEXEC)) for file in files]
    process.memory.write(address, struct.pack("<ii", *pair))
    return 0


# -- names ----------------------------------------------------------------------------------------------------------------


def sys_bind(process: Process, fd: int, address: int, size: int) -> int:
    file = socket_at(process, fd)
    data = read_sockaddr(process, address, size)
    record = file.record
    if record.family == AF_UNIX:
        return _bind_unix(process, file, unix_name(data))
    if record.family == AF_INET and len(data) >= 16 and family_of(data) == AF_UNSPEC and data[4:8] == bytes(4):
        data = struct.pack("<H", AF_INET) + data[2:]  # old programs leave the family out
    connections.bind_inet(process, file, inet_address(record.family, data))
    return 0


def _bind_unix(process: Process, file: SocketFile, name: UnixName) -> int:
    if file.record.bound:
        if not name.name:
            return 0
        if not name.name.startswith(b"\0") and process.fs.resolve(None, name.name, follow=False).exists:
            raise GuestError(errno.EADDRINUSE)
        raise GuestError(errno.EINVAL)
    node = None
    if name.name and not name.name.startswith(b"\0"):
        try:
            node = entries.make_socket(process.fs, None, name.name, 0o777)
        except GuestError as failure:
            raise GuestError(errno.EADDRINUSE if failure.errno == errno.EEXIST else failure.errno) from None
        except FileExistsError:
            raise GuestError(errno.EADDRINUSE) from None
    connections.bind_name(process, file, name, node)
    return 0


def sys_getsockname(process: Process, fd: int, address: int, length: int) -> int:
    record = socket_at(process, fd).record
    _write_name(process, address, length, sockaddr(record.local, record.family))
    return 0


def sys_getpeername(process: Process, fd: int, address: int, length: int) -> int:
    file = socket_at(process, fd)
    if file.record.state not in (CONNECTED, PAIRED):
        raise GuestError(errno.ENOTCONN)
    _write_name(process, address, length, sockaddr(file.peer_name(), file.record.family))
    return 0


def _write_name(process: Process, address: int, length: int, data: bytes) -> None:
    room = int.from_bytes(process.memory.read(length, 4), "little", signed=True)
    if room < 0:
        raise GuestError(errno.EINVAL)
    process.memory.write(address, data[:room])
    process.memory.write(length, struct.pack("<I", len(data)))


# -- connections ----------------------------------------------------------------------------------------------------------


def sys_listen(process: Process, fd: int, backlog: int) -> int:
    connections.listen(process, socket_at(process, fd), backlog)
    return 0


def sys_connect(process: Process, fd: int, address: int, size: int) -> int:
    file = socket_at(process, fd)
    data = read_sockaddr(process, address, size)
    if family_of(data) == AF_UNSPEC:
        connecting.disconnect(file)
        return 0
    if file.record.state == LISTENS and file.record.family == AF_UNIX:
        raise GuestError(errno.EINVAL)
    if file.record.answer:
        connecting.connect(process, file, UnixName(b""), None)
        return 0
    to, node = destination(process, file, data)
    connecting.connect(process, file, to, node)
    return 0


def sys_accept(process: Process, fd: int, address: int, length: int) -> int:
    return sys_accept4(process, fd, address, length, 0)


def sys_accept4(process: Process, fd: int, address: int, length: int, flags: int) -> int:
    if flags & ~(_CLOEXEC | _NONBLOCK):
        raise GuestError(errno.EINVAL)
    file = socket_at(process, fd)
    process.files.check_room()
    new = connections.accept(process, file, flags & _NONBLOCK)
    number = process.files.add(new, bool(flags & _CLOEXEC))
    try:
        write_sockaddr(process, address, length, sockaddr(new.record.peer, new.record.family))
    except BaseException:
        process.files.close(number)
        raise
    return number


def sys_shutdown(process: Process, fd: int, how: int) -> int:
    connections.shutdown(socket_at(process, fd), how)
    return 0


# -- options --------------------------------------------------------------------------------------------------------------


def sys_setsockopt(process: Process, fd: int, level: int, name: int, value: int, size: int) -> int:
    file = socket_at(process, fd)
    if size < 0:
        raise GuestError(errno.EINVAL)
    data = process.memory.read(value, min(size, 4096)) if size else b""
    options.set_option(file.record, level, name, data, process.structs.word, process.identity.effective_uid == 0)
    connections.credentials_wanted(file)
    return 0


def sys_getsockopt(process: Process, fd: int, level: int, name: int, value: int, length: int) -> int:
    file = socket_at(process, fd)
    room = int.from_bytes(process.memory.read(length, 4), "little", signed=True)
    if room < 0:
        raise GuestError(errno.EINVAL)
    data = options.get_option(file.record, level, name, process.structs.word)[:room]
    process.memory.write(value, data)
    process.memory.write(length, struct.pack("<I", len(data)))
    return 0


_DOMAIN, _KIND = choice("socket_domain"), choice("socket_type")
_LEVEL, _NAME = choice("socket_level"), OPTION_NAME

ROWS: tuple[Syscall, ...] = (
    Syscall("socket", sys_socket, (_DOMAIN, _KIND, INT)),
    Syscall("socketpair", sys_socketpair, (_DOMAIN, _KIND, INT, FD_PAIR)),
    Syscall("bind", sys_bind, (FD, sockaddr_in(2), INT)),
    Syscall("listen", sys_listen, (FD, INT)),
    Syscall("connect", sys_connect, (FD, sockaddr_in(2), INT)),
    Syscall("accept", sys_accept, (FD, sockaddr_out(2), LENGTH)),
    Syscall("accept4", sys_accept4, (FD, sockaddr_out(2), LENGTH, flags("socket_flags"))),
    Syscall("getsockname", sys_getsockname, (FD, sockaddr_out(2), LENGTH)),
    Syscall("getpeername", sys_getpeername, (FD, sockaddr_out(2), LENGTH)),
    Syscall("shutdown", sys_shutdown, (FD, choice("shutdown"))),
    Syscall("setsockopt", sys_setsockopt, (FD, _LEVEL, _NAME, option_in(4), INT)),
    Syscall("getsockopt", sys_getsockopt, (FD, _LEVEL, _NAME, option_out(4), LENGTH)),
)

"""getsockopt and setsockopt: which options there are, and where their values are kept.

Options that only affect packets on a real network are kept and given back; they change nothing. Source: socket(7), tcp(7), ip(7), ipv6(7);
net/core/sock.c.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.sockets.constants import (
    AF_UNIX,
    INET,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    SOCK_STREAM,
    SOL_SOCKET,
)
from uselib.emulator.kernel.sockets.table import CONNECTED, LISTENS, SocketRecord
from uselib.linker.quick_dataclass import NamedTuple

# Places in SocketRecord.options
REUSEADDR, REUSEPORT, BROADCAST, PASSCRED, V6ONLY, SNDBUF, RCVBUF, LINGER_ON, LINGER, OOBINLINE, TOS = range(11)
_NEXT = 11
_ECN = 3  # bits of IP_TOS that are TCP's own
_SECOND = 1_000_000_000


class SocketOption(NamedTuple):
    """place: its index in SocketRecord.options. boolean: any value but 0 is kept as 1. low, high: the range of accepted values, else EINVAL.
    default: the value before it is set.
    """

    place: int
    boolean: bool = False
    default: int = 0
    low: int = -(2**31)
    high: int = 2**31 - 1


_BUFFER_MOST = 212992  # net.core.wmem_max and rmem_max as they are by default


def _places() -> Callable[[], int]:
    numbers = iter(range(_NEXT, 48))
    return lambda: next(numbers)


_new = _places()

# (level, name) -> option with a number as its value
NUMBERS: dict[tuple[int, int], SocketOption] = {
    (SOL_SOCKET, 1): SocketOption(_new(), True),  # SO_DEBUG
    (SOL_SOCKET, 2): SocketOption(REUSEADDR, True),
    (SOL_SOCKET, 5): SocketOption(_new(), True),  # SO_DONTROUTE
    (SOL_SOCKET, 6): SocketOption(BROADCAST, True),
    (SOL_SOCKET, 9): SocketOption(_new(), True),  # SO_KEEPALIVE
    (SOL_SOCKET, 10): SocketOption(OOBINLINE, True),
    (SOL_SOCKET, 11): SocketOption(_new(), True),  # SO_NO_CHECK
    (SOL_SOCKET, 12): SocketOption(_new()),  # SO_PRIORITY
    (SOL_SOCKET, 15): SocketOption(REUSEPORT, True),
    (SOL_SOCKET, 16): SocketOption(PASSCRED, True),
    (SOL_SOCKET, 18): SocketOption(_new(), default=1, low=0),  # SO_RCVLOWAT
    (SOL_SOCKET, 29): SocketOption(_new(), True),  # SO_TIMESTAMP
    (SOL_SOCKET, 34): SocketOption(_new(), True),  # SO_PASSSEC
    (SOL_SOCKET, 35): SocketOption(_new(), True),  # SO_TIMESTAMPNS
    (SOL_SOCKET, 36): SocketOption(_new()),  # SO_MARK
    (SOL_SOCKET, 46): SocketOption(_new()),  # SO_BUSY_POLL
    (IPPROTO_TCP, 1): SocketOption(_new(), True),  # TCP_NODELAY
    (IPPROTO_TCP, 2): SocketOption(_new(), default=536, low=88, high=32767),  # TCP_MAXSEG
    (IPPROTO_TCP, 3): SocketOption(_new(), True),  # TCP_CORK
    (IPPROTO_TCP, 4): SocketOption(_new(), default=7200, low=1, high=32767),  # TCP_KEEPIDLE
    (IPPROTO_TCP, 5): SocketOption(_new(), default=75, low=1, high=32767),  # TCP_KEEPINTVL
    (IPPROTO_TCP, 6): SocketOption(_new(), default=9, low=1, high=127),  # TCP_KEEPCNT
    (IPPROTO_TCP, 8): SocketOption(_new(), default=60),  # TCP_LINGER2
    (IPPROTO_TCP, 9): SocketOption(_new()),  # TCP_DEFER_ACCEPT
    (IPPROTO_TCP, 12): SocketOption(_new(), True, default=1),  # TCP_QUICKACK
    (IPPROTO_TCP, 18): SocketOption(_new(), low=0),  # TCP_USER_TIMEOUT
    (IPPROTO_TCP, 23): SocketOption(_new(), low=0),  # TCP_FASTOPEN
    (IPPROTO_TCP, 30): SocketOption(_new(), True),  # TCP_FASTOPEN_CONNECT
    (IPPROTO_IP, 1): SocketOption(TOS, high=255),  # IP_TOS
    (IPPROTO_IP, 2): SocketOption(_new(), default=64, low=-1, high=255),  # IP_TTL
    (IPPROTO_IP, 8): SocketOption(_new(), True),  # IP_PKTINFO
    (IPPROTO_IP, 10): SocketOption(_new(), default=1, low=0, high=5),  # IP_MTU_DISCOVER
    (IPPROTO_IP, 11): SocketOption(_new(), True),  # IP_RECVERR
    (IPPROTO_IP, 15): SocketOption(_new(), True),  # IP_FREEBIND
    (IPPROTO_IP, 33): SocketOption(_new(), default=1, low=-1, high=255),  # IP_MULTICAST_TTL
    (IPPROTO_IP, 34): SocketOption(_new(), True, default=1),  # IP_MULTICAST_LOOP
    (IPPROTO_IPV6, 16): SocketOption(_new(), default=64, low=-1, high=255),  # IPV6_UNICAST_HOPS
    (IPPROTO_IPV6, 18): SocketOption(_new(), default=1, low=-1, high=255),  # IPV6_MULTICAST_HOPS
    (IPPROTO_IPV6, 19): SocketOption(_new(), True, default=1),  # IPV6_MULTICAST_LOOP
    (IPPROTO_IPV6, 25): SocketOption(_new(), True),  # IPV6_RECVERR
    (IPPROTO_IPV6, 26): SocketOption(V6ONLY, True),
    (IPPROTO_IPV6, 49): SocketOption(_new(), True),  # IPV6_RECVPKTINFO
    (IPPROTO_IPV6, 67): SocketOption(_new(), default=0, low=-1, high=255),  # IPV6_TCLASS
}
_LEVELS = {AF_UNIX: (SOL_SOCKET,), INET[0]: (SOL_SOCKET, IPPROTO_IP), INET[1]: (SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6)}
_SO_TYPE, _SO_ERROR, _SO_SNDBUF, _SO_RCVBUF, _SO_LINGER, _SO_PEERCRED = 3, 4, 7, 8, 13, 17
_SO_ACCEPTCONN, _SO_SNDBUFFORCE, _SO_RCVBUFFORCE, _SO_PROTOCOL, _SO_DOMAIN, _SO_SNDLOWAT = 30, 32, 33, 38, 39, 19
_TIMEOUTS = {20: "receive_timeout", 21: "send_timeout", 66: "receive_timeout", 67: "send_timeout"}
_TCP_INFO = 11
_DEFAULT_BUFFERS = {AF_UNIX: (212992, 212992)}  # sending, receiving
_TCP_BUFFERS, _UDP_BUFFERS = (2626560, 131072), (212992, 212992)


def _has_level(record: SocketRecord, level: int) -> bool:
    return level in _LEVELS[record.family] or (
        level == IPPROTO_TCP and record.family in INET and record.type == SOCK_STREAM
    )


def _absent(record: SocketRecord, sets: bool) -> GuestError:
    """The error for a level of another protocol. AF_UNIX has no level but SOL_SOCKET (sock_no_setsockopt)."""
    return GuestError(errno.ENOPROTOOPT if sets and record.family != AF_UNIX else errno.EOPNOTSUPP)


def start(record: SocketRecord) -> None:
    """The options of a new socket."""
    for option in NUMBERS.values():
        record.options[option.place] = option.default
    buffers = _DEFAULT_BUFFERS.get(record.family) or (_TCP_BUFFERS if record.type == SOCK_STREAM else _UDP_BUFFERS)
    record.options[SNDBUF], record.options[RCVBUF] = buffers


def inherit(record: SocketRecord, listener: SocketRecord) -> None:
    """An accepted connection gets the options of the socket that listens."""
    record.options[:] = listener.options[:]
    record.receive_timeout, record.send_timeout = listener.receive_timeout, listener.send_timeout


def _check_family(record: SocketRecord, option: SocketOption) -> None:
    """Only AF_UNIX has credentials (sk_may_scm_recv)."""
    if option.place == PASSCRED and record.family != AF_UNIX:
        raise GuestError(errno.EOPNOTSUPP)


def _number(data: bytes) -> int:
    """Raises GuestError(EINVAL) for fewer than 4 bytes."""
    if len(data) < 4:
        raise GuestError(errno.EINVAL)
    return int.from_bytes(data[:4], "little", signed=True)


def set_option(record: SocketRecord, level: int, name: int, data: bytes, word: int, privileged: bool) -> None:
    """data: the value's bytes; word: of the guest's machine. Raises GuestError."""
    if not _has_level(record, level):
        raise _absent(record, True)
    if level == SOL_SOCKET and name in _SPECIAL:
        _SPECIAL[name](record, name, data, word, privileged)
        return
    option = NUMBERS.get((level, name))
    if option is None:
        raise GuestError(errno.ENOPROTOOPT)
    _check_family(record, option)
    short = level != SOL_SOCKET and level != IPPROTO_TCP and len(data) in (1, 2, 3)
    value = data[0] if short else _number(data)
    if option.place == V6ONLY and record.bound:
        raise GuestError(errno.EINVAL)
    if option.place == REUSEPORT and record.family == AF_UNIX:
        raise GuestError(errno.EOPNOTSUPP)
    if option.place == TOS and record.type == SOCK_STREAM:
        value &= ~_ECN
    if option.boolean:
        value = int(bool(value))
    elif not option.low <= value <= option.high:
        raise GuestError(errno.EINVAL)
    record.options[option.place] = value


def _set_buffer(record: SocketRecord, name: int, data: bytes, word: int, privileged: bool) -> None:
    if name in (_SO_SNDBUFFORCE, _SO_RCVBUFFORCE) and not privileged:
        raise GuestError(errno.EPERM)
    sends = name in (_SO_SNDBUF, _SO_SNDBUFFORCE)
    size = min(_number(data) & 0xFFFF_FFFF, _BUFFER_MOST)
    record.options[SNDBUF if sends else RCVBUF] = max(2 * size, 4608 if sends else 2304)


def _set_linger(record: SocketRecord, name: int, data: bytes, word: int, privileged: bool) -> None:
    if len(data) < 8:
        raise GuestError(errno.EINVAL)
    on, seconds = struct.unpack_from("<ii", data)
    record.options[LINGER_ON] = int(bool(on))
    record.options[LINGER] = seconds if on else record.options[LINGER]


def _time_layout(name: int, word: int) -> struct.Struct:
    return struct.Struct("<qq" if word == 8 or name >= 66 else "<ii")


def _set_timeout(record: SocketRecord, name: int, data: bytes, word: int, privileged: bool) -> None:
    layout = _time_layout(name, word)
    if len(data) < layout.size:
        raise GuestError(errno.EINVAL)
    seconds, microseconds = layout.unpack_from(data)
    if not 0 <= microseconds < 1_000_000:
        raise GuestError(errno.EDOM)
    time = 0 if seconds < 0 else seconds * _SECOND + microseconds * 1000
    setattr(record, _TIMEOUTS[name], min(time, 1 << 62))


def _not_settable(record: SocketRecord, name: int, data: bytes, word: int, privileged: bool) -> None:
    raise GuestError(errno.ENOPROTOOPT)


def _set_device(record: SocketRecord, name: int, data: bytes, word: int, privileged: bool) -> None:
    """SO_BINDTODEVICE: the loopback interface is the only one."""
    device = data.split(b"\0", 1)[0]
    if device and device != b"lo":
        raise GuestError(errno.ENODEV)


_SPECIAL: dict[int, Callable[[SocketRecord, int, bytes, int, bool], None]] = {
    _SO_SNDBUF: _set_buffer,
    _SO_RCVBUF: _set_buffer,
    _SO_SNDBUFFORCE: _set_buffer,
    _SO_RCVBUFFORCE: _set_buffer,
    _SO_LINGER: _set_linger,
    25: _set_device,
    **dict.fromkeys(_TIMEOUTS, _set_timeout),
    **dict.fromkeys(
        (_SO_TYPE, _SO_ERROR, _SO_ACCEPTCONN, _SO_PROTOCOL, _SO_DOMAIN, _SO_PEERCRED, _SO_SNDLOWAT), _not_settable
    ),
}

_READ_ONLY: dict[int, Callable[[SocketRecord], int]] = {
    _SO_TYPE: lambda record: record.type,
    _SO_ERROR: lambda record: record.take_error(),
    _SO_ACCEPTCONN: lambda record: int(record.state == LISTENS),
    _SO_PROTOCOL: lambda record: record.protocol,
    _SO_DOMAIN: lambda record: record.family,
    _SO_SNDLOWAT: lambda record: 1,
    _SO_SNDBUF: lambda record: record.options[SNDBUF],
    _SO_RCVBUF: lambda record: record.options[RCVBUF],
}


def get_option(record: SocketRecord, level: int, name: int, word: int) -> bytes:
    """The value's bytes. Raises GuestError."""
    if not _has_level(record, level):
        raise _absent(record, False)
    if level == SOL_SOCKET:
        if name in _READ_ONLY:
            return struct.pack("<i", _READ_ONLY[name](record))
        if name == _SO_LINGER:
            return struct.pack("<ii", record.options[LINGER_ON], record.options[LINGER])
        if name in _TIMEOUTS:
            seconds, rest = divmod(getattr(record, _TIMEOUTS[name]), _SECOND)
            return _time_layout(name, word).pack(seconds, rest // 1000)
        if name == _SO_PEERCRED:
            if record.family == AF_UNIX and record.peer_pid:
                return struct.pack("<iII", record.peer_pid, record.peer_uid, record.peer_gid)
            return struct.pack("<iII", 0, 0xFFFF_FFFF, 0xFFFF_FFFF)
    if level == IPPROTO_TCP and name == _TCP_INFO:
        return bytes([1 if record.state == CONNECTED else 10 if record.state == LISTENS else 7]).ljust(104, b"\0")
    option = NUMBERS.get((level, name))
    if option is None:
        raise GuestError(errno.ENOPROTOOPT)
    _check_family(record, option)
    return struct.pack("<i", record.options[option.place])

"""ioctl(2) for descriptors of all kinds, and for terminals.

The module lists the requests that are passed on. Requests that reach beyond the guest are refused: characters pushed into a terminal
(TIOCSTI), the attributes of files. The guest cannot change the size of the user's terminal; it can change that of terminals it has made.
Source: ioctl_tty(2), drivers/tty/tty_io.c, tty_jobctrl.c.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Callable

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import FD, UINT, ArgumentKind, choice
from uselib.emulator.kernel.calls.fcntl import set_flags
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Handler, Syscall, Undo
from uselib.emulator.kernel.terminals import session_of
from uselib.emulator.kernel.vfs.descriptions import Description
from uselib.emulator.kernel.vfs.host_files import HostFile

TCGETS, TCSETS, TCSETSW, TCSETSF = 0x5401, 0x5402, 0x5403, 0x5404
TIOCSCTTY, TIOCGPGRP, TIOCSPGRP, TIOCOUTQ = 0x540E, 0x540F, 0x5410, 0x5411
TIOCGWINSZ, TIOCSWINSZ, FIONREAD, TIOCPKT, FIONBIO, TIOCNOTTY = 0x5413, 0x5414, 0x541B, 0x5420, 0x5421, 0x5422
TIOCGSID, FIONCLEX, FIOCLEX, FIOASYNC = 0x5429, 0x5450, 0x5451, 0x5452
TIOCGPTN, TIOCSPTLCK, TIOCGDEV, TIOCGPTPEER = 0x80045430, 0x40045431, 0x80045432, 0x5441
_NUMBER = 4  # bytes of an int

# Requests of terminals that go to the host unchanged -> bytes that the kernel reads, bytes that it writes. The argument # is a number where
# both are 0.
_PASSED: dict[int, tuple[int, int]] = {
    TCGETS: (0, 36),  # struct termios of the kernel
    TCSETS: (36, 0),
    TCSETSW: (36, 0),
    TCSETSF: (36, 0),
    0x5405: (0, 18),  # TCGETA: struct termio
    0x5406: (18, 0),
    0x5407: (18, 0),
    0x5408: (18, 0),
    0x5409: (0, 0),  # TCSBRK
    0x540A: (0, 0),  # TCXONC
    0x540B: (0, 0),  # TCFLSH
    0x540C: (0, 0),  # TIOCEXCL
    0x540D: (0, 0),  # TIOCNXCL
    TIOCSCTTY: (0, 0),
    TIOCOUTQ: (0, 4),
    TIOCGWINSZ: (0, 8),
    0x5415: (0, 4),  # TIOCMGET
    TIOCPKT: (4, 0),
    TIOCNOTTY: (0, 0),
    0x5423: (4, 0),  # TIOCSETD
    0x5424: (0, 4),  # TIOCGETD
    0x5425: (0, 0),  # TCSBRKP
    0x5427: (0, 0),  # TIOCSBRK
    0x5428: (0, 0),  # TIOCCBRK
    0x802C542A: (0, 44),  # TCGETS2: struct termios2
    0x402C542B: (44, 0),
    0x402C542C: (44, 0),
    0x402C542D: (44, 0),
    TIOCSPTLCK: (4, 0),
    0x80045438: (0, 4),  # TIOCGPKT
    0x80045439: (0, 4),  # TIOCGPTLCK
    0x80045440: (0, 4),  # TIOCGEXCL
}


def _terminal(file: Description) -> int:
    """Raises GuestError(ENOTTY)."""
    if file.fd < 0 or not os.isatty(file.fd):
        raise GuestError(errno.ENOTTY)
    return file.fd


def _pass(process: Process, file: Description, request: int, argument: int) -> int:
    fd, (read, written) = _terminal(file), _PASSED[request]
    if not read and not written:
        # a terminal that controls another session is not taken from it, even for root
        return fcntl.ioctl(fd, request, 0 if request == TIOCSCTTY else argument & 0x7FFFFFFF)
    data = process.memory.read(argument, read) if read else bytes(written)
    answer = fcntl.ioctl(fd, request, data.ljust(64, b"\0"))
    if written:
        process.memory.write(argument, answer[:written])
    return 0


def _set_size(process: Process, file: Description, fd: int, address: int) -> int:
    host, size = _terminal(file), process.memory.read(address, 8)
    if process.terminals.is_own(host):
        fcntl.ioctl(host, TIOCSWINSZ, size)
    return 0


def _int(process: Process, address: int) -> int:
    return int.from_bytes(process.memory.read(address, _NUMBER), "little", signed=True)


def _store(process: Process, address: int, value: int) -> int:
    process.memory.write(address, struct.pack("<i", value))
    return 0


def _get_group(process: Process, file: Description, fd: int, address: int) -> int:
    """The terminal's foreground group; 1 for a group outside of the guest."""
    group = os.tcgetpgrp(_terminal(file))
    return _store(process, address, (process.pids.guest_group(group) or 1) if group > 0 else 0)


_INIT = 1  # the process, and its group, that stands for all outside of the guest


def _set_group(process: Process, file: Description, fd: int, address: int) -> int:
    host, group = _terminal(file), _int(process, address)
    if session_of(host) != os.getsid(0):
        raise GuestError(errno.ENOTTY)
    if group < 0:
        raise GuestError(errno.EINVAL)
    pids = process.pids
    members = pids.members(group)
    if not members:
        raise GuestError(errno.EPERM if group == _INIT else errno.ESRCH)
    if pids.groups(members[0])[1] != pids.groups(process.identity.pid)[1]:
        raise GuestError(errno.EPERM)
    os.tcsetpgrp(host, pids.host_group(group))
    return 0


def _get_session(process: Process, file: Description, fd: int, address: int) -> int:
    session = session_of(_terminal(file))
    if session < 0:
        raise GuestError(errno.ENOTTY)
    return _store(process, address, process.pids.guest_session(session) or 1)


def _number(process: Process, file: Description, fd: int, address: int) -> int:
    """TIOCGPTN"""
    return _store(process, address, process.terminals.master(_terminal(file)))


def _device(process: Process, file: Description, fd: int, address: int) -> int:
    """TIOCGDEV: the number of the terminal itself, also of /dev/tty."""
    number = process.terminals.device(os.fstat(_terminal(file)))
    return _store(process, address, 136 << 8 | number if number is not None else 5 << 8 | 2)


def _peer(process: Process, file: Description, fd: int, flags: int) -> int:
    """TIOCGPTPEER: opens the slave of a master."""
    number = process.terminals.master(_terminal(file))
    host = C.host_open_flags(flags) & ~(0 if flags & C.O_NOCTTY else os.O_NOCTTY)
    opened = HostFile(process.terminals.open(number, host), b"/dev/pts/%d" % number, flags)
    return process.files.add(opened, bool(flags & C.O_CLOEXEC))


def _unread(process: Process, file: Description, fd: int, address: int) -> int:
    """FIONREAD"""
    if file.fd < 0 or file.directory is not None:
        raise GuestError(errno.ENOTTY)
    process.memory.write(address, file.unread().to_bytes(_NUMBER, "little"))
    return 0


def _nonblocking(process: Process, file: Description, fd: int, address: int) -> int:
    """FIONBIO"""
    on = _int(process, address)
    return set_flags(process, fd, file.flags & ~C.O_NONBLOCK | (C.O_NONBLOCK if on else 0))


def _asynchronous(process: Process, file: Description, fd: int, address: int) -> int:
    """FIOASYNC: files that cannot send signals accept it. Here all others accept it too, without effect."""
    _int(process, address)
    if file.fd >= 0 and stat.S_ISREG(os.fstat(file.fd).st_mode):
        raise GuestError(errno.ENOTTY)
    return 0


def _close_on_exec(value: bool) -> Handler:
    def handler(process: Process, file: Description, fd: int, address: int) -> int:
        process.files.descriptor(fd).cloexec = value
        return 0

    return handler


_Ioctl = Callable[[Process, Description, int, int], int]

IOCTLS: dict[int, _Ioctl] = {
    TIOCSWINSZ: _set_size,
    TIOCGPGRP: _get_group,
    TIOCSPGRP: _set_group,
    TIOCGSID: _get_session,
    TIOCGPTN: _number,
    TIOCGDEV: _device,
    TIOCGPTPEER: _peer,
    FIONREAD: _unread,
    FIONBIO: _nonblocking,
    FIOASYNC: _asynchronous,
    FIOCLEX: _close_on_exec(True),
    FIONCLEX: _close_on_exec(False),
}


def sys_ioctl(process: Process, fd: int, request: int, argument: int) -> int:
    file = process.files.get(fd)
    if file.flags & C.O_PATH:
        raise GuestError(errno.EBADF)
    if request in _PASSED:
        return _pass(process, file, request, argument)
    handler = IOCTLS.get(request)
    if handler is None:
        raise GuestError(errno.ENOTTY)
    return handler(process, file, fd, argument)


ROWS: tuple[Syscall, ...] = (
    Syscall(
        "ioctl", sys_ioctl, (FD, choice("ioctl", UINT.width), ArgumentKind("ioctl", updated=True)), undo=Undo.MEMORY
    ),
)

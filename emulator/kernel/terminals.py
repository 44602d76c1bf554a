"""The guest's terminals: that of the standard files, and the pseudo-terminals that it makes. Both are the host's.

The guest's numbers (/dev/pts/N) count from 0: first the terminals that its standard files are on, then its own in the order in which they are
made. A pseudo-terminal is taken from a supply that `reserve` makes before a sandbox forbids opening others: masters wait in a socket pair that
all processes of the guest inherit, so that each is taken by one, and the host closes the line when that one closes it. Of each slave there is
an O_PATH descriptor, through which it is opened: so a number that the host has given to another terminal meanwhile is never used.
Source: pts(4), ioctl_tty(2), drivers/tty/pty.c.
"""

from __future__ import annotations

import _socket  # importing `socket` would take 2 ms in every run
import errno
import fcntl
import mmap
import os
import stat
import struct
from contextlib import suppress

from uselib.emulator.kernel.errors import GuestError
from uselib.linker.quick_dataclass import dataclass

SUPPLY = 8  # pseudo-terminals of one run
_TIOCGPTN = 0x80045430
_UNUSED, _TAKEN = 0, 1


@dataclass(frozen=True)
class _Supply:
    """slaves: O_PATH descriptors; devices: st_rdev of each on the host; taken: shared memory, a byte each."""

    take: _socket.socket
    slaves: tuple[int, ...]
    devices: tuple[int, ...]
    taken: mmap.mmap


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


class Terminals:
    def __init__(self) -> None:
        self._supply: _Supply | None = None
        self._refused = False
        self._outside: list[int] | None = (
            None  # st_rdev of the standard files' terminals, in the order of the descriptors
        )
        self._kept: list[int] = []  # a descriptor of each

    def _standard(self) -> list[int]:
        """Looked for once, before the guest can have moved its descriptors."""
        if self._outside is None:
            self._outside = []
            for fd in range(3):
                if _is_terminal(fd) and (device := os.fstat(fd).st_rdev) not in self._outside:
                    self._outside.append(device)
                    self._kept.append(os.dup(fd))
        return self._outside

    def reserve(self) -> None:
        """Makes the supply. Without it (no /dev/ptmx) the guest has no pseudo-terminals."""
        self._standard()
        if self._supply is not None or self._refused:
            return
        masters: list[int] = []
        slaves: list[int] = []
        take, give = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        try:
            for _ in range(SUPPLY):
                masters.append(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
                (number,) = struct.unpack("i", fcntl.ioctl(masters[-1], _TIOCGPTN, bytes(4)))
                slaves.append(os.open(f"/dev/pts/{number}", os.O_PATH | os.O_CLOEXEC))
                rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", masters[-1]))]
                give.sendmsg([len(slaves).to_bytes(4, "little")], rights)
        except OSError:
            self._refused = not slaves
        finally:
            for master in masters:
                os.close(master)
            give.close()
        if slaves:
            devices = tuple(os.fstat(fd).st_rdev for fd in slaves)
            self._supply = _Supply(take, tuple(slaves), devices, mmap.mmap(-1, SUPPLY))
        else:
            take.close()

    @property
    def slaves(self) -> tuple[int, ...]:
        """O_PATH descriptors, for a sandbox that allows them to be opened."""
        return self._supply.slaves if self._supply is not None else ()

    def close(self) -> None:
        """The run is over."""
        for fd in self._kept:
            os.close(fd)
        self._kept.clear()
        if self._supply is not None:
            self._supply.take.close()
            for fd in self._supply.slaves:
                os.close(fd)
            self._supply = None

    # -- numbers ------------------------------------------------------------------------------------------------------

    def device(self, status: os.stat_result) -> int | None:
        """The guest's number of the terminal (a slave) with this status; None if it is not one of the guest's."""
        if not stat.S_ISCHR(status.st_mode):
            return None
        standard = self._standard()
        if status.st_rdev in standard:
            return standard.index(status.st_rdev)
        supply = self._supply
        if supply is not None and status.st_rdev in supply.devices:
            return len(standard) + supply.devices.index(status.st_rdev)
        return None

    def master(self, fd: int) -> int:
        """TIOCGPTN: the guest's number of a master's slave. Raises GuestError(ENOTTY)."""
        (number,) = struct.unpack("i", fcntl.ioctl(fd, _TIOCGPTN, bytes(4)))
        supply = self._supply
        if supply is not None:
            for index, device in enumerate(supply.devices):
                if os.minor(device) == number:
                    return len(self._standard()) + index
        raise GuestError(errno.ENOTTY)

    def is_own(self, fd: int) -> bool:
        """Whether the guest has made the terminal of this descriptor, master or slave."""
        status = os.fstat(fd)
        if os.major(status.st_rdev) == 5:  # a master; all are the guest's
            return True
        number = self.device(status)
        return number is not None and number >= len(self._standard())

    def numbers(self) -> list[int]:
        """The numbers in /dev/pts: the standard files' terminals, and the pseudo-terminals in use."""
        standard = list(range(len(self._standard())))
        supply = self._supply
        if supply is None:
            return standard
        used = [index for index in range(len(supply.slaves)) if supply.taken[index] == _TAKEN and self._lives(index)]
        return standard + [len(standard) + index for index in used]

    def _lives(self, index: int) -> bool:
        """Whether the master is open: devpts removes the name of a slave whose line is closed."""
        assert self._supply is not None
        return os.fstat(self._supply.slaves[index]).st_nlink > 0

    # -- opening ------------------------------------------------------------------------------------------------------

    def make(self, flags: int) -> int:
        """A new pseudo-terminal: the host's descriptor of its master. Raises GuestError: ENOSPC when the supply is used up."""
        self.reserve()
        supply = self._supply
        if supply is None:
            raise GuestError(errno.ENODEV)
        try:
            data, ancillary, _, _ = supply.take.recvmsg(
                4, _socket.CMSG_SPACE(4), _socket.MSG_DONTWAIT | _socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            raise GuestError(errno.ENOSPC) from None
        if not data:
            raise GuestError(errno.ENOSPC)
        fd = int.from_bytes(ancillary[0][2][:4], "little")
        supply.taken[int.from_bytes(data, "little") - 1] = _TAKEN
        if flags & os.O_NONBLOCK:
            os.set_blocking(fd, False)
        return fd

    def open(self, number: int, flags: int) -> int:
        """The slave of that number. Raises GuestError, OSError: EIO where it is locked or its line is closed."""
        standard = self._standard()
        if number < len(standard):
            return os.dup(self._kept[number])
        supply, index = self._supply, number - len(standard)
        if supply is None or index >= len(supply.slaves) or supply.taken[index] != _TAKEN:
            raise GuestError(errno.ENOENT)
        return os.open(f"/proc/self/fd/{supply.slaves[index]}", flags)

    def _candidates(self) -> list[int]:
        """New descriptors of the terminals that the guest knows."""
        found = [os.dup(fd) for fd in self._kept]
        if self._supply is not None:
            for index, slave in enumerate(self._supply.slaves):
                if self._supply.taken[index] == _TAKEN:
                    with suppress(OSError):
                        found.append(os.open(f"/proc/self/fd/{slave}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
        return found

    def controlling(self, flags: int = os.O_RDWR) -> int:
        """/dev/tty: a descriptor of the terminal of this process's session. Raises GuestError(ENXIO)."""
        self._standard()
        chosen = -1
        for fd in self._candidates():
            if chosen < 0 and session_of(fd) == os.getsid(0):
                chosen = fd
            else:
                os.close(fd)
        if chosen < 0:
            raise GuestError(errno.ENXIO)
        if flags & os.O_NONBLOCK:
            os.set_blocking(chosen, False)
        return chosen


def session_of(fd: int) -> int:
    """The host's number of the session that a terminal controls; -1: it is not this process's controlling terminal."""
    try:
        (session,) = struct.unpack("i", fcntl.ioctl(fd, 0x5429, bytes(4)))  # TIOCGSID
    except OSError:
        return -1
    return int(session)

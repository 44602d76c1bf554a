"""A process in the background that reads or writes its controlling terminal: its group gets SIGTTIN or SIGTTOU, or the call fails with EIO.

The host's kernel does this for a process with the default action. It cannot do it where the guest has a handler: Python's read and write
would be repeated without end. Source: drivers/tty/tty_jobctrl.c (__tty_check_change), n_tty.c (job_control).
"""

from __future__ import annotations

import errno
import os

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.identity import ProcessIdentity
from uselib.emulator.kernel.pids import PidTable
from uselib.emulator.kernel.signals.numbers import SIG_DFL, SIGTTIN, SIGTTOU
from uselib.emulator.kernel.signals.state import SignalState
from uselib.linker.quick_typing import Protocol

_LOCAL_FLAGS = 3  # index in tcgetattr's list


class JobMember(Protocol):
    """A process, as a member of a job."""

    @property
    def signals(self) -> SignalState: ...
    @property
    def pids(self) -> PidTable: ...
    @property
    def identity(self) -> ProcessIdentity: ...


def in_background(fd: int) -> bool:
    """Whether another group is in the foreground of the terminal. It is this process's controlling one, or the answer is no; a master would
    give the group of its slave (HostFile.terminal is False for it)."""
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:
        return False


def may_read(process: JobMember, fd: int) -> bool:
    """Whether the process may read the terminal now. False: call the host's read without waiting before. Raises GuestError(EIO, EINTR)."""
    return not in_background(fd) or _refuse(process, SIGTTIN)


def may_write(process: JobMember, fd: int) -> bool:
    """As `may_read`, for writing. Only a terminal with TOSTOP keeps background processes from writing."""
    if not in_background(fd):
        return True
    import termios  # for terminals only

    if not termios.tcgetattr(fd)[_LOCAL_FLAGS] & termios.TOSTOP:
        return True
    signals = process.signals
    if signals.is_ignored(SIGTTOU) or signals.thread.blocked >> SIGTTOU - 1 & 1:
        return True
    return _refuse(process, SIGTTOU)


def _refuse(process: JobMember, signal: int) -> bool:
    signals, pids, own = process.signals, process.pids, process.identity.pid
    if signals.is_ignored(signal) or signals.thread.blocked >> signal - 1 & 1:
        raise GuestError(errno.EIO)
    if signals.handler(signal) == SIG_DFL:
        return False
    for pid in pids.members(pids.groups(own)[0]):
        if pid != own:
            pids.send(pid, signal)
    signals.send(signal)
    raise GuestError(errno.EINTR)

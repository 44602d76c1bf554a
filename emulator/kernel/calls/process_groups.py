"""Groups and sessions. Each group of the guest is a group of the host as well (pids.PidTable), so that the host's terminals and waits know
it. The guest's table says which process is in which group. Source: kernel/sys.c, kernel/exit.c of Linux.
"""

from __future__ import annotations

import errno
import os

from uselib.emulator.kernel.arguments import PID
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall

INIT = 1  # it exists, in a group and a session of its own


def groups_of(process: Process, pid: int) -> tuple[int, int]:
    """Group and session of a process; 0 means this one. Raises GuestError(ESRCH)."""
    if pid == INIT:
        return INIT, INIT
    try:
        return process.pids.groups(pid or process.identity.pid)
    except ProcessLookupError:
        raise GuestError(errno.ESRCH) from None


def sys_getpgrp(process: Process) -> int:
    return groups_of(process, 0)[0]


def sys_getpgid(process: Process, pid: int) -> int:
    return groups_of(process, pid)[0]


def sys_getsid(process: Process, pid: int) -> int:
    return groups_of(process, pid)[1]


def sys_setpgid(process: Process, pid: int, group: int) -> int:
    """Sets the group of the process itself, or of a child that has not called execve. Raises GuestError(EINVAL, ESRCH, EPERM, EACCES)."""
    own, pids = process.identity.pid, process.pids
    pid = pid or own
    group = group or pid
    if group < 0:
        raise GuestError(errno.EINVAL)
    if pid != own and (pids.alone or pids.child(pid, own) is None):
        raise GuestError(errno.ESRCH)
    _, session = groups_of(process, own)
    old, its_session = groups_of(process, pid)
    if its_session != session:
        raise GuestError(errno.EPERM)
    if pid != own and pids.has_executed(pid):
        raise GuestError(errno.EACCES)
    if its_session == pid:
        raise GuestError(errno.EPERM)
    members = [] if group == pid else pids.members(group)
    if group != pid and (not members or pids.groups(members[0])[1] != session):
        raise GuestError(errno.EPERM)
    if group != old and (host := pids.host_of(pid)):
        os.setpgid(host, host if group == pid else pids.host_group(group))
    pids.set_groups(pid, group, session)
    return 0


def sys_setsid(process: Process) -> int:
    own = process.identity.pid
    if process.pids.members(own):
        raise GuestError(errno.EPERM)
    os.setsid()
    process.pids.set_groups(own, own, own)
    return own


ROWS = (
    Syscall("getpgrp", sys_getpgrp),
    Syscall("getpgid", sys_getpgid, (PID,)),
    Syscall("setpgid", sys_setpgid, (PID, PID)),
    Syscall("getsid", sys_getsid, (PID,)),
    Syscall("setsid", sys_setsid),
)

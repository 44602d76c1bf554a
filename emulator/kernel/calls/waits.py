"""wait4, waitpid, waitid: the host's waits, with the guest's process numbers.

Source: kernel/exit.c of Linux, wait(2).
"""

from __future__ import annotations

import errno
import os
import struct
from contextlib import suppress

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.calls.pidfds import pid_file
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.shared.process_rows import RUNNING, STOPPED
from uselib.emulator.kernel.table import Syscall, Undo
from uselib.emulator.kernel.waiting import READ, patient, until
from uselib.linker.image import Machine

WNOHANG, WUNTRACED, WEXITED, WCONTINUED, WNOWAIT = 1, 2, 4, 8, 0x1000000
P_ALL, P_PID, P_PGID, P_PIDFD = 0, 1, 2, 3
_WAITID_OPTIONS = WNOHANG | WUNTRACED | WEXITED | WCONTINUED | WNOWAIT | 0xE0000000  # __WNOTHREAD, __WALL, __WCLONE


def _target(process: Process, id_type: int, number: int) -> tuple[int, int]:
    """waitid's type and number for the host. A group must be that of a child. Raises GuestError(ECHILD)."""
    pids, own = process.pids, process.identity.pid
    if id_type == P_ALL:
        return P_ALL, 0
    if id_type == P_PID:
        host = pids.child(number, own)
        if host is None:
            raise GuestError(errno.ECHILD)
        return P_PID, host
    for pid in pids.members(number or pids.groups(own)[0]):
        host = pids.child(pid, own)
        if host is not None:
            with suppress(OSError):
                return P_PGID, os.getpgid(host)
    raise GuestError(errno.ECHILD)


def _wait(process: Process, id_type: int, target: int, flags: int) -> os.waitid_result | None:
    """Calls the host's waitid. A signal with a guest handler ends the wait (EINTR)."""
    if flags & WNOHANG or (not patient(process) and process.clock.alarm_at is None):
        return os.waitid(id_type, target, flags)
    woken = not process.threads.many and process.signals.watch_children()
    end = -1
    if not woken and id_type == P_PID and not flags & (WUNTRACED | WCONTINUED):
        with suppress(OSError):  # Linux before 5.3
            end = os.pidfd_open(target)
    try:
        ends = [(end, READ)] if end >= 0 else []
        return until(
            process, lambda: os.waitid(id_type, target, flags | os.WNOHANG), fds=ends, retry=not woken and not ends
        )
    finally:
        if end >= 0:
            os.close(end)


def sys_wait4(process: Process, pid: int, status_at: int, options: int, usage: int) -> int:
    if options & 0x1FFF_FFFF & ~(WNOHANG | WUNTRACED | WCONTINUED):  # __WCLONE and similar flags are accepted
        raise GuestError(errno.EINVAL)
    if pid == -(1 << 31):
        raise GuestError(errno.ESRCH)
    target = _target(process, P_PID if pid > 0 else P_ALL if pid == -1 else P_PGID, abs(pid))
    flags = os.WEXITED | (os.WNOHANG if options & WNOHANG else 0)
    flags |= (os.WSTOPPED if options & WUNTRACED else 0) | (os.WCONTINUED if options & WCONTINUED else 0)
    result = _wait(process, *target, flags)
    if result is None:
        return 0
    child = process.pids.guest(result.si_pid) or 0
    status = _status_word(result)
    _note(process, child, result)
    if result.si_code in (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED):
        process.pids.forget(child)
    if status_at:
        process.memory.write(status_at, struct.pack("<I", status))
    if usage:
        process.memory.write(usage, process.structs["rusage"].encode({}))
    return child


def _note(process: Process, child: int, result: os.waitid_result) -> None:
    """Records for /proc a stop that the host has reported."""
    if result.si_code in (os.CLD_STOPPED, os.CLD_CONTINUED):
        process.pids.set_state(child, STOPPED if result.si_code == os.CLD_STOPPED else RUNNING)


def _status_word(result: os.waitid_result) -> int:
    """wait(2)'s status from waitid's fields."""
    code, status = result.si_code, result.si_status
    if code == os.CLD_EXITED:
        return (status & 0xFF) << 8
    if code in (os.CLD_KILLED, os.CLD_DUMPED):
        return status & 0x7F | (0x80 if code == os.CLD_DUMPED else 0)
    if code == os.CLD_CONTINUED:
        return 0xFFFF
    return status << 8 | 0x7F


def sys_waitpid(process: Process, pid: int, status_at: int, options: int) -> int:
    return sys_wait4(process, pid, status_at, options, 0)


def _without_waiting(process: Process, pid: int, info: int, options: int, usage: int) -> int:
    """Whether it is a pidfd with PIDFD_NONBLOCK."""
    if process.pids.runs(pid):
        raise GuestError(errno.EAGAIN)
    return sys_waitid(process, P_PID, pid, info, options, usage)


def sys_waitid(process: Process, id_type: int, target: int, info: int, options: int, usage: int) -> int:
    if id_type == P_PIDFD:
        if target < 0:
            raise GuestError(errno.EINVAL)
        file = pid_file(process, target)
        id_type, target = P_PID, file.pid
        if file.flags & C.O_NONBLOCK and not options & WNOHANG:
            return _without_waiting(process, target, info, options, usage)
    if id_type not in (P_ALL, P_PID, P_PGID) or not options & (WEXITED | WUNTRACED | WCONTINUED):
        raise GuestError(errno.EINVAL)
    if options & ~_WAITID_OPTIONS or (id_type in (P_PID, P_PGID) and target < (id_type == P_PID)):
        raise GuestError(errno.EINVAL)
    whom = _target(process, id_type, target)
    flags = options & (WNOHANG | WUNTRACED | WEXITED | WCONTINUED | WNOWAIT)
    result = _wait(process, *whom, flags)
    data = bytes(128)
    if result is not None:
        from uselib.emulator.kernel.signals.frames import SignalInfo

        child = process.pids.guest(result.si_pid) or 0
        _note(process, child, result)
        data = SignalInfo(17, result.si_code, child, process.identity.uid, status=result.si_status).encode(
            process.machine.word
        )
        if not options & WNOWAIT and result.si_code in (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED):
            process.pids.forget(child)
    if info:
        process.memory.write(info, data)
    if usage:
        process.memory.write(usage, process.structs["rusage"].encode({}))
    return 0


ROWS = (
    Syscall("wait4", sys_wait4, (a.PID, a.WAIT_STATUS, a.flags("wait"), a.struct_out("rusage")), undo=Undo.NEVER),
    Syscall("waitpid", sys_waitpid, (a.PID, a.WAIT_STATUS, a.flags("wait")), Machine.I386, undo=Undo.NEVER),
    Syscall("waitid", sys_waitid, (a.INT, a.PID, a.PTR_OUT, a.flags("wait"), a.PTR_OUT), undo=Undo.NEVER),
)

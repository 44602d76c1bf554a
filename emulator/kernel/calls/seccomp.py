"""seccomp(2) and prctl(PR_SET_SECCOMP). Source: kernel/seccomp.c of Linux."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from uselib.emulator.kernel.arguments import HEX, PTR, UINT
from uselib.emulator.kernel.calls.processes import sys_exit
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.seccomp import (
    ACTIONS,
    ALLOW,
    ARCHITECTURE,
    ERRNO,
    KILL_THREAD,
    LOG,
    NOTIFY,
    STRICT,
    TRACE,
    TRAP,
    Seccomp,
    read_program,
)
from uselib.emulator.kernel.signals.delivery import force
from uselib.emulator.kernel.signals.frames import SignalInfo
from uselib.emulator.kernel.signals.numbers import SIGKILL, SIGSYS
from uselib.emulator.kernel.table import Syscall
from uselib.emulator.process.interfaces import ProcessEnded
from uselib.linker.image import Machine

_SET_STRICT, _SET_FILTER, _ACTION_AVAILABLE = 0, 1, 2
_TSYNC, _LOG, _SPEC_ALLOW, _TSYNC_ESRCH = 1, 2, 4, 16
_CAP_SYS_ADMIN = 21
_INSTRUCTION = 8  # bytes of struct sock_filter


def _of(process: Process) -> Seccomp:
    return process.settings.seccomp or Seccomp(process.machine)


def set_strict(process: Process) -> int:
    """From now on only read, write, exit and sigreturn are allowed. Raises GuestError."""
    found = _of(process)
    found.be_strict()
    process.settings.seccomp = found
    return 0


def set_filter(process: Process, address: int) -> int:
    """From now on the filter decides each call. address: of struct sock_fprog. Raises GuestError, MemoryFault."""
    word = process.structs.word
    head = process.memory.read(address, 2 * word)
    count, rows = int.from_bytes(head[:2], "little"), int.from_bytes(head[word:], "little")
    if not 0 < count <= 4096:
        raise GuestError(errno.EINVAL)
    if not process.settings.no_new_privileges and not process.identity.can(_CAP_SYS_ADMIN):
        raise GuestError(errno.EACCES)
    program = read_program(process.memory.read(rows, count * _INSTRUCTION))
    found = _of(process)
    found.add(program)
    process.settings.seccomp = found
    return 0


def sys_seccomp(process: Process, operation: int, how: int, address: int) -> int:
    if operation == _SET_STRICT:
        if how or address:
            raise GuestError(errno.EINVAL)
        return set_strict(process)
    if operation == _SET_FILTER:
        if how & ~(_TSYNC | _LOG | _SPEC_ALLOW | _TSYNC_ESRCH):
            raise GuestError(errno.EINVAL)
        return set_filter(process, address)
    if operation == _ACTION_AVAILABLE:
        if how:
            raise GuestError(errno.EINVAL)
        if int.from_bytes(process.memory.read(address, 4), "little") not in ACTIONS:
            raise GuestError(errno.EOPNOTSUPP)
        return 0
    raise GuestError(errno.EINVAL)


def refused(process: Process, number: int, arguments: Sequence[int]) -> int | None:
    """The result of a call that the process has forbidden itself; None: the call is allowed. Raises ProcessEnded, ThreadEnded."""
    forbidden = process.settings.seccomp
    assert forbidden is not None
    after = process.cpu.pc + (2 if process.machine is Machine.X86_64 else 0)  # the call's instruction
    action, value = forbidden.verdict(number, arguments, after)
    if action in (ALLOW, LOG):
        return None
    if action == ERRNO:
        return -min(value, 4095)
    if action in (TRACE, NOTIFY):
        return -errno.ENOSYS  # there is no tracer
    if action == TRAP:
        architecture = ARCHITECTURE[process.machine]
        force(process.signals, SignalInfo(SIGSYS, 1, address=after, status=number, error=architecture, number=value))
        return number
    if action == KILL_THREAD and process.threads.many:
        return sys_exit(process, 0)
    raise ProcessEnded(signal=SIGKILL if forbidden.mode == STRICT else SIGSYS)


ROWS: tuple[Syscall, ...] = (Syscall("seccomp", sys_seccomp, (UINT, HEX, PTR)),)

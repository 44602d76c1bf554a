"""getrlimit, setrlimit, prlimit64."""

from __future__ import annotations

import errno

from uselib.emulator.kernel.arguments import PID, choice, struct_in, struct_out
from uselib.emulator.kernel.clock import SECOND
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.limits import AS, CPU, DATA, INFINITY, MEMLOCK, NOFILE, STACK
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.signals.frames import SI_KERNEL, SignalInfo
from uselib.emulator.kernel.signals.numbers import SIGKILL, SIGXCPU
from uselib.emulator.kernel.signals.timers import Timer
from uselib.emulator.kernel.table import Syscall, Undo
from uselib.emulator.process.interfaces import ProcessEnded
from uselib.linker.image import Machine

_CAP_SYS_RESOURCE = 24
_MOST_FILES = 1 << 20  # fs.nr_open
CPU_LIMIT = "RLIMIT_CPU"  # its timer


def _get(process: Process, resource: int) -> tuple[int, int]:
    try:
        return process.limits.values[resource]
    except KeyError:
        raise GuestError(errno.EINVAL) from None


def _set(process: Process, resource: int, soft: int, hard: int) -> None:
    _, old_hard = _get(process, resource)
    if soft > hard:
        raise GuestError(errno.EINVAL)
    if resource == NOFILE and hard > _MOST_FILES:
        raise GuestError(errno.EPERM)
    if hard > old_hard and not process.identity.can(_CAP_SYS_RESOURCE):
        raise GuestError(errno.EPERM)
    process.limits.values[resource] = (soft, hard)
    if resource == NOFILE:
        process.files.limit = soft
    elif resource == CPU:
        arm_cpu_limit(process)
    elif resource == STACK:
        process.memory.stack_limit = soft
    elif resource == AS:
        process.memory.limit = None if soft == INFINITY else soft
    elif resource == DATA:
        process.memory.data_limit = None if soft == INFINITY else soft
    elif resource == MEMLOCK:
        process.memory.lock_limit = None if soft == INFINITY else soft


def arm_cpu_limit(process: Process) -> None:
    """Arms SIGXCPU for each second of CPU time from the soft limit on, and SIGKILL at the hard limit. The guest's time counts as CPU time."""
    soft, hard = process.limits.values[CPU]
    if soft == INFINITY:
        process.signals.timers.disarm(CPU_LIMIT)
        return
    started, last = process.identity.started, hard

    def expired(_: int) -> None:
        if process.clock.now - started >= last * SECOND:
            raise ProcessEnded(signal=SIGKILL)
        process.signals.post(SignalInfo(SIGXCPU, SI_KERNEL))

    deadline = max(started + max(soft, 1) * SECOND, process.clock.now + 1)
    process.signals.timers.arm(CPU_LIMIT, Timer(deadline, SECOND, expired))


def sys_getrlimit(process: Process, resource: int, address: int) -> int:
    """On i386 this is ugetrlimit. Infinity has all bits set on both machines."""
    most = process.structs.word_mask
    values = (min(value, most) for value in _get(process, resource))
    process.memory.write(address, process.structs["rlimit"].pack(*values))
    return 0


def sys_old_getrlimit(process: Process, resource: int, address: int) -> int:
    """i386 getrlimit: signed numbers."""
    values = (min(value, 0x7FFFFFFF) for value in _get(process, resource))
    process.memory.write(address, process.structs["rlimit"].pack(*values))
    return 0


def sys_setrlimit(process: Process, resource: int, address: int) -> int:
    layout, most = process.structs["rlimit"], process.structs.word_mask
    values = layout.unpack(process.memory.read(address, layout.size))
    soft, hard = (INFINITY if value == most else value for value in values)
    _set(process, resource, soft, hard)
    return 0


def sys_prlimit64(process: Process, pid: int, resource: int, new: int, old: int) -> int:
    if pid not in (0, process.identity.pid):
        raise GuestError(errno.ESRCH)
    layout = process.structs["rlimit64"]
    before = _get(process, resource)
    if new:
        soft, hard = layout.unpack(process.memory.read(new, layout.size))
        _set(process, resource, soft, hard)
    if old:
        process.memory.write(old, layout.pack(*before))
    return 0


_RESOURCE = choice("rlimit")

ROWS: tuple[Syscall, ...] = (
    Syscall("getrlimit", sys_getrlimit, (_RESOURCE, struct_out("rlimit")), Machine.X86_64, undo=Undo.MEMORY),
    Syscall("getrlimit", sys_old_getrlimit, (_RESOURCE, struct_out("rlimit")), Machine.I386, undo=Undo.MEMORY),
    Syscall("ugetrlimit", sys_getrlimit, (_RESOURCE, struct_out("rlimit"))),
    Syscall("setrlimit", sys_setrlimit, (_RESOURCE, struct_in("rlimit"))),
    Syscall(
        "prlimit64", sys_prlimit64, (PID, _RESOURCE, struct_in("rlimit64"), struct_out("rlimit64")), undo=Undo.MEMORY
    ),
)

"""Policies, priorities and affinity on the guest's one processor. They are kept and returned, and have no effect: the emulator's scheduler
decides the order of threads. Source: kernel/sched/syscalls.c, block/ioprio.c of Linux; sched(7).
"""

from __future__ import annotations

import errno
import struct

from uselib.emulator.kernel.arguments import HEX, INT, PID, PTR, PTR_OUT, SIZE, UINT, choice
from uselib.emulator.kernel.calls.process_groups import groups_of
from uselib.emulator.kernel.clock import SECOND
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.proc.facts import facts_of, publish
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Handler, Syscall, Undo

OTHER, FIFO, RR, BATCH, IDLE, DEADLINE = 0, 1, 2, 3, 5, 6
_REAL_TIME = (FIFO, RR)
_POLICIES = (OTHER, FIFO, RR, BATCH, IDLE)
_RESET_ON_FORK = 0x40000000
_MOST = 99
CAP_SYS_NICE, CAP_SYS_ADMIN = 23, 21
_SLICE = SECOND // 10  # time slice of SCHED_RR


def _check(process: Process, pid: int) -> bool:
    """Whether it is this process, or one of its threads. Raises GuestError(EINVAL, ESRCH)."""
    if pid < 0:
        raise GuestError(errno.EINVAL)
    if pid in (0, process.identity.pid) or pid in process.threads.all:
        return True
    groups_of(process, pid)
    return False


def _may(process: Process, pid: int) -> None:
    """Checks the owner (check_same_owner). Raises GuestError(EPERM)."""
    who = process.identity
    if who.can(CAP_SYS_NICE):
        return
    if pid == 1 or who.effective_uid not in facts_of(process, pid).uids[:2]:
        raise GuestError(errno.EPERM)


def _read_priority(process: Process, address: int) -> int:
    if not address:
        raise GuestError(errno.EINVAL)
    return int.from_bytes(process.memory.read(address, 4), "little", signed=True)


def _set(process: Process, pid: int, policy: int, priority: int) -> int:
    own = _check(process, pid)
    kind = policy & ~_RESET_ON_FORK
    if kind not in _POLICIES or not (1 <= priority <= _MOST if kind in _REAL_TIME else priority == 0):
        raise GuestError(errno.EINVAL)
    if kind in _REAL_TIME and not process.identity.can(CAP_SYS_NICE):
        raise GuestError(errno.EPERM)
    if not own:
        _may(process, pid)
    else:
        process.settings.policy, process.settings.priority = policy, priority
    return 0


def sys_sched_setscheduler(process: Process, pid: int, policy: int, address: int) -> int:
    if policy < 0:
        raise GuestError(errno.EINVAL)
    if pid < 0:
        raise GuestError(errno.EINVAL)
    return _set(process, pid, policy, _read_priority(process, address))


def sys_sched_setparam(process: Process, pid: int, address: int) -> int:
    if pid < 0:
        raise GuestError(errno.EINVAL)
    return _set(process, pid, process.settings.policy, _read_priority(process, address))


def sys_sched_getscheduler(process: Process, pid: int) -> int:
    return process.settings.policy if _check(process, pid) else OTHER


def sys_sched_getparam(process: Process, pid: int, address: int) -> int:
    if not address:
        raise GuestError(errno.EINVAL)
    priority = process.settings.priority if _check(process, pid) else 0
    process.memory.write(address, priority.to_bytes(4, "little"))
    return 0


def _limit(low: bool) -> Handler:
    def answer(process: Process, policy: int) -> int:
        if policy not in (*_POLICIES, DEADLINE):
            raise GuestError(errno.EINVAL)
        return (1 if low else _MOST) if policy in _REAL_TIME else 0

    return answer


def _interval(layout: str) -> Handler:
    def answer(process: Process, pid: int, address: int) -> int:
        policy = process.settings.policy if _check(process, pid) else OTHER
        slice_ = {FIFO: 0, RR: _SLICE}.get(policy & ~_RESET_ON_FORK, 4_000_000)
        process.memory.write(address, process.structs[layout].pack(*divmod(slice_, SECOND)))
        return 0

    return answer


_ATTRIBUTES = struct.Struct(
    "<IIQiIQQQ"
)  # struct sched_attr, version 0: size, policy, flags, nice, priority, runtime, deadline, period


def sys_sched_getattr(process: Process, pid: int, address: int, size: int, flags: int) -> int:
    if flags or not address or size < _ATTRIBUTES.size or size > 4096:
        raise GuestError(errno.EINVAL)
    own = _check(process, pid)
    policy, priority = (process.settings.policy, process.settings.priority) if own else (OTHER, 0)
    nice = process.identity.nice if policy not in _REAL_TIME else 0
    data = _ATTRIBUTES.pack(
        _ATTRIBUTES.size,
        policy & ~_RESET_ON_FORK,
        int(bool(policy & _RESET_ON_FORK)),
        nice,
        priority,
        *(process.settings.deadline if policy == DEADLINE else (0, 0, 0)),
    )
    process.memory.write(address, data)
    return 0


def _set_deadline(process: Process, pid: int, times: list[int]) -> int:
    """SCHED_DEADLINE: runtime <= deadline <= period. Raises GuestError(EINVAL, EPERM)."""
    own = _check(process, pid)
    runtime, deadline, period = times
    if not 1024 <= runtime <= deadline or (period and deadline > period) or max(times) >> 63:
        raise GuestError(errno.EINVAL)
    if not process.identity.can(CAP_SYS_NICE):
        raise GuestError(errno.EPERM)
    if own:
        process.settings.policy, process.settings.priority = DEADLINE, 0
        process.settings.deadline = runtime, deadline, period or deadline
    return 0


def sys_sched_setattr(process: Process, pid: int, address: int, flags: int) -> int:
    if not address or flags or pid < 0:
        raise GuestError(errno.EINVAL)
    (size,) = struct.unpack("<I", process.memory.read(address, 4))
    if size and size < _ATTRIBUTES.size:
        raise GuestError(errno.E2BIG)
    fields = _ATTRIBUTES.unpack(process.memory.read(address, _ATTRIBUTES.size))
    _, policy, how, nice, priority, *times = fields
    if policy == DEADLINE:
        return _set_deadline(process, pid, times)
    if policy not in _POLICIES:
        raise GuestError(errno.EINVAL)
    result = _set(process, pid, policy | (_RESET_ON_FORK if how & 1 else 0), priority)
    if policy in (OTHER, BATCH) and pid in (0, process.identity.pid):
        process.identity.nice = max(-20, min(nice, 19))
    return result


def sys_sched_getaffinity(process: Process, pid: int, size: int, address: int) -> int:
    word = process.structs.word
    if size < word or size % word:
        raise GuestError(errno.EINVAL)
    _check(process, pid)
    process.memory.write(address, (1).to_bytes(word, "little"))
    return word


def sys_sched_setaffinity(process: Process, pid: int, size: int, address: int) -> int:
    mask = process.memory.read(address, min(size, 8)) if size else b""
    if not _check(process, pid):
        _may(process, pid)
    if not mask or not mask[0] & 1:
        raise GuestError(errno.EINVAL)
    return 0


def sys_getcpu(process: Process, cpu: int, node: int, _: int) -> int:
    for address in (cpu, node):
        if address:
            process.memory.write(address, bytes(4))
    return 0


# Nice values: getpriority(2). PRIO_PROCESS, PRIO_PGRP, PRIO_USER

_PROCESS, _GROUP, _USER = range(3)


def _chosen(process: Process, which: int, who: int) -> list[int]:
    """The processes that the arguments choose. Raises GuestError(EINVAL, ESRCH)."""
    if which not in (_PROCESS, _GROUP, _USER):
        raise GuestError(errno.EINVAL)
    pids, own = process.pids, process.identity
    if which == _PROCESS:
        if who and who not in process.threads.all:
            groups_of(process, who)
        return [who or own.pid]
    if which == _GROUP:
        found = pids.members(who or pids.groups(own.pid)[0])
    else:
        found = [pid for pid in pids.all() if facts_of(process, pid).uids[0] == (who or own.uid)]
    if not found:
        raise GuestError(errno.ESRCH)
    return found


def sys_getpriority(process: Process, which: int, who: int) -> int:
    """getpriority(2). The kernel returns 20 - nice, for the lowest nice value among the processes."""
    found = _chosen(process, which, who)
    own = process.identity.pid
    known = [pid for pid in found if pid != 1 and (pid == own or pid not in process.threads.all)]
    return 20 - min(
        (facts_of(process, pid).nice for pid in known), default=process.identity.nice if own in found else 0
    )


def sys_setpriority(process: Process, which: int, who: int, nice: int) -> int:
    """Sets the nice value of this process. For others the call succeeds or fails by the rules, without effect."""
    nice = max(-20, min(nice, 19))
    own = process.identity
    for pid in _chosen(process, which, who):
        if pid != own.pid and pid not in process.threads.all:
            _may(process, pid)
            if nice < facts_of(process, pid).nice and not own.can(CAP_SYS_NICE):
                raise GuestError(errno.EACCES)
            continue
        if nice < own.nice and not own.can(CAP_SYS_NICE):
            raise GuestError(errno.EACCES)
        own.nice = nice
        publish(process)
    return 0


def sys_nice(process: Process, increment: int) -> int:
    """i386"""
    nice = max(-20, min(process.identity.nice + max(-40, min(increment, 40)), 19))
    if nice < process.identity.nice and not process.identity.can(CAP_SYS_NICE):
        raise GuestError(errno.EPERM)
    process.identity.nice = nice
    return 0


# Priorities of input and output

_IO_CLASS = 13  # shift
_IO_NONE, _IO_REAL_TIME, _IO_BEST_EFFORT, _IO_IDLE = range(4)


def sys_ioprio_get(process: Process, which: int, who: int) -> int:
    """ioprio_get(2). which: 1 for a process, 2 for a group, 3 for a user."""
    _chosen(process, which - 1, who)
    own = process.settings.io_priority
    return _IO_BEST_EFFORT << _IO_CLASS | 4 if own is None else own


def sys_ioprio_set(process: Process, which: int, who: int, value: int) -> int:
    kind, level = value >> _IO_CLASS & 7, value & 7
    if kind == _IO_REAL_TIME and not (process.identity.can(CAP_SYS_NICE) or process.identity.can(CAP_SYS_ADMIN)):
        raise GuestError(errno.EPERM)
    if not _IO_NONE <= kind <= _IO_IDLE or value & 0x1FFF > 7 or (kind == _IO_NONE and level):
        raise GuestError(errno.EINVAL)
    if process.identity.pid in _chosen(process, which - 1, who):
        process.settings.io_priority = value
    return 0


ROWS: tuple[Syscall, ...] = (
    Syscall("sched_getaffinity", sys_sched_getaffinity, (PID, SIZE, PTR_OUT), undo=Undo.MEMORY),
    Syscall("sched_setaffinity", sys_sched_setaffinity, (PID, SIZE, PTR)),
    Syscall("sched_getscheduler", sys_sched_getscheduler, (PID,)),
    Syscall("sched_setscheduler", sys_sched_setscheduler, (PID, choice("sched"), PTR)),
    Syscall("sched_getparam", sys_sched_getparam, (PID, PTR_OUT)),
    Syscall("sched_setparam", sys_sched_setparam, (PID, PTR)),
    Syscall("sched_getattr", sys_sched_getattr, (PID, PTR_OUT, UINT, UINT)),
    Syscall("sched_setattr", sys_sched_setattr, (PID, PTR, UINT)),
    Syscall("sched_get_priority_max", _limit(False), (choice("sched"),)),
    Syscall("sched_get_priority_min", _limit(True), (choice("sched"),)),
    Syscall("sched_rr_get_interval", _interval("timespec"), (PID, PTR_OUT)),
    Syscall("sched_rr_get_interval_time64", _interval("timespec64"), (PID, PTR_OUT)),
    Syscall("getcpu", sys_getcpu, (PTR_OUT, PTR_OUT, PTR)),
    Syscall("getpriority", sys_getpriority, (choice("priority"), INT)),
    Syscall("setpriority", sys_setpriority, (choice("priority"), INT, INT)),
    Syscall("nice", sys_nice, (INT,)),
    Syscall("ioprio_get", sys_ioprio_get, (choice("ioprio"), INT)),
    Syscall("ioprio_set", sys_ioprio_set, (choice("ioprio"), INT, HEX)),
)

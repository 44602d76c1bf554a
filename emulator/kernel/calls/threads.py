"""Calls by which a thread tells the kernel about itself, and sched_yield.

Source: kernel/fork.c (set_tid_address), kernel/futex/syscalls.c (robust lists), kernel/sched/core.c, kernel/rseq.c of Linux.
"""

from __future__ import annotations

import errno
import os
import struct
from contextlib import suppress

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall, Undo
from uselib.emulator.kernel.threads.thread import Sequences
from uselib.loader.memory.access import MemoryFault

_UNREGISTER = 1
_INIT = 1  # the process that stands for all outside of the guest
_SIZE, _ALIGNMENT = 32, 32  # struct rseq: cpu_id_start, cpu_id, rseq_cs, flags
_UNINITIALIZED = 0xFFFF_FFFF  # RSEQ_CPU_ID_UNINITIALIZED


def sys_set_tid_address(process: Process, address: int) -> int:
    """The word at the address becomes 0 when the thread ends, and a thread that waits for it is woken."""
    process.thread.clear_tid = address
    return process.thread.tid


def sys_set_robust_list(process: Process, head: int, size: int) -> int:
    if size != 3 * process.machine.word:
        raise GuestError(errno.EINVAL)
    process.thread.robust = head
    return 0


def sys_get_robust_list(process: Process, tid: int, head: int, size: int) -> int:
    thread = process.thread if tid in (0, process.thread.tid) else process.threads.all.get(tid)
    if thread is None:
        raise GuestError(errno.EPERM if tid == _INIT or tid in process.pids.all() else errno.ESRCH)
    word = process.machine.word
    process.memory.write(size, (3 * word).to_bytes(word, "little"))
    process.memory.write(head, thread.robust.to_bytes(word, "little"))
    return 0


def sys_sched_yield(process: Process) -> int:
    if process.threads.many and process.threads.scheduler is not None:
        process.threads.scheduler.yield_soon()
    elif process.clock.sleeps:
        os.sched_yield()
    return 0


def sys_rseq(process: Process, address: int, size: int, flags: int, signature: int) -> int:
    """Registers the area of rseq(2). With one processor its number there is always 0 (threads/sequences.py)."""
    thread = process.thread
    known = thread.sequences
    if flags & _UNREGISTER:
        if flags != _UNREGISTER or known is None or known.area != address or size != _SIZE:
            raise GuestError(errno.EINVAL)
        if known.signature != signature:
            raise GuestError(errno.EPERM)
        process.memory.write(address, struct.pack("<IIQ", 0, _UNINITIALIZED, 0))
        thread.sequences = None
        return 0
    if flags:
        raise GuestError(errno.EINVAL)
    if known is not None:
        if known.area != address or size != _SIZE:
            raise GuestError(errno.EINVAL)
        raise GuestError(errno.EBUSY if known.signature == signature else errno.EPERM)
    if address % _ALIGNMENT or size != _SIZE:
        raise GuestError(errno.EINVAL)
    process.memory.check(address, size, "write")
    with suppress(MemoryFault):
        process.memory.write(address, struct.pack("<II", 0, 0))
    thread.sequences = Sequences(address, signature)
    return 0


ROWS: tuple[Syscall, ...] = (
    Syscall("set_tid_address", sys_set_tid_address, (a.PTR,)),
    Syscall("set_robust_list", sys_set_robust_list, (a.PTR, a.SIZE)),
    Syscall("get_robust_list", sys_get_robust_list, (a.PID, a.PTR_OUT, a.PTR_OUT)),
    Syscall("rseq", sys_rseq, (a.PTR, a.UINT, a.HEX, a.HEX)),
    Syscall("sched_yield", sys_sched_yield, undo=Undo.MEMORY),
)

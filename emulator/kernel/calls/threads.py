"""What a thread tells the kernel of itself, and gives way to others with.

Source: kernel/fork.c (set_tid_address), kernel/futex/syscalls.c (robust lists), kernel/sched/core.c of Linux.
"""

from __future__ import annotations

import errno
import os

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall, Undo


def sys_set_tid_address(process: Process, address: int) -> int:
    """The word there becomes 0 when the thread ends, and who waits for it is woken."""
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
        raise GuestError(errno.EPERM if tid in process.pids.all() else errno.ESRCH)
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


ROWS: tuple[Syscall, ...] = (
    Syscall("set_tid_address", sys_set_tid_address, (a.PTR,)),
    Syscall("set_robust_list", sys_set_robust_list, (a.PTR, a.SIZE)),
    Syscall("get_robust_list", sys_get_robust_list, (a.PID, a.PTR_OUT, a.PTR_OUT)),
    Syscall("sched_yield", sys_sched_yield, undo=Undo.MEMORY),
)

"""What concerns a thread, for the one thread there is: thread-local storage, futexes, and lists nobody looks at.

Source: arch/x86/kernel/tls.c, arch/x86/kernel/process_64.c, kernel/futex of Linux.
"""

from __future__ import annotations

import errno
import os
import struct

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel import waiting
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall, Undo
from uselib.linker.image import Machine

ARCH_SET_GS, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS = 0x1001, 0x1002, 0x1003, 0x1004
FUTEX_WAIT, FUTEX_WAKE, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET = (
    0,
    1,
    3,
    4,
    5,
    9,
    10,
)
FUTEX_COMMAND = 0x7F
TLS_FIRST, TLS_COUNT = 12, 3  # GDT_ENTRY_TLS_MIN


def sys_arch_prctl(process: Process, code: int, address: int) -> int:
    cpu = process.cpu
    if code in (ARCH_SET_FS, ARCH_SET_GS):
        if address >= process.memory.layout.top:
            raise GuestError(errno.EPERM)
        (cpu.set_fs_base if code == ARCH_SET_FS else cpu.set_gs_base)(address)
        return 0
    if code in (ARCH_GET_FS, ARCH_GET_GS):
        base = cpu.fs_base() if code == ARCH_GET_FS else cpu.gs_base()
        process.memory.write(address, base.to_bytes(8, "little"))
        return 0
    raise GuestError(errno.EINVAL)


_USER_DESC = struct.Struct("<IIII")  # entry_number, base_addr, limit, flags


def _descriptor(base: int, limit: int, flags: int) -> int:
    """fill_ldt: a data or code segment for ring 3 from struct user_desc."""
    wide, contents = flags & 1, flags >> 1 & 3
    read_only, pages, absent, usable = (flags >> bit & 1 for bit in (3, 4, 5, 6))
    kind = (0 if read_only else 2) | contents << 2 | 1
    access = kind | 0x10 | 0x60 | (0 if absent else 0x80)
    bits = usable | wide << 2 | pages << 3
    return (
        limit & 0xFFFF
        | (base & 0xFFFFFF) << 16
        | access << 40
        | (limit >> 16 & 0xF) << 48
        | bits << 52
        | (base >> 24) << 56
    )


def sys_set_thread_area(process: Process, address: int) -> int:
    entry, base, limit, flags = _USER_DESC.unpack(process.memory.read(address, 16))
    tls = process.thread.tls
    if entry == 0xFFFF_FFFF:
        free = [number for number in range(TLS_FIRST, TLS_FIRST + TLS_COUNT) if number not in tls]
        if not free:
            raise GuestError(errno.ESRCH)
        entry = free[0]
        process.memory.write(address, entry.to_bytes(4, "little"))
    if not TLS_FIRST <= entry < TLS_FIRST + TLS_COUNT:
        raise GuestError(errno.EINVAL)
    empty = not base and not limit and flags & 0x28 == 0x28
    if empty:
        tls.pop(entry, None)
    else:
        tls[entry] = (base, limit, flags)
    process.cpu.set_descriptor(entry, 0 if empty else _descriptor(base, limit, flags))
    return 0


def sys_get_thread_area(process: Process, address: int) -> int:
    (entry,) = struct.unpack("<I", process.memory.read(address, 4))
    if not TLS_FIRST <= entry < TLS_FIRST + TLS_COUNT:
        raise GuestError(errno.EINVAL)
    base, limit, flags = process.thread.tls.get(entry, (0, 0, 0x28))
    process.memory.write(address, _USER_DESC.pack(entry, base, limit, flags))
    return 0


def sys_set_tid_address(process: Process, address: int) -> int:
    """The address is cleared when a thread ends; with one thread nobody looks."""
    return process.thread.tid


def sys_set_robust_list(process: Process, head: int, size: int) -> int:
    if size != 3 * process.machine.word:
        raise GuestError(errno.EINVAL)
    return 0


def sys_futex(
    process: Process, address: int, operation: int, value: int, timeout: int, address2: int, value3: int
) -> int:
    """With one thread a wait whose value matches could only be ended by a signal, its time limit, or another process
    that shares the page."""
    command = operation & FUTEX_COMMAND
    if command in (FUTEX_WAKE, FUTEX_WAKE_BITSET, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP):
        process.memory.check(address, 4, "read")
        return 0
    if command not in (FUTEX_WAIT, FUTEX_WAIT_BITSET):
        raise GuestError(errno.ENOSYS)
    if int.from_bytes(process.memory.read(address, 4), "little") != value & 0xFFFF_FFFF:
        raise GuestError(errno.EAGAIN)
    limit = None
    if timeout:
        layout = process.structs["timespec"]
        seconds, nanoseconds = layout.unpack(process.memory.read(timeout, layout.size))
        limit = seconds * 1_000_000_000 + nanoseconds
        if command == FUTEX_WAIT_BITSET:  # an absolute time
            now = process.clock.wall() if operation & 0x100 else process.clock.monotonic()
            limit = max(limit - now, 0)
    elif not process.clock.shared:
        process.talk.once("deadlock: the program waits on a futex that nobody can wake")
    waiting.poll(process, [], limit)
    raise GuestError(errno.ETIMEDOUT)


def sys_sched_yield(process: Process) -> int:
    if process.clock.sleeps:
        os.sched_yield()
    return 0


THREADS = (
    Syscall("arch_prctl", sys_arch_prctl, (a.choice("arch_prctl"), a.PTR_UPDATED), Machine.X86_64),
    Syscall("set_thread_area", sys_set_thread_area, (a.PTR_UPDATED,), Machine.I386),
    Syscall("get_thread_area", sys_get_thread_area, (a.PTR_UPDATED,), Machine.I386),
    Syscall("set_tid_address", sys_set_tid_address, (a.PTR,)),
    Syscall("set_robust_list", sys_set_robust_list, (a.PTR, a.SIZE)),
    Syscall("futex", sys_futex, (a.PTR, a.INT, a.UINT, a.PTR, a.PTR, a.UINT), undo=Undo.MEMORY),
    Syscall("futex_time64", sys_futex, (a.PTR, a.INT, a.UINT, a.PTR, a.PTR, a.UINT)),
    Syscall("sched_yield", sys_sched_yield, undo=Undo.MEMORY),
)

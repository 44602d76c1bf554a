"""Thread-local storage: segment bases (x86-64), descriptors of the GDT (i386).

Source: arch/x86/kernel/tls.c, arch/x86/kernel/process_64.c of Linux.
"""

from __future__ import annotations

import errno
import struct

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall
from uselib.emulator.kernel.threads.thread import Thread
from uselib.linker.image import Machine

ARCH_SET_GS, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS = 0x1001, 0x1002, 0x1003, 0x1004
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
    """A descriptor of a data or code segment for ring 3 from struct user_desc (fill_ldt)."""
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
    put_descriptor(process, process.thread, address, choose=True)
    return 0


def put_descriptor(process: Process, thread: Thread, address: int, *, choose: bool) -> None:
    """Sets a descriptor of the thread on the CPU from a struct user_desc (do_set_thread_area). choose: entry -1 means any free one.
    Raises GuestError, MemoryFault."""
    entry, base, limit, flags = _USER_DESC.unpack(process.memory.read(address, 16))
    tls = thread.tls
    if entry == 0xFFFF_FFFF and choose:
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


def sys_get_thread_area(process: Process, address: int) -> int:
    (entry,) = struct.unpack("<I", process.memory.read(address, 4))
    if not TLS_FIRST <= entry < TLS_FIRST + TLS_COUNT:
        raise GuestError(errno.EINVAL)
    base, limit, flags = process.thread.tls.get(entry, (0, 0, 0x28))
    process.memory.write(address, _USER_DESC.pack(entry, base, limit, flags))
    return 0


ROWS = (
    Syscall("arch_prctl", sys_arch_prctl, (a.choice("arch_prctl"), a.PTR_UPDATED), Machine.X86_64),
    Syscall("set_thread_area", sys_set_thread_area, (a.PTR_UPDATED,), Machine.I386),
    Syscall("get_thread_area", sys_get_thread_area, (a.PTR_UPDATED,), Machine.I386),
)

"""The machine's name and size, who the guest is, and random bytes.

Answers are fixed, so that a run is the same on every host: a machine with one processor and 1 GiB of memory, user and
group 1000 without privileges.
"""

from __future__ import annotations

import errno

from uselib.emulator.kernel.arguments import SIZE, data_out, flags, struct_out
from uselib.emulator.kernel.clock import SECOND
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall, Undo


def sys_uname(process: Process, address: int) -> int:
    from uselib.emulator.kernel.proc.system_files import system_name  # most programs call getrandom only

    process.memory.write(address, process.structs["utsname"].pack(*system_name(process)))
    return 0


def sys_sysinfo(process: Process, address: int) -> int:
    from uselib.emulator.kernel.proc.system_files import MEMORY, processes

    values: dict[str, int | bytes] = {
        "uptime": process.clock.monotonic() // SECOND,
        "totalram": MEMORY,
        "freeram": MEMORY // 2,
        "procs": processes(process),
        "mem_unit": 1,
    }
    process.memory.write(address, process.structs["sysinfo"].encode(values))
    return 0


def sys_getrandom(process: Process, buffer: int, size: int, flags: int) -> int:
    if flags & ~7 or flags & 6 == 6:
        raise GuestError(errno.EINVAL)
    size = min(size, 1 << 25)
    process.memory.write(buffer, process.random.take(size))
    return size


# Numbers of the process


def sys_getpid(process: Process) -> int:
    return process.identity.pid


def sys_gettid(process: Process) -> int:
    return process.thread.tid


def sys_getppid(process: Process) -> int:
    return process.pids.parent(process.identity.pid)


ROWS: tuple[Syscall, ...] = (
    Syscall("uname", sys_uname, (struct_out("utsname"),), undo=Undo.MEMORY),
    Syscall("sysinfo", sys_sysinfo, (struct_out("sysinfo"),), undo=Undo.MEMORY),
    Syscall("getrandom", sys_getrandom, (data_out(1), SIZE, flags("getrandom")), undo=Undo.MEMORY),
    Syscall("getpid", sys_getpid, undo=Undo.MEMORY),
    Syscall("gettid", sys_gettid, undo=Undo.MEMORY),
    Syscall("getppid", sys_getppid, undo=Undo.MEMORY),
)

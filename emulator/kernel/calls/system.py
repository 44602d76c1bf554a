"""SYSTEM: the machine's name and size, who the guest is, random bytes, and the scheduler.

Answers are fixed, so that a run is the same on every host: a machine with one processor and 1 GiB of memory, user and
group 1000 without privileges.
"""

from __future__ import annotations

import errno

from uselib.emulator.kernel.arguments import (
    FD,
    HEX,
    INT,
    LONG,
    PATH,
    PID,
    PTR,
    PTR_OUT,
    PTR_UPDATED,
    SIZE,
    UID,
    ArgumentKind,
    choice,
    data_out,
    flags,
    struct_out,
)
from uselib.emulator.kernel.clock import SECOND
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.proc.facts import publish
from uselib.emulator.kernel.proc.system_files import MEMORY, processes, system_name
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Effect, Syscall, Undo
from uselib.linker.image import Machine

_NO_ID = 0xFFFFFFFF


def sys_uname(process: Process, address: int) -> int:
    process.memory.write(address, process.structs["utsname"].pack(*system_name(process)))
    return 0


def sys_sysinfo(process: Process, address: int) -> int:
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


# Identity


def sys_getpid(process: Process) -> int:
    return process.identity.pid


def sys_gettid(process: Process) -> int:
    return process.thread.tid


def sys_getppid(process: Process) -> int:
    return process.pids.parent(process.identity.pid)


def sys_getuid(process: Process) -> int:
    return process.identity.uid


def sys_getgid(process: Process) -> int:
    return process.identity.gid


def _store_ids(process: Process, addresses: tuple[int, ...], value: int, size: int) -> int:
    for address in addresses:
        process.memory.write(address, value.to_bytes(size, "little"))
    return 0


def sys_getresuid(process: Process, real: int, effective: int, saved: int) -> int:
    return _store_ids(process, (real, effective, saved), process.identity.uid, 4)


def sys_getresgid(process: Process, real: int, effective: int, saved: int) -> int:
    return _store_ids(process, (real, effective, saved), process.identity.gid, 4)


def sys_getresuid16(process: Process, real: int, effective: int, saved: int) -> int:
    return _store_ids(process, (real, effective, saved), process.identity.uid, 2)


def sys_getresgid16(process: Process, real: int, effective: int, saved: int) -> int:
    return _store_ids(process, (real, effective, saved), process.identity.gid, 2)


def _check_ids(wanted: tuple[int, ...], own: int) -> int:
    """An unprivileged process may set its ids to what they are."""
    if any(value not in (own, _NO_ID, 0xFFFF) for value in wanted):
        raise GuestError(errno.EPERM)
    return 0


def sys_setuid(process: Process, *wanted: int) -> int:
    return _check_ids(wanted, process.identity.uid)


def sys_setgid(process: Process, *wanted: int) -> int:
    return _check_ids(wanted, process.identity.gid)


def sys_setfsuid(process: Process, _: int) -> int:
    return process.identity.uid


def sys_setfsgid(process: Process, _: int) -> int:
    return process.identity.gid


def sys_getgroups(process: Process, size: int, address: int) -> int:
    return _groups(process, size, address, 4)


def sys_getgroups16(process: Process, size: int, address: int) -> int:
    return _groups(process, size, address, 2)


def _groups(process: Process, size: int, address: int, width: int) -> int:
    if size < 0:
        raise GuestError(errno.EINVAL)
    if size:
        process.memory.write(address, process.identity.gid.to_bytes(width, "little"))
    return 1


def sys_setgroups(process: Process, size: int, address: int) -> int:
    raise GuestError(errno.EPERM)


def _own(process: Process, pid: int) -> None:
    """Raises GuestError(ESRCH) for another process than this."""
    if pid not in (0, process.identity.pid):
        raise GuestError(errno.ESRCH)


# Capabilities: none

_CAPABILITY_VERSIONS = {0x19980330: 1, 0x20071026: 2, 0x20080522: 2}  # version -> elements of the data array


def sys_capget(process: Process, header: int, data: int) -> int:
    layout = process.structs["cap_header"]
    version, pid = layout.unpack(process.memory.read(header, layout.size))
    count = _CAPABILITY_VERSIONS.get(version)
    if count is None:
        process.memory.write(header, (0x20080522).to_bytes(4, "little"))
        if data:
            raise GuestError(errno.EINVAL)
        return 0
    _own(process, pid)
    if data:
        process.memory.write(data, bytes(12 * count))
    return 0


def sys_capset(process: Process, header: int, data: int) -> int:
    raise GuestError(errno.EPERM)


# Scheduler: one processor


def sys_sched_getaffinity(process: Process, pid: int, size: int, address: int) -> int:
    _own(process, pid)
    if size < process.structs.word or size % process.structs.word:
        raise GuestError(errno.EINVAL)
    process.memory.write(address, (1).to_bytes(process.structs.word, "little"))
    return process.structs.word


def sys_sched_setaffinity(process: Process, pid: int, size: int, address: int) -> int:
    _own(process, pid)
    if not process.memory.read(address, min(size, 1) or 1)[0] & 1:
        raise GuestError(errno.EINVAL)
    return 0


def sys_sched_getscheduler(process: Process, pid: int) -> int:
    _own(process, pid)
    return 0  # SCHED_OTHER


def sys_sched_getparam(process: Process, pid: int, address: int) -> int:
    _own(process, pid)
    process.memory.write(address, bytes(4))
    return 0


def sys_sched_priority(process: Process, policy: int) -> int:
    if policy not in (0, 3, 5):
        raise GuestError(errno.EINVAL)
    return 0


def sys_getcpu(process: Process, cpu: int, node: int, _: int) -> int:
    for address in (cpu, node):
        if address:
            process.memory.write(address, bytes(4))
    return 0


def sys_ioprio_get(process: Process, which: int, who: int) -> int:
    return 4  # IOPRIO_DEFAULT


# personality, prctl, and calls that are refused or absent


def sys_personality(process: Process, wanted: int) -> int:
    """PER_LINUX is the only one there is."""
    if wanted not in (0, 0xFFFFFFFF):
        raise GuestError(errno.EINVAL)
    return 0


PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_SET_NAME, PR_GET_NAME = 1, 2, 3, 4, 15, 16
PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 38, 39


def sys_prctl(process: Process, option: int, second: int, third: int, fourth: int, fifth: int) -> int:
    """The options that programs use of their own accord."""
    if option == PR_SET_NAME:
        name = process.memory.read_string(second, 4096)[:15]
        process.identity.name = name.decode("utf-8", "surrogateescape")
        publish(process)
        return 0
    if option == PR_GET_NAME:
        process.memory.write(second, process.identity.name.encode("utf-8", "surrogateescape")[:15].ljust(16, b"\0"))
        return 0
    if option == PR_GET_PDEATHSIG:
        process.memory.write(second, bytes(4))
        return 0
    fixed = {
        PR_GET_DUMPABLE: 1,
        PR_SET_DUMPABLE: 0,
        PR_SET_PDEATHSIG: 0,
        PR_SET_NO_NEW_PRIVS: 0,
        PR_GET_NO_NEW_PRIVS: 1,
    }
    if option not in fixed:
        raise GuestError(errno.EINVAL)
    return fixed[option]


def sys_sethostname(process: Process, *_: int) -> int:
    raise GuestError(errno.EPERM)


def sys_absent(process: Process, *_: int) -> int:
    """A call that programs try and do without: ENOSYS, not worth a message."""
    raise GuestError(errno.ENOSYS)


def sys_no_attributes(process: Process, *_: int) -> int:
    """Extended attributes: as on a file system without them."""
    raise GuestError(errno.EOPNOTSUPP)


_IDS3 = (UID, UID, UID)
_OUT3 = (PTR_OUT, PTR_OUT, PTR_OUT)
_PRCTL_ARGUMENT = ArgumentKind("hex", updated=True)

SYSTEM: tuple[Syscall, ...] = (
    Syscall("uname", sys_uname, (struct_out("utsname"),), undo=Undo.MEMORY),
    Syscall("sysinfo", sys_sysinfo, (struct_out("sysinfo"),), undo=Undo.MEMORY),
    Syscall("getrandom", sys_getrandom, (data_out(1), SIZE, flags("getrandom")), undo=Undo.MEMORY),
    Syscall("getpid", sys_getpid, undo=Undo.MEMORY),
    Syscall("gettid", sys_gettid, undo=Undo.MEMORY),
    Syscall("getppid", sys_getppid, undo=Undo.MEMORY),
    Syscall("getuid", sys_getuid, undo=Undo.MEMORY),
    Syscall("getuid32", sys_getuid, undo=Undo.MEMORY),
    Syscall("geteuid", sys_getuid, undo=Undo.MEMORY),
    Syscall("geteuid32", sys_getuid, undo=Undo.MEMORY),
    Syscall("getgid", sys_getgid, undo=Undo.MEMORY),
    Syscall("getgid32", sys_getgid, undo=Undo.MEMORY),
    Syscall("getegid", sys_getgid, undo=Undo.MEMORY),
    Syscall("getegid32", sys_getgid, undo=Undo.MEMORY),
    Syscall("getresuid", sys_getresuid, _OUT3, Machine.X86_64),
    Syscall("getresgid", sys_getresgid, _OUT3, Machine.X86_64),
    Syscall("getresuid", sys_getresuid16, _OUT3, Machine.I386),
    Syscall("getresgid", sys_getresgid16, _OUT3, Machine.I386),
    Syscall("getresuid32", sys_getresuid, _OUT3),
    Syscall("getresgid32", sys_getresgid, _OUT3),
    Syscall("setuid", sys_setuid, (UID,)),
    Syscall("setuid32", sys_setuid, (UID,)),
    Syscall("setgid", sys_setgid, (UID,)),
    Syscall("setgid32", sys_setgid, (UID,)),
    Syscall("setreuid", sys_setuid, (UID, UID)),
    Syscall("setreuid32", sys_setuid, (UID, UID)),
    Syscall("setregid", sys_setgid, (UID, UID)),
    Syscall("setregid32", sys_setgid, (UID, UID)),
    Syscall("setresuid", sys_setuid, _IDS3),
    Syscall("setresuid32", sys_setuid, _IDS3),
    Syscall("setresgid", sys_setgid, _IDS3),
    Syscall("setresgid32", sys_setgid, _IDS3),
    Syscall("setfsuid", sys_setfsuid, (UID,)),
    Syscall("setfsuid32", sys_setfsuid, (UID,)),
    Syscall("setfsgid", sys_setfsgid, (UID,)),
    Syscall("setfsgid32", sys_setfsgid, (UID,)),
    Syscall("getgroups", sys_getgroups, (INT, PTR_OUT), Machine.X86_64),
    Syscall("getgroups", sys_getgroups16, (INT, PTR_OUT), Machine.I386),
    Syscall("getgroups32", sys_getgroups, (INT, PTR_OUT)),
    Syscall("setgroups", sys_setgroups, (SIZE, PTR)),
    Syscall("setgroups32", sys_setgroups, (SIZE, PTR)),
    Syscall("capget", sys_capget, (PTR_UPDATED, PTR_OUT)),
    Syscall("capset", sys_capset, (PTR, PTR)),
    Syscall("sched_getaffinity", sys_sched_getaffinity, (PID, SIZE, PTR_OUT), undo=Undo.MEMORY),
    Syscall("sched_setaffinity", sys_sched_setaffinity, (PID, SIZE, PTR)),
    Syscall("sched_getscheduler", sys_sched_getscheduler, (PID,)),
    Syscall("sched_getparam", sys_sched_getparam, (PID, PTR_OUT)),
    Syscall("sched_get_priority_max", sys_sched_priority, (INT,)),
    Syscall("sched_get_priority_min", sys_sched_priority, (INT,)),
    Syscall("getcpu", sys_getcpu, (PTR_OUT, PTR_OUT, PTR)),
    Syscall("ioprio_get", sys_ioprio_get, (INT, INT)),
    Syscall("personality", sys_personality, (HEX,)),
    Syscall("prctl", sys_prctl, (choice("prctl"), _PRCTL_ARGUMENT, HEX, HEX, HEX)),
    Syscall("sethostname", sys_sethostname, (PTR, LONG)),
    Syscall("setdomainname", sys_sethostname, (PTR, LONG)),
    *(Syscall(name, sys_absent, (HEX, HEX, HEX, HEX)) for name in ("rseq", "openat2", "pidfd_open", "io_uring_setup")),
    *(
        Syscall(name, sys_no_attributes, (PATH if name[0] != "f" else FD, PATH, PTR, SIZE))
        for name in ("getxattr", "lgetxattr", "fgetxattr")
    ),
    *(
        Syscall(name, sys_no_attributes, (PATH if name[0] != "f" else FD, PATH, PTR, SIZE), effect=Effect.FILES)
        for name in ("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr")
    ),
    *(
        Syscall(name, sys_no_attributes, (PATH if name[0] != "f" else FD, PTR, SIZE))
        for name in ("listxattr", "llistxattr", "flistxattr")
    ),
)

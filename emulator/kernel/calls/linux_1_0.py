"""Calls of Linux's first years that only i386 has. Programs of 1993 make them, and glibc until 2.1.

Source: fs/stat.c (cp_old_stat), kernel/sys.c (sys_olduname), kernel/signal.c (sys_sgetmask, sys_ssetmask), fs/super.c (sys_ustat) of Linux
0.99 and later. Calls for which the first kernels had a number but no code (stty, gtty, ftime, prof, ...) fail with ENOSYS, as they did then.
"""

from __future__ import annotations

import errno

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import FD, HEX, INT, PATH, PTR, PTR_OUT, SIZE, UINT, struct_out
from uselib.emulator.kernel.calls.status import Status, of_descriptor, of_path
from uselib.emulator.kernel.clock import SECOND
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.proc.system_files import system_name
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall
from uselib.linker.image import Machine


def _store(process: Process, address: int, status: Status) -> int:
    """struct __old_kernel_stat: 16-bit device, inode and ids. Numbers that do not fit are cut, as the kernel cut them."""
    if status.size >> 31:
        raise GuestError(errno.EOVERFLOW)
    cut = (status.device, status.inode, status.mode, status.links, status.uid, status.gid, status.node)
    times = (time // SECOND & 0xFFFF_FFFF for time in (status.atime, status.mtime, status.ctime))
    process.memory.write(
        address, process.structs["oldstat"].pack(*(value & 0xFFFF for value in cut), status.size, *times)
    )
    return 0


def sys_oldstat(process: Process, path: int, address: int) -> int:
    name = process.memory.read_string(path, C.PATH_MAX)
    return _store(process, address, of_path(process, process.fs.existing(None, name)))


def sys_oldlstat(process: Process, path: int, address: int) -> int:
    name = process.memory.read_string(path, C.PATH_MAX)
    return _store(process, address, of_path(process, process.fs.existing(None, name, follow=False)))


def sys_oldfstat(process: Process, fd: int, address: int) -> int:
    return _store(process, address, of_descriptor(process, process.files.get(fd)))


def sys_olduname(process: Process, address: int) -> int:
    """Five names of 65 bytes."""
    process.memory.write(address, b"".join(name[:64].ljust(65, b"\0") for name in system_name(process)[:5]))
    return 0


def sys_oldolduname(process: Process, address: int) -> int:
    """Five names of 9 bytes."""
    process.memory.write(address, b"".join(name[:8].ljust(9, b"\0") for name in system_name(process)[:5]))
    return 0


def sys_sgetmask(process: Process) -> int:
    return process.thread.blocked & 0xFFFF_FFFF


def sys_ssetmask(process: Process, mask: int) -> int:
    before = process.thread.blocked
    process.signals.set_blocked(mask | before & ~0xFFFF_FFFF)
    return before & 0xFFFF_FFFF


def sys_ustat(process: Process, device: int, address: int) -> int:
    """struct ustat: i32 free blocks, u32 free inodes, two names of 6 bytes. There is one file system, so every device gets the same
    answer.
    """
    process.memory.write(address, (1 << 21).to_bytes(4, "little") + (1 << 19).to_bytes(4, "little") + bytes(12))
    return 0


def not_permitted(process: Process, *_arguments: int) -> int:
    """Calls for the superuser only, which no guest is: EPERM (suser() failed)."""
    raise GuestError(errno.EPERM)


_ANY = (PTR, PTR, PTR)

ROWS = (
    Syscall("oldstat", sys_oldstat, (PATH, struct_out("oldstat")), Machine.I386),
    Syscall("oldlstat", sys_oldlstat, (PATH, struct_out("oldstat")), Machine.I386),
    Syscall("oldfstat", sys_oldfstat, (FD, struct_out("oldstat")), Machine.I386),
    Syscall("olduname", sys_olduname, (PTR_OUT,), Machine.I386),
    Syscall("oldolduname", sys_oldolduname, (PTR_OUT,), Machine.I386),
    Syscall("sgetmask", sys_sgetmask, (), Machine.I386),
    Syscall("ssetmask", sys_ssetmask, (HEX,), Machine.I386),
    Syscall("ustat", sys_ustat, (UINT, PTR_OUT)),
    Syscall("mount", not_permitted, (PATH, PATH, PATH, HEX, PTR)),
    Syscall("umount", not_permitted, (PATH,), Machine.I386),
    Syscall("umount2", not_permitted, (PATH, INT)),
    Syscall("swapon", not_permitted, (PATH, INT)),
    Syscall("swapoff", not_permitted, (PATH,)),
    Syscall("acct", not_permitted, (PATH,)),
    Syscall("reboot", not_permitted, (HEX, HEX, HEX)),
    Syscall("iopl", not_permitted, (INT,)),
    Syscall("ioperm", not_permitted, (HEX, SIZE, INT)),
    Syscall("quotactl", not_permitted, (HEX, PATH, INT, PTR)),
    Syscall("init_module", not_permitted, (PATH, *_ANY)),
    Syscall("delete_module", not_permitted, (PATH, INT)),
)

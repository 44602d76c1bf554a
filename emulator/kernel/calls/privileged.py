"""Calls that only the machine's root may make, and calls that this kernel does not have.

No guest may make the former: `--user 0` is root of its own files and processes, not of the machine. An ordinary user gets the error of a
kernel that checks the rights first. Source: the manual pages of section 2; kernel/sys.c, kernel/reboot.c, fs/namespace.c of Linux.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from uselib.emulator.kernel.arguments import FD, HEX, INT, LONG, PID, PTR, PTR_OUT, SIZE, UINT, choice, data_out
from uselib.emulator.kernel.calls.process_groups import groups_of
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Handler, Syscall

CAP_SYS_ADMIN, CAP_SYS_TTY_CONFIG = 21, 26
_NAME_MOST = 64  # bytes of a host name


def fails(number: int) -> Handler:
    """Makes the handler of a call that always fails with this error."""

    def not_permitted(process: Process, *_: int) -> int:
        raise GuestError(number)

    return not_permitted


# Names of the machine


def _set_system_name(store: Callable[[Process, bytes], None]) -> Handler:
    def change(process: Process, address: int, size: int) -> int:
        if not process.identity.can(CAP_SYS_ADMIN):
            raise GuestError(errno.EPERM)
        if not 0 <= size <= _NAME_MOST:
            raise GuestError(errno.EINVAL)
        store(process, process.memory.read(address, size) if size else b"")
        return 0

    return change


def _set_host(process: Process, name: bytes) -> None:
    process.settings.host = name.split(b"\0")[0]


def _set_domain(process: Process, name: bytes) -> None:
    process.settings.domain = name.split(b"\0")[0]


# Others


def sys_vhangup(process: Process) -> int:
    if not process.identity.can(CAP_SYS_TTY_CONFIG):
        raise GuestError(errno.EPERM)
    return 0


_CLONE_ALONE = 0x00000200 | 0x00000400 | 0x00040000  # CLONE_FS, CLONE_FILES, CLONE_SYSVSEM
_CLONE_KNOWN = _CLONE_ALONE | 0x7E020000 | 0x80 | 0x10000 | 0x800 | 0x100


def sys_unshare(process: Process, flags: int) -> int:
    """unshare(2). Processes share nothing that these flags could separate, and there is one namespace of each kind."""
    if flags & ~_CLONE_KNOWN:
        raise GuestError(errno.EINVAL)
    if flags & ~_CLONE_ALONE:
        raise GuestError(errno.EPERM)
    return 0


def sys_setns(process: Process, fd: int, kind: int) -> int:
    process.files.get(fd)
    raise GuestError(errno.EPERM)


_LOG_CLOSE, _LOG_OPEN, _LOG_READ_ALL, _LOG_UNREAD, _LOG_SIZE = 0, 1, 3, 9, 10


def sys_syslog(process: Process, action: int, buffer: int, size: int) -> int:
    """The kernel's log, which is empty, for users who may read it."""
    if not 0 <= action <= _LOG_SIZE:
        raise GuestError(errno.EINVAL)
    if not process.identity.can(CAP_SYS_ADMIN):
        raise GuestError(errno.EPERM)
    if action in (2, _LOG_READ_ALL, 4) and (not buffer or size < 0):
        raise GuestError(errno.EINVAL)
    return 1 << 17 if action == _LOG_SIZE else 0


def sys_ptrace(process: Process, request: int, pid: int, address: int, data: int) -> int:
    """ptrace(2) is refused: only the emulator traces."""
    if request == 0:  # PTRACE_TRACEME
        raise GuestError(errno.EPERM)
    if pid <= 0:
        raise GuestError(errno.ESRCH)
    groups_of(process, pid)
    raise GuestError(
        errno.EPERM if request in (16, 0x4206) else errno.ESRCH
    )  # PTRACE_ATTACH, SEIZE; others need a tracer


_KCMP_FILE, _KCMP_KINDS = 0, 8


def sys_kcmp(process: Process, first: int, second: int, kind: int, one: int, two: int) -> int:
    """Compares resources of the process itself: 0 if they are the same, 1 or 2 for an order."""
    if not 0 <= kind < _KCMP_KINDS:
        raise GuestError(errno.EINVAL)
    for pid in (first, second):
        groups_of(process, pid)
        if pid != process.identity.pid:
            raise GuestError(errno.EPERM)
    if kind != _KCMP_FILE:
        return 0
    left, right = process.files.get(one), process.files.get(two)
    return 0 if left is right else 1 if id(left) < id(right) else 2


_FILESYSTEMS = (b"proc", b"devtmpfs", b"tmpfs", b"devpts", b"sysfs", b"ext4")


def sys_sysfs(process: Process, option: int, first: int, second: int) -> int:
    """Numbers and names of file systems."""
    if option == 1:
        name = process.memory.read_string(first, 4096)
        if name in _FILESYSTEMS:
            return _FILESYSTEMS.index(name)
    elif option == 2 and first < len(_FILESYSTEMS):
        process.memory.write(second, _FILESYSTEMS[first] + b"\0")
        return 0
    elif option == 3:
        return len(_FILESYSTEMS)
    raise GuestError(errno.EINVAL)


_MEMBARRIERS = 1 | 2 | 4 | 8 | 16 | 32 | 64  # GLOBAL to PRIVATE_EXPEDITED_SYNC_CORE, with their registrations


def sys_membarrier(process: Process, command: int, flags: int, cpu: int) -> int:
    """Does nothing: with one processor each thread sees all earlier stores of the others when it runs."""
    if flags or (command and (command not in (1, 2, 4, 8, 16, 32, 64))):
        raise GuestError(errno.EINVAL)
    return 0 if command else _MEMBARRIERS


def sys_get_mempolicy(process: Process, mode: int, mask: int, most: int, address: int, flags: int) -> int:
    """There is one node: the policy is the default one, and MPOL_F_MEMS_ALLOWED (4) gives node 0."""
    if flags & ~7 or (flags & 4 and flags & 3):
        raise GuestError(errno.EINVAL)
    if mode:
        process.memory.write(mode, bytes(4))
    if mask:
        size = max((min(most, 1024) + 7) // 8, 1)
        process.memory.write(mask, (1 if flags & 4 else 0).to_bytes(size, "little"))
    return 0


def sys_set_mempolicy(process: Process, mode: int, mask: int, most: int) -> int:
    if mode & ~0xE000 > 6:
        raise GuestError(errno.EINVAL)
    if mask:
        process.memory.read(mask, 1)
    return 0


def sys_modify_ldt(process: Process, function: int, address: int, size: int) -> int:
    """The local descriptor table is empty. Programs use set_thread_area."""
    if function in (0, 2):
        return 0
    raise GuestError(errno.EINVAL if function == 1 else errno.ENOSYS)


_FOUR = (HEX, HEX, HEX, HEX)
_REFUSED = {
    errno.EPERM: """bpf fanotify_init finit_module fsconfig fsmount fsopen fspick kexec_file_load kexec_load migrate_pages mount_setattr
        move_mount move_pages open_tree pivot_root process_madvise quotactl_fd userfaultfd""",
    errno.EACCES: "perf_event_open",
    errno.EOPNOTSUPP: "landlock_create_ruleset landlock_add_rule landlock_restrict_self name_to_handle_at",
    errno.EBADF: "fanotify_mark",
    errno.ENOSYS: """add_key request_key keyctl lookup_dcookie epoll_ctl_old epoll_wait_old pkey_alloc pkey_free pkey_mprotect
        io_uring_setup io_uring_enter io_uring_register cachestat map_shadow_stack uretprobe""",
}

ROWS: tuple[Syscall, ...] = (
    Syscall("sethostname", _set_system_name(_set_host), (PTR, LONG)),
    Syscall("setdomainname", _set_system_name(_set_domain), (PTR, LONG)),
    Syscall("vhangup", sys_vhangup),
    Syscall("unshare", sys_unshare, (HEX,)),
    Syscall("setns", sys_setns, (FD, HEX)),
    Syscall("syslog", sys_syslog, (choice("syslog"), PTR_OUT, INT)),
    Syscall("ptrace", sys_ptrace, (choice("ptrace"), PID, PTR, PTR)),
    Syscall("kcmp", sys_kcmp, (PID, PID, choice("kcmp"), UINT, UINT)),
    Syscall("sysfs", sys_sysfs, (INT, PTR, PTR_OUT)),
    Syscall("membarrier", sys_membarrier, (choice("membarrier"), UINT, INT)),
    Syscall("get_mempolicy", sys_get_mempolicy, (PTR_OUT, PTR_OUT, SIZE, PTR, HEX)),
    Syscall("set_mempolicy", sys_set_mempolicy, (HEX, PTR, SIZE)),
    Syscall("modify_ldt", sys_modify_ldt, (INT, data_out(2), SIZE)),
    *(Syscall(name, fails(number), _FOUR) for number, names in _REFUSED.items() for name in names.split()),
)

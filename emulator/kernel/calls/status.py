"""The stat family, access, statfs.

The guest sees the host's status of a file, without what depends on the host's set-up: all files have one st_dev, and the host's user and
group are shown as the guest's own (ProcessIdentity). Inode numbers and times are the host's.
"""

from __future__ import annotations

import errno
import os
import stat

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import DIRFD, FD, PATH, SIZE, flags, struct_out
from uselib.emulator.kernel.calls.files import path_at
from uselib.emulator.kernel.clock import EPOCH, SECOND
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall, Undo
from uselib.emulator.kernel.vfs.descriptions import Description
from uselib.emulator.kernel.vfs.places import Found, SyntheticFile
from uselib.emulator.kernel.vfs.synthetic import (
    TERMINAL_MAJOR,
    device_number,
    special_mode,
    synthetic_inode,
    synthetic_status,
)
from uselib.linker.image import Machine

DEVICE = os.makedev(0, 37)  # st_dev of every file
_TTY_GROUP = 5


class Status:
    """A file's status as the guest sees it. Times in ns."""

    __slots__ = ("atime", "blocks", "ctime", "device", "gid", "inode", "links", "mode", "mtime", "node", "size", "uid")

    def __init__(self, process: Process, host: os.stat_result, special: SyntheticFile | None = None) -> None:
        self.uid, self.gid, self.mode = process.fs.rights.owner(host)
        self.inode = host.st_ino
        self.links = host.st_nlink
        self.size = host.st_size
        self.device = DEVICE
        self.node = host.st_rdev or 0  # None in a status that filesystem.synthetic_status has made
        if not host.st_size and (device := process.fs.rights.owners.device(host)) is not None:
            self.node = device[1]
        self.blocks = host.st_blocks or 0
        self.mtime, self.ctime = host.st_mtime_ns or 0, host.st_ctime_ns or 0
        process.clock.not_before(max(self.mtime, self.ctime))
        self.atime = process.clock.not_after(host.st_atime_ns or 0)
        if stat.S_ISCHR(host.st_mode) and (number := process.terminals.device(host)) is not None:
            self._terminal(process, number)
        elif special is not None:
            self._made(process, special)

    def _made(self, process: Process, special: SyntheticFile) -> None:
        """The status of a file that exists only in the guest's tree. It belongs to root, except the files of a process."""
        self.node = device_number(special)
        owner = process.identity if special.pid == process.identity.pid else None
        self.uid, self.gid = (owner.effective_uid, owner.effective_gid) if owner is not None else (0, 0)
        self.atime = self.mtime = self.ctime = EPOCH + (owner.started if owner is not None else 0)
        if special.name == "pts":
            self._terminal(process, special.number)

    def _terminal(self, process: Process, number: int) -> None:
        """The status of a terminal (a slave), whichever name it was found by."""
        self.mode, self.inode, self.links = stat.S_IFCHR | 0o620, number + 3, 1
        self.uid, self.gid = process.identity.uid, _TTY_GROUP
        self.node = os.makedev(TERMINAL_MAJOR, number)
        self.atime = self.mtime = self.ctime = EPOCH


def of_path(process: Process, found: Found) -> Status:
    if found.special is not None and found.special.name == "descriptor" and not found.special.link:
        return of_descriptor(process, process.files.get(found.special.number))
    return Status(process, process.fs.status(found), found.special)


def of_descriptor(process: Process, file: Description) -> Status:
    if file.fd < 0:  # synthesised: a directory above the grants, or a device
        if file.directory is not None:
            return of_path(process, process.fs.existing(None, file.path))
        special = file.special or SyntheticFile("null")
        return Status(process, synthetic_status(special_mode(special), synthetic_inode(file.path)), special)
    if file.special is not None:
        return Status(process, synthetic_status(special_mode(file.special), synthetic_inode(file.path)), file.special)
    return Status(process, file.status())


def _device(number: int) -> int:
    """The kernel's encoding of a device number (new_encode_dev)."""
    major, minor = os.major(number), os.minor(number)
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


_ENCODED = _device(DEVICE)


def _store(process: Process, address: int, layout: str, status: Status) -> int:
    """Fills in struct stat or stat64; the values in the order of their fields (structs.DECLARATIONS)."""
    mask = process.structs.word_mask
    device, node = _ENCODED, _device(status.node) if status.node else 0
    atime, mtime, ctime = status.atime, status.mtime, status.ctime
    times = (
        atime // SECOND & mask,
        atime % SECOND,
        mtime // SECOND & mask,
        mtime % SECOND,
        ctime // SECOND & mask,
        ctime % SECOND,
    )
    mode, links, uid, gid, size = status.mode, status.links, status.uid, status.gid, status.size
    values: tuple[int, ...]
    if layout == "stat64":
        values = (
            device,
            status.inode & mask,
            mode,
            links,
            uid,
            gid,
            node,
            size,
            4096,
            status.blocks,
            *times,
            status.inode,
        )
    elif process.machine is Machine.I386:
        if size >> 31:
            raise GuestError(errno.EOVERFLOW)
        small = (min(uid, 65534), min(gid, 65534))  # the old 16-bit ids
        values = (device, status.inode & mask, mode, links, *small, node, size, 4096, status.blocks, *times)
    else:
        values = (device, status.inode, links, mode, uid, gid, node, size, 4096, status.blocks, *times)
    process.memory.write(address, process.structs[layout].pack(*values))
    return 0


def _path(process: Process, address: int) -> bytes:
    return process.memory.read_string(address, C.PATH_MAX)


def sys_stat(process: Process, path: int, address: int) -> int:
    return _store(process, address, "stat", of_path(process, process.fs.existing(None, _path(process, path))))


def sys_lstat(process: Process, path: int, address: int) -> int:
    found = process.fs.existing(None, _path(process, path), follow=False)
    return _store(process, address, "stat", of_path(process, found))


def sys_fstat(process: Process, fd: int, address: int) -> int:
    return _store(process, address, "stat", of_descriptor(process, process.files.get(fd)))


def sys_stat64(process: Process, path: int, address: int) -> int:
    return _store(process, address, "stat64", of_path(process, process.fs.existing(None, _path(process, path))))


def sys_lstat64(process: Process, path: int, address: int) -> int:
    found = process.fs.existing(None, _path(process, path), follow=False)
    return _store(process, address, "stat64", of_path(process, found))


def sys_fstat64(process: Process, fd: int, address: int) -> int:
    return _store(process, address, "stat64", of_descriptor(process, process.files.get(fd)))


def _status_at(process: Process, dirfd: int, path: int, flags: int) -> Status:
    """The status at a path. Raises GuestError(EINVAL) for flags that these calls do not have."""
    name = _path(process, path) if path or not flags & C.AT_EMPTY_PATH else b""
    if not name and flags & C.AT_EMPTY_PATH:
        if dirfd == C.AT_FDCWD:
            return of_path(process, process.fs.existing(None, b"."))
        return of_descriptor(process, process.files.get(dirfd))
    at, name = path_at(process, dirfd, path)
    return of_path(process, process.fs.existing(at, name, not flags & C.AT_SYMLINK_NOFOLLOW))


_STAT_FLAGS = C.AT_SYMLINK_NOFOLLOW | C.AT_NO_AUTOMOUNT | C.AT_EMPTY_PATH


def sys_newfstatat(process: Process, dirfd: int, path: int, address: int, flags: int) -> int:
    if flags & ~_STAT_FLAGS:
        raise GuestError(errno.EINVAL)
    return _store(process, address, "stat", _status_at(process, dirfd, path, flags))


def sys_fstatat64(process: Process, dirfd: int, path: int, address: int, flags: int) -> int:
    if flags & ~_STAT_FLAGS:
        raise GuestError(errno.EINVAL)
    return _store(process, address, "stat64", _status_at(process, dirfd, path, flags))


def sys_statx(process: Process, dirfd: int, path: int, flags: int, mask: int, address: int) -> int:
    if flags & ~(_STAT_FLAGS | 0x6000) or mask & 0x80000000:
        raise GuestError(errno.EINVAL)
    status = _status_at(process, dirfd, path, flags)
    values: dict[str, int | bytes] = {
        "mask": 0x7FF,  # STATX_BASIC_STATS
        "blksize": 4096,
        "nlink": status.links,
        "uid": status.uid,
        "gid": status.gid,
        "mode": status.mode,
        "ino": status.inode,
        "size": status.size,
        "blocks": status.blocks,
        "rdev_major": os.major(status.node),
        "rdev_minor": os.minor(status.node),
        "dev_major": os.major(status.device),
        "dev_minor": os.minor(status.device),
    }
    for name, value in (("atime", status.atime), ("mtime", status.mtime), ("ctime", status.ctime)):
        values[f"{name}_sec"], values[f"{name}_nsec"] = divmod(value, SECOND)
    process.memory.write(address, process.structs["statx"].encode(values))
    return 0


# access


def _access(process: Process, found: Found, mode: int, *, real: bool = True) -> int:
    if mode & ~7:
        raise GuestError(errno.EINVAL)
    process.fs.access(found, mode, real=real)
    return 0


def sys_access(process: Process, path: int, mode: int) -> int:
    return _access(process, process.fs.existing(None, _path(process, path)), mode)


def sys_faccessat(process: Process, dirfd: int, path: int, mode: int) -> int:
    return sys_faccessat2(process, dirfd, path, mode, 0)


def sys_faccessat2(process: Process, dirfd: int, path: int, mode: int, flags: int) -> int:
    if flags & ~(C.AT_EACCESS | C.AT_SYMLINK_NOFOLLOW | C.AT_EMPTY_PATH):
        raise GuestError(errno.EINVAL)
    if mode & ~7:
        raise GuestError(errno.EINVAL)
    real = not flags & C.AT_EACCESS
    if flags & C.AT_EMPTY_PATH and not process.memory.read_string(path, C.PATH_MAX):
        where = process.fs.existing(None, b"." if dirfd == C.AT_FDCWD else b"/proc/self/fd/%d" % dirfd)
        return _access(process, where, mode, real=real)
    at, name = path_at(process, dirfd, path)
    return _access(process, process.fs.existing(at, name, not flags & C.AT_SYMLINK_NOFOLLOW), mode, real=real)


# statfs


def _store_statfs(process: Process, address: int, layout: str) -> int:
    """Shows one file system for all files, with free space. The host's real numbers are not shown."""
    values: dict[str, int | bytes] = {
        "type": 0xEF53,  # EXT4_SUPER_MAGIC
        "bsize": 4096,
        "blocks": 1 << 22,
        "bfree": 1 << 21,
        "bavail": 1 << 21,
        "files": 1 << 20,
        "ffree": 1 << 19,
        "namelen": C.NAME_MAX,
        "frsize": 4096,
        "flags": 0x20,  # ST_VALID
    }
    process.memory.write(address, process.structs[layout].encode(values))
    return 0


def sys_statfs(process: Process, path: int, address: int) -> int:
    process.fs.existing(None, _path(process, path))
    return _store_statfs(process, address, "statfs")


def sys_fstatfs(process: Process, fd: int, address: int) -> int:
    process.files.get(fd)
    return _store_statfs(process, address, "statfs")


def _check_statfs64(process: Process, size: int) -> None:
    if size != process.structs["statfs64"].size:
        raise GuestError(errno.EINVAL)


def sys_statfs64(process: Process, path: int, size: int, address: int) -> int:
    _check_statfs64(process, size)
    process.fs.existing(None, _path(process, path))
    return _store_statfs(process, address, "statfs64")


def sys_fstatfs64(process: Process, fd: int, size: int, address: int) -> int:
    _check_statfs64(process, size)
    process.files.get(fd)
    return _store_statfs(process, address, "statfs64")


_STAT = struct_out("stat")
_STAT64 = struct_out("stat64")
_AT = flags("at")
_ACCESS = flags("access")

ROWS: tuple[Syscall, ...] = (
    Syscall("stat", sys_stat, (PATH, _STAT), undo=Undo.MEMORY),
    Syscall("lstat", sys_lstat, (PATH, _STAT), undo=Undo.MEMORY),
    Syscall("fstat", sys_fstat, (FD, _STAT), undo=Undo.MEMORY),
    Syscall("stat64", sys_stat64, (PATH, _STAT64), undo=Undo.MEMORY),
    Syscall("lstat64", sys_lstat64, (PATH, _STAT64), undo=Undo.MEMORY),
    Syscall("fstat64", sys_fstat64, (FD, _STAT64), undo=Undo.MEMORY),
    Syscall("newfstatat", sys_newfstatat, (DIRFD, PATH, _STAT, _AT), undo=Undo.MEMORY),
    Syscall("fstatat64", sys_fstatat64, (DIRFD, PATH, _STAT64, _AT), undo=Undo.MEMORY),
    Syscall("statx", sys_statx, (DIRFD, PATH, _AT, flags("statx"), struct_out("statx")), undo=Undo.MEMORY),
    Syscall("access", sys_access, (PATH, _ACCESS), undo=Undo.MEMORY),
    Syscall("faccessat", sys_faccessat, (DIRFD, PATH, _ACCESS), undo=Undo.MEMORY),
    Syscall("faccessat2", sys_faccessat2, (DIRFD, PATH, _ACCESS, _AT), undo=Undo.MEMORY),
    Syscall("statfs", sys_statfs, (PATH, struct_out("statfs"))),
    Syscall("fstatfs", sys_fstatfs, (FD, struct_out("statfs"))),
    Syscall("statfs64", sys_statfs64, (PATH, SIZE, struct_out("statfs64"))),
    Syscall("fstatfs64", sys_fstatfs64, (FD, SIZE, struct_out("statfs64"))),
)

"""The current directory, reading directories, and making, removing, linking and renaming entries."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable
from contextlib import suppress

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import (
    DIRFD,
    FD,
    MODE,
    PATH,
    PTR_OUT,
    SIZE,
    UINT,
    ArgumentKind,
    Width,
    data_out,
    flags,
)
from uselib.emulator.kernel.calls.files import path_at
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Effect, Syscall, Undo
from uselib.emulator.kernel.vfs import entries
from uselib.emulator.kernel.vfs.host_files import DirectoryFile
from uselib.emulator.kernel.vfs.places import GuestDirectory


def _path(process: Process, address: int) -> bytes:
    return process.memory.read_string(address, C.PATH_MAX)


def sys_getcwd(process: Process, buffer: int, size: int) -> int:
    name = process.fs.cwd.name + b"\0"
    handle = process.fs.cwd.handle
    if handle is not None and os.fstat(handle.fd).st_nlink == 0:
        raise GuestError(errno.ENOENT)
    if len(name) > size:
        raise GuestError(errno.ERANGE)
    process.memory.write(buffer, name)
    return len(name)


def sys_chdir(process: Process, path: int) -> int:
    process.fs.chdir(None, _path(process, path))
    return 0


def sys_fchdir(process: Process, fd: int) -> int:
    directory = process.files.get(fd).directory
    if directory is None:
        raise GuestError(errno.ENOTDIR)
    process.fs.enter(directory)
    return 0


_CAP_SYS_CHROOT = 18


def sys_chroot(process: Process, path: int) -> int:
    """Changes the root within the guest's tree. The current directory stays where it is."""
    fs = process.fs
    found = fs.existing(None, _path(process, path))
    if found.directory is None:
        raise GuestError(errno.ENOTDIR)
    if found.directory.handle is not None:
        fs.rights.check(os.fstat(found.directory.handle.fd), 1)
    if not process.identity.can(_CAP_SYS_CHROOT):
        raise GuestError(errno.EPERM)
    above, here = found.directory.path, fs.cwd
    fs.namespace.change_root(found.directory)
    if here.path[: len(above)] == above:
        fs.cwd = GuestDirectory(here.path[len(above) :], here.handle, here.writable, here.node)
    return 0


def sys_umask(process: Process, mask: int) -> int:
    """Sets the umask of the host process, which the host's kernel applies to files that the guest makes."""
    return os.umask(mask & 0o777)


# Reading directories

_KINDS = {
    stat.S_IFREG: 8,
    stat.S_IFDIR: 4,
    stat.S_IFLNK: 10,
    stat.S_IFCHR: 2,
    stat.S_IFBLK: 6,
    stat.S_IFIFO: 1,
    stat.S_IFSOCK: 12,
}


def listing(process: Process, file: DirectoryFile) -> list[tuple[bytes, int, int]]:
    """(name, inode, d_type) of a directory, `.` and `..` first, then sorted by name: the host's order differs between
    file systems and runs."""
    directory = file.directory
    assert directory is not None
    found: dict[bytes, tuple[int, int]] = {}
    own = process.fs.status(process.fs.existing(directory, b"."))
    if file.fd >= 0:
        with os.scandir(file.fd) as listing:
            for entry in listing:
                found[os.fsencode(entry.name)] = (entry.inode(), _kind(entry))
    if directory.node is not None:
        for name in directory.node.entries(process.fs.namespace.view):
            try:
                child = process.fs.existing(directory, name, follow=False)
            except (GuestError, OSError):
                continue
            status = process.fs.status(child)
            found[name] = (status.st_ino, _KINDS.get(stat.S_IFMT(status.st_mode), 0))
    rows = [(name, *found[name]) for name in sorted(found)]
    parent = own.st_ino
    with suppress(GuestError, OSError):
        parent = process.fs.status(process.fs.existing(directory, b"..")).st_ino
    return [(b".", own.st_ino, 4), (b"..", parent, 4), *rows]


def _kind(entry: os.DirEntry[str]) -> int:
    if entry.is_symlink():
        return 10
    if entry.is_dir(follow_symlinks=False):
        return 4
    if entry.is_file(follow_symlinks=False):
        return 8
    return _KINDS.get(stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode), 0)


def _directory(process: Process, fd: int) -> DirectoryFile:
    file = process.files.get(fd)
    if not isinstance(file, DirectoryFile):
        raise GuestError(errno.EBADF if file.flags & C.O_PATH else errno.ENOTDIR)
    if file.entries is None:
        file.entries = listing(process, file)
    return file


def sys_getdents64(process: Process, fd: int, buffer: int, size: int) -> int:
    """struct linux_dirent64: inode, offset of the next entry, length, type, name."""
    return _fill(process, fd, buffer, size, _dirent64)


def sys_getdents(process: Process, fd: int, buffer: int, size: int) -> int:
    """struct linux_dirent: inode, offset, length, name, and the type in the last byte."""
    return _fill(process, fd, buffer, size, _dirent32 if process.structs.word == 4 else _dirent_64bit)


def _dirent64(name: bytes, inode: int, kind: int, offset: int) -> bytes:
    length = -(-(19 + len(name) + 1) // 8) * 8
    return (struct.pack("<QqHB", inode, offset, length, kind) + name).ljust(length, b"\0")


def _dirent32(name: bytes, inode: int, kind: int, offset: int) -> bytes:
    length = -(-(10 + len(name) + 2) // 4) * 4
    return (struct.pack("<IIH", inode & 0xFFFFFFFF, offset, length) + name).ljust(length - 1, b"\0") + bytes([kind])


def _dirent_64bit(name: bytes, inode: int, kind: int, offset: int) -> bytes:
    length = -(-(18 + len(name) + 2) // 8) * 8
    return (struct.pack("<QQH", inode, offset, length) + name).ljust(length - 1, b"\0") + bytes([kind])


_Encoder = Callable[[bytes, int, int, int], bytes]  # name, inode, type, offset of the next


def _fill(process: Process, fd: int, buffer: int, size: int, encode: _Encoder) -> int:
    file = _directory(process, fd)
    assert file.entries is not None
    data = bytearray()
    position = file.position
    while position < len(file.entries):
        name, inode, kind = file.entries[position]
        entry = encode(name, inode, kind, position + 1)
        if len(data) + len(entry) > size:
            if not data:
                raise GuestError(errno.EINVAL)
            break
        data += entry
        position += 1
    process.memory.write(buffer, data)
    file.position = position
    return len(data)


def sys_readdir(process: Process, fd: int, buffer: int, count: int) -> int:
    """i386: struct old_linux_dirent, one entry a call."""
    file = _directory(process, fd)
    assert file.entries is not None
    if file.position >= len(file.entries):
        return 0
    name, inode, _ = file.entries[file.position]
    process.memory.write(buffer, struct.pack("<IIH", inode & 0xFFFFFFFF, file.position, len(name)) + name + b"\0")
    file.position += 1
    return 1


# Changing directories


def sys_mkdir(process: Process, path: int, mode: int) -> int:
    entries.mkdir(process.fs, None, _path(process, path), mode)
    return 0


def sys_mkdirat(process: Process, dirfd: int, path: int, mode: int) -> int:
    entries.mkdir(process.fs, *path_at(process, dirfd, path), mode)
    return 0


def _device(number: int) -> int:
    """The argument of mknod as st_rdev (new_decode_dev)."""
    return os.makedev(number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00)


def sys_mknod(process: Process, path: int, mode: int, device: int) -> int:
    entries.mknod(process.fs, None, _path(process, path), mode, _device(device))
    return 0


def sys_mknodat(process: Process, dirfd: int, path: int, mode: int, device: int) -> int:
    entries.mknod(process.fs, *path_at(process, dirfd, path), mode, _device(device))
    return 0


def sys_rmdir(process: Process, path: int) -> int:
    entries.rmdir(process.fs, None, _path(process, path))
    return 0


def sys_unlink(process: Process, path: int) -> int:
    entries.unlink(process.fs, None, _path(process, path))
    return 0


def sys_unlinkat(process: Process, dirfd: int, path: int, flags: int) -> int:
    if flags & ~C.AT_REMOVEDIR:
        raise GuestError(errno.EINVAL)
    at, name = path_at(process, dirfd, path)
    if flags:
        entries.rmdir(process.fs, at, name)
    else:
        entries.unlink(process.fs, at, name)
    return 0


def sys_rename(process: Process, old: int, new: int) -> int:
    entries.rename(process.fs, None, _path(process, old), None, _path(process, new))
    return 0


def sys_renameat(process: Process, old_fd: int, old: int, new_fd: int, new: int) -> int:
    return sys_renameat2(process, old_fd, old, new_fd, new, 0)


def sys_renameat2(process: Process, old_fd: int, old: int, new_fd: int, new: int, flags: int) -> int:
    """RENAME_NOREPLACE (1), RENAME_EXCHANGE (2). Whiteouts (4) are refused, as for users who may not make device files."""
    if flags & ~7 or (flags & 2 and flags & 5):
        raise GuestError(errno.EINVAL)
    if flags & 4:
        raise GuestError(errno.EPERM)
    source, target = path_at(process, old_fd, old), path_at(process, new_fd, new)
    entries.rename(process.fs, *source, *target, flags=flags)
    return 0


def sys_link(process: Process, old: int, new: int) -> int:
    entries.link(process.fs, None, _path(process, old), None, _path(process, new), follow=False)
    return 0


def sys_linkat(process: Process, old_fd: int, old: int, new_fd: int, new: int, flags: int) -> int:
    if flags & ~(C.AT_EMPTY_PATH | C.AT_SYMLINK_FOLLOW):
        raise GuestError(errno.EINVAL)
    if flags & C.AT_EMPTY_PATH:
        raise GuestError(errno.ENOENT)  # needs CAP_DAC_READ_SEARCH
    source, target = path_at(process, old_fd, old), path_at(process, new_fd, new)
    entries.link(process.fs, *source, *target, follow=bool(flags & C.AT_SYMLINK_FOLLOW))
    return 0


def sys_symlink(process: Process, target: int, path: int) -> int:
    entries.symlink(process.fs, _path(process, target), None, _path(process, path))
    return 0


def sys_symlinkat(process: Process, target: int, dirfd: int, path: int) -> int:
    entries.symlink(process.fs, _path(process, target), *path_at(process, dirfd, path))
    return 0


def _store_link(process: Process, target: bytes, buffer: int, size: int) -> int:
    if size <= 0:
        raise GuestError(errno.EINVAL)
    process.memory.write(buffer, target[:size])
    return min(len(target), size)


def sys_readlink(process: Process, path: int, buffer: int, size: int) -> int:
    return _store_link(process, process.fs.readlink(None, _path(process, path)), buffer, size)


def sys_readlinkat(process: Process, dirfd: int, path: int, buffer: int, size: int) -> int:
    return _store_link(process, process.fs.readlink(*path_at(process, dirfd, path)), buffer, size)


_SIGNED = ArgumentKind("int", Width.INT)

_ENTRIES = ArgumentKind("dirents", size=2, output=True)

ROWS: tuple[Syscall, ...] = (
    Syscall("getcwd", sys_getcwd, (ArgumentKind("string", output=True), SIZE), undo=Undo.MEMORY),
    Syscall("chdir", sys_chdir, (PATH,), effect=Effect.PROCESSES),
    Syscall("fchdir", sys_fchdir, (FD,), effect=Effect.PROCESSES),
    Syscall("chroot", sys_chroot, (PATH,), effect=Effect.PROCESSES),
    Syscall("umask", sys_umask, (MODE,), effect=Effect.PROCESSES),
    Syscall("getdents", sys_getdents, (FD, _ENTRIES, UINT)),
    Syscall("getdents64", sys_getdents64, (FD, _ENTRIES, UINT)),
    Syscall("readdir", sys_readdir, (FD, PTR_OUT, UINT)),
    Syscall("mkdir", sys_mkdir, (PATH, MODE), effect=Effect.FILES),
    Syscall("mkdirat", sys_mkdirat, (DIRFD, PATH, MODE), effect=Effect.FILES),
    Syscall("mknod", sys_mknod, (PATH, MODE, UINT), effect=Effect.FILES),
    Syscall("mknodat", sys_mknodat, (DIRFD, PATH, MODE, UINT), effect=Effect.FILES),
    Syscall("rmdir", sys_rmdir, (PATH,), effect=Effect.FILES),
    Syscall("unlink", sys_unlink, (PATH,), effect=Effect.FILES),
    Syscall("unlinkat", sys_unlinkat, (DIRFD, PATH, flags("unlinkat")), effect=Effect.FILES),
    Syscall("rename", sys_rename, (PATH, PATH), effect=Effect.FILES),
    Syscall("renameat", sys_renameat, (DIRFD, PATH, DIRFD, PATH), effect=Effect.FILES),
    Syscall("renameat2", sys_renameat2, (DIRFD, PATH, DIRFD, PATH, flags("renameat2")), effect=Effect.FILES),
    Syscall("link", sys_link, (PATH, PATH), effect=Effect.FILES),
    Syscall("linkat", sys_linkat, (DIRFD, PATH, DIRFD, PATH, flags("at")), effect=Effect.FILES),
    Syscall("symlink", sys_symlink, (PATH, PATH), effect=Effect.FILES),
    Syscall("symlinkat", sys_symlinkat, (PATH, DIRFD, PATH), effect=Effect.FILES),
    Syscall("readlink", sys_readlink, (PATH, data_out(2), _SIGNED), undo=Undo.MEMORY),
    Syscall("readlinkat", sys_readlinkat, (DIRFD, PATH, data_out(3), _SIGNED), undo=Undo.MEMORY),
)

"""Entries of directories: making, removing, linking and renaming them. These work only below writable grants, else EROFS, as on a read-only
mount.
"""

from __future__ import annotations

import errno
import os
import stat

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.vfs.filesystem import MODE, FileSystem
from uselib.emulator.kernel.vfs.openat2 import exchange
from uselib.emulator.kernel.vfs.places import Found, GuestDirectory, Handle
from uselib.emulator.kernel.vfs.rights import SEARCH, SET_IDS, WRITE

_NOREPLACE, _EXCHANGE = 1, 2
_DEVICES = (stat.S_IFCHR, stat.S_IFBLK)
CAP_MKNOD = 27


def _new(fs: FileSystem, at: GuestDirectory | None, path: bytes) -> tuple[bytes, Handle]:
    """For calls that make an entry: its name, and its directory, which the caller holds open. Raises GuestError(EEXIST, EROFS, ...)."""
    try:
        found = fs.resolve(at, path.rstrip(b"/") or path, follow=False)
    except GuestError as failure:
        if failure.errno == errno.ENOENT:
            fs.check_outside(at, path)
        raise
    if found.exists:
        raise GuestError(errno.EEXIST)
    if found.parent.handle is None or not found.parent.writable:
        raise GuestError(errno.EROFS)
    fs.rights.check(os.fstat(found.parent.handle.fd), WRITE | SEARCH)
    return found.name, found.parent.handle


def _made(fs: FileSystem, name: bytes, parent: Handle, mode: int = 0) -> None:
    """Gives a new entry to the guest's user."""
    status = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
    fs.rights.created(os.fstat(parent.fd), status, mode)


def _old(fs: FileSystem, at: GuestDirectory | None, path: bytes) -> tuple[Found, Handle]:
    """For calls that remove or move an entry: the entry, which exists, and its directory."""
    found = fs.existing(at, path.rstrip(b"/") or path, follow=False)
    found.slash = path.endswith(b"/")
    if found.granted or found.name == b".":
        raise GuestError(errno.EBUSY)
    if found.parent.handle is None or not found.parent.writable or found.special is not None:
        raise GuestError(errno.EROFS)
    status = os.stat(found.name, dir_fd=found.parent.handle.fd, follow_symlinks=False)
    fs.rights.check_removal(os.fstat(found.parent.handle.fd), status)
    return found, found.parent.handle


def _removed(fs: FileSystem, status: os.stat_result) -> None:
    """Called when a name of the file has been removed."""
    if status.st_nlink <= 1 or stat.S_ISDIR(status.st_mode):
        fs.rights.owners.forget(status)


def mkdir(fs: FileSystem, at: GuestDirectory | None, path: bytes, mode: int) -> None:
    name, parent = _new(fs, at, path)
    os.mkdir(name, mode & MODE, dir_fd=parent.fd)
    _made(fs, name, parent, mode)


def make_socket(fs: FileSystem, at: GuestDirectory | None, path: bytes, mode: int) -> tuple[int, int]:
    """Makes the file of a socket's name. Returns its device and inode. No host socket is behind it. Raises GuestError(EEXIST, EROFS, ...)."""
    name, parent = _new(fs, at, path)
    os.mknod(name, stat.S_IFSOCK | mode, dir_fd=parent.fd)
    _made(fs, name, parent, mode)
    status = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
    return status.st_dev, status.st_ino


def mknod(fs: FileSystem, at: GuestDirectory | None, path: bytes, mode: int, device: int = 0) -> None:
    """Makes regular files, FIFOs, and sockets without a listener; for root also empty files that stand for devices. Raises GuestError."""
    name, parent = _new(fs, at, path)
    kind = stat.S_IFMT(mode)
    if kind not in (0, stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, *_DEVICES):
        raise GuestError(errno.EPERM if kind == stat.S_IFDIR else errno.EINVAL)
    if kind in _DEVICES and not fs.rights.can(CAP_MKNOD):
        raise GuestError(errno.EPERM)
    if kind == stat.S_IFSOCK:
        os.mknod(name, mode & (MODE | kind), dir_fd=parent.fd)
    elif kind == stat.S_IFIFO:
        os.mkfifo(name, mode & MODE, dir_fd=parent.fd)
    else:
        flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC
        os.close(os.open(name, flags, mode & MODE, dir_fd=parent.fd))
    _made(fs, name, parent, mode)
    if kind in _DEVICES:
        status = os.stat(name, dir_fd=parent.fd)
        uid, gid, _ = fs.rights.owner(status)
        fs.rights.owners.put(status, uid, gid, kind | mode & SET_IDS, device)


def symlink(fs: FileSystem, target: bytes, at: GuestDirectory | None, path: bytes) -> None:
    if not target:
        raise GuestError(errno.ENOENT)
    name, parent = _new(fs, at, path)
    os.symlink(target, name, dir_fd=parent.fd)
    _made(fs, name, parent)


def unlink(fs: FileSystem, at: GuestDirectory | None, path: bytes) -> None:
    found = fs.existing(at, path.rstrip(b"/") or path, follow=False)
    if found.directory is not None and found.name in (b".", b""):
        raise GuestError(errno.EISDIR)
    if (files := fs.memory_files(found)) is not None:
        files.remove(found.name)
        return
    found, parent = _old(fs, at, path)
    if found.slash and found.directory is None:
        raise GuestError(errno.ENOTDIR)
    if found.directory is not None:
        raise GuestError(errno.EISDIR)
    status = os.stat(found.name, dir_fd=parent.fd, follow_symlinks=False)
    os.unlink(found.name, dir_fd=parent.fd)
    _removed(fs, status)


def rmdir(fs: FileSystem, at: GuestDirectory | None, path: bytes) -> None:
    last = path.rstrip(b"/").rpartition(b"/")[2]
    if last == b".":
        raise GuestError(errno.EINVAL)
    if last == b"..":
        raise GuestError(errno.ENOTEMPTY)
    found, parent = _old(fs, at, path)
    if found.directory is None:
        raise GuestError(errno.ENOTDIR)
    status = os.stat(found.name, dir_fd=parent.fd, follow_symlinks=False)
    os.rmdir(found.name, dir_fd=parent.fd)
    _removed(fs, status)


def rename(
    fs: FileSystem,
    old_at: GuestDirectory | None,
    old: bytes,
    new_at: GuestDirectory | None,
    new: bytes,
    *,
    flags: int = 0,
) -> None:
    """rename(2). flags: RENAME_NOREPLACE or RENAME_EXCHANGE."""
    found = fs.resolve(old_at, old, follow=False)
    if (files := fs.memory_files(found)) is not None:
        files.rename(found.name, _in_memory(fs, new_at, new), not flags & _NOREPLACE)
        return
    source, old_parent = _old(fs, old_at, old)
    if source.slash and source.directory is None:
        raise GuestError(errno.ENOTDIR)
    target, new_parent = _target(fs, new_at, new)
    if new.endswith(b"/") and source.directory is None:
        raise GuestError(errno.ENOTDIR)
    if target.exists and flags & _NOREPLACE:
        raise GuestError(errno.EEXIST)
    above = os.fstat(new_parent.fd)
    fs.rights.check(above, WRITE | SEARCH)
    if flags & _EXCHANGE:
        if not target.exists:
            raise GuestError(errno.ENOENT)
        exchange(old_parent.fd, source.name, new_parent.fd, target.name)
        return
    lost = os.stat(target.name, dir_fd=new_parent.fd, follow_symlinks=False) if target.exists else None
    if lost is not None:
        fs.rights.check_removal(above, lost)
    os.rename(source.name, target.name, src_dir_fd=old_parent.fd, dst_dir_fd=new_parent.fd)
    if lost is not None:
        _removed(fs, lost)


def _target(fs: FileSystem, at: GuestDirectory | None, path: bytes) -> tuple[Found, Handle]:
    """The target of a rename, which may exist, and its directory. Raises GuestError."""
    try:
        found = fs.resolve(at, path.rstrip(b"/") or path, follow=False)
    except GuestError as failure:
        if failure.errno == errno.ENOENT:
            fs.check_outside(at, path)
        raise
    if found.granted or found.name == b".":
        raise GuestError(errno.EBUSY)
    if found.parent.handle is None or not found.parent.writable or found.special is not None:
        raise GuestError(errno.EROFS)
    return found, found.parent.handle


def _in_memory(fs: FileSystem, at: GuestDirectory | None, path: bytes) -> bytes:
    """The name in /dev/shm that a path leads to. Raises GuestError(EXDEV) if it leads elsewhere."""
    into = fs.resolve(at, path, follow=False)
    if fs.memory_files(into) is None:
        raise GuestError(errno.EXDEV)
    return into.name


def link(
    fs: FileSystem, old_at: GuestDirectory | None, old: bytes, new_at: GuestDirectory | None, new: bytes, follow: bool
) -> None:
    """link(2). Both names must be writable: a second name under a writable grant for a file outside one would make
    that file writable."""
    source = fs.existing(old_at, old, follow)
    if (files := fs.memory_files(source)) is not None:
        files.link(source.name, _in_memory(fs, new_at, new))
        return
    name, parent = _new(fs, new_at, new)
    if source.directory is not None:
        raise GuestError(errno.EPERM)
    if source.special is not None and source.special.name == "descriptor" and not source.special.link:
        fd, mutable = fs.namespace.view.opened(source.special.number)
        if not mutable or os.fstat(fd).st_dev != os.fstat(parent.fd).st_dev:
            raise GuestError(errno.EXDEV)
        os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=parent.fd)
        return
    if source.special is not None or source.granted or not source.parent.writable or source.at is None:
        raise GuestError(errno.EXDEV)
    directory, old_name = source.at
    os.link(old_name, name, src_dir_fd=directory.fd, dst_dir_fd=parent.fd, follow_symlinks=False)

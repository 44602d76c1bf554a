"""Changes of a file by its path: mode, times, size. They need a writable grant, else EROFS, as on a read-only mount."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.vfs.filesystem import MODE, FileSystem
from uselib.emulator.kernel.vfs.open_files import open_file
from uselib.emulator.kernel.vfs.places import Found, GuestDirectory


def change(found: Found, action: Callable[[bytes | str, int | None], None]) -> None:
    """Changes an inode: calls `action(name, dir_fd)`. Raises GuestError(EROFS) outside writable grants."""
    if found.directory is not None:
        if not found.directory.writable or found.directory.handle is None:
            raise GuestError(errno.EROFS)
        action(b".", found.directory.handle.fd)
        return
    if found.special is not None:
        raise GuestError(errno.EPERM)
    if not found.parent.writable or found.at is None:
        raise GuestError(errno.EROFS)
    directory, name = found.at
    action(name, directory.fd)


def chmod(fs: FileSystem, at: GuestDirectory | None, path: bytes, mode: int, follow: bool = True) -> None:
    found = fs.existing(at, path, follow)
    if (opened := _opened(fs, found)) is not None:
        fs.rights.check_owner(os.fstat(opened))
        os.chmod(f"/proc/self/fd/{opened}", mode & MODE)
        fs.rights.change_mode(os.fstat(opened), mode)
        return
    change(found, lambda name, parent: _change_mode(fs, found, mode))


def _opened(fs: FileSystem, found: Found) -> int | None:
    """The host descriptor of the open file behind /proc/self/fd/N, or of a file of /dev/shm. None for another path. Raises GuestError(EROFS,
    EPERM).
    """
    if found.handle is not None and fs.memory_files(found) is not None:
        return found.handle.fd
    if found.special is None or found.special.name != "descriptor" or found.special.link:
        return None
    fd, mutable = fs.namespace.view.opened(found.special.number)
    if fd < 0:
        raise GuestError(errno.EPERM)
    if not mutable:
        raise GuestError(errno.EROFS)
    return fd


def _change_mode(fs: FileSystem, found: Found, mode: int) -> None:
    status = fs.status(found)
    fs.rights.check_owner(status)
    _chmod(found, mode & MODE)
    fs.rights.change_mode(status, mode)


def utime(fs: FileSystem, at: GuestDirectory | None, path: bytes, times: tuple[int, int], follow: bool = True) -> None:
    """Sets access and modification time, ns since 1970."""
    found = fs.existing(at, path, follow)
    change(found, lambda name, parent: os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False))


def truncate(fs: FileSystem, at: GuestDirectory | None, path: bytes, size: int) -> None:
    found = fs.existing(at, path)
    if found.directory is not None:
        raise GuestError(errno.EISDIR)
    if found.special is not None or not stat.S_ISREG(fs.status(found).st_mode):
        raise GuestError(errno.EINVAL)
    opened = open_file(fs, at, path, C.O_WRONLY, 0)
    try:
        os.ftruncate(opened.fd, size)
    finally:
        os.close(opened.fd)


def _chmod(found: Found, mode: int) -> None:
    """chmod of exactly the inode that was found. It goes through /proc, which takes an O_PATH descriptor and follows no name."""
    if found.status is not None and stat.S_ISLNK(found.status.st_mode):
        raise GuestError(errno.EOPNOTSUPP)
    handle = found.directory.handle if found.directory is not None else found.handle
    assert handle is not None
    os.chmod(f"/proc/self/fd/{handle.fd}", mode)

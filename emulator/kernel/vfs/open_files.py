"""open(2) on a path: which files may be opened for reading and writing, and made.

Besides regular files and directories the guest opens only FIFOs, and only where it may write: a device, or a FIFO of the host, would lead out
of the namespace. opening.py makes an open file description of an opened file.
"""

from __future__ import annotations

import errno
import os
import stat

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.vfs.filesystem import MODE, FileSystem
from uselib.emulator.kernel.vfs.places import Found, GuestDirectory, SyntheticFile
from uselib.emulator.kernel.vfs.rights import READ, SEARCH, WRITE
from uselib.emulator.kernel.vfs.synthetic import DEVICE_NUMBERS, special_mode
from uselib.linker.quick_dataclass import dataclass

_WANTED = (READ, WRITE, READ | WRITE, READ | WRITE)  # by access mode


@dataclass
class OpenedFile:
    """The result of open(2): a host descriptor, or -1 for synthesised files.

    mutable: the inode lies under a writable grant, so fchmod and the like are allowed.
    """

    fd: int
    path: bytes
    flags: int
    mutable: bool
    directory: GuestDirectory | None = None
    special: SyntheticFile | None = None


def open_file(fs: FileSystem, at: GuestDirectory | None, path: bytes, flags: int, mode: int) -> OpenedFile:
    """open(2). Raises GuestError, OSError."""
    follow = not flags & C.O_NOFOLLOW and flags & (C.O_CREAT | C.O_EXCL) != C.O_CREAT | C.O_EXCL
    for _ in range(16):  # the name has changed meanwhile: look again
        found = _found(fs, at, path, flags, follow)
        if not found.exists:
            try:
                return _create(fs, found, flags, mode)
            except FileExistsError:
                continue
        if flags & C.O_CREAT and flags & C.O_EXCL:
            raise GuestError(errno.EEXIST)
        if flags & C.O_PATH:
            return _open_path(found, flags)
        if found.special is not None:
            return _open_special(found, found.special, flags)
        if found.directory is not None:
            return _open_directory(fs, found.directory, flags, mode)
        opened = _open_file(fs, found, flags)
        if opened is not None:
            return opened
    raise GuestError(errno.EAGAIN)


def _found(fs: FileSystem, at: GuestDirectory | None, path: bytes, flags: int, follow: bool) -> Found:
    if flags & C.O_CREAT and path.endswith(b"/"):
        raise GuestError(errno.EISDIR)
    changes = flags & (C.O_CREAT | C.O_TRUNC) or flags & C.O_ACCMODE
    try:
        found = fs.resolve(at, path, follow)
    except GuestError as failure:
        if failure.errno == errno.ENOENT and changes and not flags & C.O_PATH:
            fs.check_outside(at, path)
        raise
    if not found.exists and (not flags & C.O_CREAT or flags & C.O_PATH):
        made = found.parent.node is not None and found.parent.node.lister is not None
        plain = found.parent.handle is None and fs.memory_files(found) is None
        if changes and plain and not (made and not flags & C.O_CREAT):
            raise GuestError(errno.EROFS)
        raise GuestError(errno.ENOENT)
    return found


def _create(fs: FileSystem, found: Found, flags: int, mode: int) -> OpenedFile:
    if (files := fs.memory_files(found)) is not None:
        fd = files.create(found.name, mode & 0o777 & ~fs.umask())
        try:
            return OpenedFile(_again(fd, flags), found.full_name, flags, True)
        finally:
            os.close(fd)
    if not found.parent.writable or found.parent.handle is None:
        raise GuestError(errno.EROFS)
    above = os.fstat(found.parent.handle.fd)
    fs.rights.check(above, WRITE | SEARCH)
    host = C.host_open_flags(flags) | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    fd = os.open(found.name, host, mode & MODE, dir_fd=found.parent.handle.fd)
    fs.rights.created(above, os.fstat(fd), mode)
    return OpenedFile(fd, found.full_name, flags, True)


def _open_path(found: Found, flags: int) -> OpenedFile:
    if flags & C.O_DIRECTORY and found.directory is None:
        raise GuestError(errno.ENOTDIR)
    handle = found.directory.handle if found.directory is not None else found.handle
    fd = os.dup(handle.fd) if handle is not None else -1
    mutable = found.directory is None and found.handle is not None and found.parent.writable
    return OpenedFile(fd, found.full_name, flags, mutable, found.directory, found.special)


def _open_special(found: Found, special: SyntheticFile, flags: int) -> OpenedFile:
    if flags & C.O_DIRECTORY:
        raise GuestError(errno.ENOTDIR)
    if special.link and special.name != "descriptor":
        raise GuestError(errno.ELOOP)
    mode = special_mode(special)
    if flags & (C.O_ACCMODE | C.O_TRUNC) and stat.S_ISREG(mode) and not mode & 0o222:
        raise GuestError(errno.EACCES)
    return OpenedFile(-1, found.full_name, flags, False, None, special)


def _open_nameless(fs: FileSystem, directory: GuestDirectory, flags: int, mode: int) -> OpenedFile:
    """O_TMPFILE"""
    if not flags & C.O_ACCMODE:
        raise GuestError(errno.EINVAL)
    if directory.handle is None or not directory.writable:
        raise GuestError(errno.EROFS)
    above = os.fstat(directory.handle.fd)
    fs.rights.check(above, WRITE | SEARCH)
    kept = os.O_EXCL if flags & C.O_EXCL else 0
    fd = os.open(b".", C.host_open_flags(flags) | os.O_TMPFILE | kept, mode & MODE, dir_fd=directory.handle.fd)
    fs.rights.created(above, os.fstat(fd), mode)
    name = b"/".join((directory.name.rstrip(b"/"), b"#%d" % os.fstat(fd).st_ino))
    return OpenedFile(fd, name, flags, True)


def _open_directory(fs: FileSystem, directory: GuestDirectory, flags: int, mode: int) -> OpenedFile:
    if flags & C.O_TMPFILE == C.O_TMPFILE:
        return _open_nameless(fs, directory, flags, mode)
    if flags & (C.O_ACCMODE | C.O_CREAT | C.O_TRUNC):
        raise GuestError(errno.EISDIR)
    fd = -1
    if directory.handle is not None:
        fs.rights.check(os.fstat(directory.handle.fd), READ)
        fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory.handle.fd)
    return OpenedFile(fd, directory.name, flags, directory.writable, directory)


def _open_file(fs: FileSystem, found: Found, flags: int) -> OpenedFile | None:
    """Opens a file that exists. None: another file has got its name meanwhile."""
    assert found.handle is not None and found.status is not None
    if found.at is None:  # in memory
        if flags & C.O_DIRECTORY:
            raise GuestError(errno.ENOTDIR)
        return OpenedFile(_again(found.handle.fd, flags), found.full_name, flags, True)
    _check_file(fs, found, found.status, flags)
    if (device := fs.rights.owners.device(found.status)) is not None:
        return _open_device(found, device, flags)
    fd = _open_inode(found.at[0].fd, found.at[1], found.status, flags, found.parent.writable)
    return None if fd < 0 else OpenedFile(fd, found.full_name, flags, found.parent.writable)


def _check_file(fs: FileSystem, found: Found, status: os.stat_result, flags: int) -> None:
    """Raises GuestError or OSError if the file must not be opened this way."""
    if stat.S_ISLNK(status.st_mode):
        raise GuestError(errno.ELOOP)
    if flags & C.O_DIRECTORY:
        raise GuestError(errno.ENOTDIR)
    changes = flags & C.O_ACCMODE or flags & C.O_TRUNC
    if changes and not found.parent.writable and not stat.S_ISSOCK(status.st_mode):
        raise GuestError(errno.EROFS)
    if flags & C.O_NOATIME:
        fs.rights.check_owner(status)
    fs.rights.check(status, _WANTED[flags & C.O_ACCMODE] | (WRITE if flags & C.O_TRUNC else 0))


def _open_inode(directory: int, name: bytes, status: os.stat_result, flags: int, writable: bool) -> int:
    """The host descriptor of the file with this status; -1: the name belongs to another file by now. Raises GuestError, OSError."""
    regular = stat.S_ISREG(status.st_mode)
    if not regular and not (stat.S_ISFIFO(status.st_mode) and writable):
        raise GuestError(errno.ENXIO if stat.S_ISSOCK(status.st_mode) else errno.EACCES)
    host = C.host_open_flags(flags) | os.O_NOFOLLOW | (os.O_TRUNC if flags & C.O_TRUNC else 0)
    if regular:
        host |= os.O_NONBLOCK  # if a FIFO has got the name, do not wait for its other end
    fd = os.open(name, host, dir_fd=directory)
    opened = os.fstat(fd)
    if (opened.st_dev, opened.st_ino) != (status.st_dev, status.st_ino):
        os.close(fd)
        return -1
    if regular and not flags & C.O_NONBLOCK:
        os.set_blocking(fd, True)
    return fd


def _open_device(found: Found, device: tuple[int, int], flags: int) -> OpenedFile:
    """Opens a device that mknod(2) has made. Only the memory devices exist. Raises GuestError(ENXIO)."""
    kind, number = device
    for name, numbers in DEVICE_NUMBERS.items():
        if kind == stat.S_IFCHR and number == os.makedev(*numbers):
            return _open_special(found, SyntheticFile(name), flags)
    raise GuestError(errno.ENXIO)


def _again(fd: int, flags: int) -> int:
    """Opens a memory file once more."""
    return os.open(f"/proc/self/fd/{fd}", C.host_open_flags(flags) | (os.O_TRUNC if flags & C.O_TRUNC else 0))

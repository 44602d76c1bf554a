"""Extended attributes (xattr(7)). Those of the user namespace are the host's. They can be read everywhere and changed below writable grants.

Attributes of other namespaces on the host are not shown. Those that root of its own tree (`--user 0`) sets are kept by the process itself.
Source: fs/xattr.c of Linux.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import FD, PATH, SIZE, ArgumentKind, data_in, data_out, flags
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Effect, Handler, Syscall

_NAME_MOST, _SIZE_MOST, _LIST_MOST = 255, 65536, 65536
_CREATE, _REPLACE = 1, 2
_USER = b"user."
_ROOT = (b"security.", b"trusted.")
_CAP_SYS_ADMIN = 21
_NAMESPACES = (b"security.", b"system.", b"trusted.")

Place = Callable[[Process, int, bool], "tuple[_Inode, os.stat_result]"]
"""From the first argument and whether the file is to be changed: the inode, and its status. Raises GuestError."""


class _Inode:
    """The host's name of an inode. holder: keeps its descriptor open."""

    def __init__(self, fd: int, holder: object) -> None:
        self.path, self.holder = f"/proc/self/fd/{fd}", holder


def _by_path(follow: bool) -> Place:
    def find(process: Process, path: int, change: bool) -> tuple[_Inode, os.stat_result]:
        found = process.fs.existing(None, process.memory.read_string(path, C.PATH_MAX), follow)
        handle = found.directory.handle if found.directory is not None else found.handle
        writable = found.directory.writable if found.directory is not None else found.parent.writable
        if change and not writable:
            raise GuestError(errno.EROFS)
        if handle is None:
            raise GuestError(errno.EOPNOTSUPP)
        return _Inode(handle.fd, handle), os.fstat(handle.fd)

    return find


def _by_descriptor(process: Process, fd: int, change: bool) -> tuple[_Inode, os.stat_result]:
    file = process.files.get(fd)
    if file.flags & C.O_PATH:
        raise GuestError(errno.EBADF)
    if file.fd < 0 or file.special is not None:
        raise GuestError(errno.EOPNOTSUPP)
    if change and not file.mutable:
        raise GuestError(errno.EROFS)
    return _Inode(file.fd, file), os.fstat(file.fd)


def _name(process: Process, address: int) -> bytes:
    name = process.memory.read_string(address, _NAME_MOST + 2)
    if not name or len(name) > _NAME_MOST:
        raise GuestError(errno.ERANGE)
    if not name.startswith((_USER, *_NAMESPACES)):
        raise GuestError(errno.EOPNOTSUPP)
    return name


def _allowed(process: Process, status: os.stat_result, name: bytes, *, change: bool) -> None:
    """Whether the file may have the attribute: user.* is for regular files and directories (xattr_permission)."""
    if name.startswith(b"system."):
        raise GuestError(errno.EOPNOTSUPP)
    if not name.startswith(_USER):
        raise GuestError(errno.EPERM if change else errno.ENODATA)
    if name == _USER:
        raise GuestError(errno.EINVAL)
    mode = process.fs.rights.owner(status)[2]
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise GuestError(errno.EPERM if change else errno.ENODATA)


_Kept = dict[bytes, bytes]


def _kept(process: Process, status: os.stat_result, name: bytes) -> _Kept | None:
    """The store of root's attributes of a file, security.* and trusted.*. None: the file has the host's attributes, or none."""
    if not name.startswith(_ROOT) or not process.fs.rights.can(_CAP_SYS_ADMIN):
        return None
    return process.settings.attributes.setdefault((status.st_dev, status.st_ino), {})


def _own_list(process: Process, status: os.stat_result) -> list[bytes]:
    return list(process.settings.attributes.get((status.st_dev, status.st_ino), ()))


def _put(kept: _Kept, name: bytes, value: bytes, how: int) -> None:
    if how & _CREATE and name in kept:
        raise GuestError(errno.EEXIST)
    if how & _REPLACE and name not in kept:
        raise GuestError(errno.ENODATA)
    kept[name] = value


def _fill(process: Process, data: bytes, address: int, size: int) -> int:
    if size:
        if size < len(data):
            raise GuestError(errno.ERANGE)
        process.memory.write(address, data)
    return len(data)


def _get(place: Place) -> Handler:
    def get(process: Process, which: int, name: int, address: int, size: int) -> int:
        inode, status = place(process, which, False)
        key = _name(process, name)
        if (kept := _kept(process, status, key)) is not None:
            if key not in kept:
                raise GuestError(errno.ENODATA)
            return _fill(process, kept[key], address, size)
        _allowed(process, status, key, change=False)
        process.fs.rights.check(status, 4)
        return _fill(process, os.getxattr(inode.path, key), address, size)

    return get


def _set(place: Place) -> Handler:
    def put(process: Process, which: int, name: int, address: int, size: int, how: int) -> int:
        if how & ~(_CREATE | _REPLACE):
            raise GuestError(errno.EINVAL)
        key = _name(process, name)
        if size > _SIZE_MOST:
            raise GuestError(errno.E2BIG)
        value = process.memory.read(address, size) if size else b""
        inode, status = place(process, which, True)
        if (kept := _kept(process, status, key)) is not None:
            _put(kept, key, value, how)
            return 0
        _allowed(process, status, key, change=True)
        process.fs.rights.check(status, 2)
        os.setxattr(inode.path, key, value, how)
        return 0

    return put


def _remove(place: Place) -> Handler:
    def remove(process: Process, which: int, name: int) -> int:
        key = _name(process, name)
        inode, status = place(process, which, True)
        if (kept := _kept(process, status, key)) is not None:
            if kept.pop(key, None) is None:
                raise GuestError(errno.ENODATA)
            return 0
        _allowed(process, status, key, change=True)
        process.fs.rights.check(status, 2)
        os.removexattr(inode.path, key)
        return 0

    return remove


def _list(place: Place) -> Handler:
    def names(process: Process, which: int, address: int, size: int) -> int:
        inode, status = place(process, which, False)
        plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
        host = [os.fsencode(name) for name in os.listxattr(inode.path)] if plain else []
        found = sorted([name for name in host if name.startswith(_USER)] + _own_list(process, status))
        return _fill(process, b"".join(name + b"\0" for name in found), address, size)

    return names


def _rows() -> list[Syscall]:
    found = []
    ways: tuple[tuple[str, Place, ArgumentKind], ...] = (
        ("", _by_path(True), PATH),
        ("l", _by_path(False), PATH),
        ("f", _by_descriptor, FD),
    )
    for prefix, place, first in ways:
        found += [
            Syscall(f"{prefix}getxattr", _get(place), (first, PATH, data_out(3), SIZE)),
            Syscall(
                f"{prefix}setxattr",
                _set(place),
                (first, PATH, data_in(3), SIZE, flags("setxattr")),
                effect=Effect.FILES,
            ),
            Syscall(f"{prefix}removexattr", _remove(place), (first, PATH), effect=Effect.FILES),
            Syscall(f"{prefix}listxattr", _list(place), (first, data_out(2), SIZE)),
        ]
    return found


ROWS: tuple[Syscall, ...] = tuple(_rows())

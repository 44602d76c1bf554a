"""openat2: open with rules for resolving the path. Source: fs/open.c (build_open_flags), openat2(2)."""

from __future__ import annotations

import errno
import struct

from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.arguments import DIRFD, PATH, PTR, SIZE
from uselib.emulator.kernel.calls.files import directory_at
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Effect, Syscall
from uselib.emulator.kernel.vfs.namespace import LinkCount
from uselib.emulator.kernel.vfs.opening import open_path
from uselib.emulator.kernel.vfs.places import GuestDirectory

_HOW = struct.Struct("<QQQ")  # struct open_how: flags, mode, resolve
_PAGE = 4096
NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH, IN_ROOT, CACHED = 1, 2, 4, 8, 16, 32
_RESOLVE = NO_XDEV | NO_MAGICLINKS | NO_SYMLINKS | BENEATH | IN_ROOT | CACHED
_FLAGS = (
    C.O_ACCMODE | C.O_CREAT | C.O_EXCL | C.O_NOCTTY | C.O_TRUNC | C.O_APPEND | C.O_NONBLOCK | C.O_SYNC | C.O_DSYNC | C.O_ASYNC
    | C.O_DIRECT | C.O_LARGEFILE | C.O_DIRECTORY | C.O_NOFOLLOW | C.O_NOATIME | C.O_CLOEXEC | C.O_PATH | C.O_TMPFILE
)  # fmt: skip
_WITH_PATH = C.O_PATH | C.O_DIRECTORY | C.O_NOFOLLOW | C.O_CLOEXEC


def _read(process: Process, address: int, size: int) -> tuple[int, int, int]:
    """Raises GuestError(EINVAL, E2BIG)."""
    if size < _HOW.size:
        raise GuestError(errno.EINVAL)
    if size > _PAGE:
        raise GuestError(errno.E2BIG)
    data = process.memory.read(address, size)
    if any(data[_HOW.size :]):
        raise GuestError(errno.E2BIG)
    flags, mode, resolve = _HOW.unpack_from(data)
    makes = flags & C.O_CREAT or flags & C.O_TMPFILE == C.O_TMPFILE
    wrong = (
        flags & ~_FLAGS
        or resolve & ~_RESOLVE
        or mode & ~0o7777
        or (mode and not makes)
        or (flags & C.O_PATH and flags & ~_WITH_PATH)
        or resolve & (BENEATH | IN_ROOT) == BENEATH | IN_ROOT
    )
    if wrong:
        raise GuestError(errno.EINVAL)
    return flags, mode, resolve


def sys_openat2(process: Process, dirfd: int, path: int, how: int, size: int) -> int:
    flags, mode, resolve = _read(process, how, size)
    name = process.memory.read_string(path, C.PATH_MAX)
    if resolve & CACHED:
        raise GuestError(errno.EAGAIN)
    at = None if name.startswith(b"/") and not resolve & (BENEATH | IN_ROOT) else directory_at(process, dirfd)
    start = at or process.fs.cwd
    if resolve & BENEATH and name.startswith(b"/"):
        raise GuestError(errno.EXDEV)
    if resolve & IN_ROOT:
        return _in_root(process, start, name, flags, mode)
    if resolve & ~CACHED:
        _check_walk(process, start, name, flags, resolve)
    return open_path(process, at, name, flags, mode)


def _check_walk(process: Process, start: GuestDirectory, name: bytes, flags: int, resolve: int) -> None:
    """Checks where the path leads. Raises GuestError: ELOOP for a link that the flags forbid, EXDEV for a place outside."""
    namespace = process.fs.namespace
    follow = not flags & C.O_NOFOLLOW
    found = namespace.resolve(start, name, follow, LinkCount(0) if resolve & NO_SYMLINKS else None)
    if resolve & NO_MAGICLINKS and name.startswith(b"/proc/"):
        namespace.resolve(start, name, follow, LinkCount(1 if name.startswith(b"/proc/self/") else 0))
    if resolve & NO_XDEV:
        mounts = {part for part in (b"proc", b"dev") if found.path[:1] == (part,)}
        if mounts != {part for part in (b"proc", b"dev") if start.path[:1] == (part,)}:
            raise GuestError(errno.EXDEV)
    if resolve & BENEATH:
        depth = 0
        for part in name.split(b"/"):
            depth += -1 if part == b".." else part not in (b"", b".")
            if depth < 0:
                raise GuestError(errno.EXDEV)
        if found.path[: len(start.path)] != start.path:
            raise GuestError(errno.EXDEV)


def _in_root(process: Process, start: GuestDirectory, name: bytes, flags: int, mode: int) -> int:
    """Resolves the path with the directory as root (RESOLVE_IN_ROOT)."""
    namespace, before = process.fs.namespace, process.fs.namespace.top()
    namespace.change_root(start)
    try:
        return open_path(process, namespace.top(), name, flags, mode)
    finally:
        namespace.change_root(before)


ROWS: tuple[Syscall, ...] = (Syscall("openat2", sys_openat2, (DIRFD, PATH, PTR, SIZE), effect=Effect.OPENED),)

"""execveat: runs the program that a descriptor and a path below it name. Source: fs/exec.c of Linux (alloc_bprm), execveat(2)."""

from __future__ import annotations

import errno
import os

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.calls.execve import check_program, execute, open_flags, open_program, read_vectors
from uselib.emulator.kernel.calls.files import directory_at
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Effect, Syscall, Undo
from uselib.emulator.kernel.vfs.open_files import OpenedFile, open_file


def sys_execveat(process: Process, dirfd: int, path: int, argv: int, envp: int, flags: int) -> int:
    """A program named by a descriptor sees its name as /dev/fd/N. So does a script's interpreter, which cannot open that if execve closes the
    descriptor (ENOENT).
    """
    name = process.memory.read_string(path, C.PATH_MAX)
    if not name and not flags & C.AT_EMPTY_PATH:
        raise GuestError(errno.ENOENT)
    if flags & ~(C.AT_EMPTY_PATH | C.AT_SYMLINK_NOFOLLOW):
        raise GuestError(errno.EINVAL)
    if name.startswith(b"/") or (dirfd == C.AT_FDCWD and name):
        opened = open_program(process, name, b"", follow=not flags & C.AT_SYMLINK_NOFOLLOW)
        return execute(process, name, *read_vectors(process, opened, argv, envp), opened)
    if dirfd == C.AT_FDCWD:
        raise GuestError(errno.EACCES)  # the current directory
    shown = b"/dev/fd/%d" % dirfd + (b"/" + name if name else b"")
    opened = _open(process, dirfd, name, follow=not flags & C.AT_SYMLINK_NOFOLLOW)
    if process.files.descriptor(dirfd).cloexec and os.pread(opened.fd, 2, 0) == b"#!":
        os.close(opened.fd)
        raise GuestError(errno.ENOENT)
    return execute(process, shown, *read_vectors(process, opened, argv, envp), opened)


def _open(process: Process, dirfd: int, name: bytes, *, follow: bool) -> OpenedFile:
    """Opens the program that execveat names by a descriptor. Raises GuestError, OSError."""
    if name:
        return check_program(process, open_file(process.fs, directory_at(process, dirfd), name, open_flags(follow), 0))
    file = process.files.get(dirfd)
    if file.directory is not None:
        raise GuestError(errno.EACCES)
    if file.flags & C.O_PATH:
        return check_program(process, open_file(process.fs, None, file.path, open_flags(True), 0))
    return check_program(process, OpenedFile(os.dup(file.host()), file.path, file.flags, file.mutable))


ROWS: tuple[Syscall, ...] = (
    Syscall(
        "execveat",
        sys_execveat,
        (a.DIRFD, a.PATH, a.STRINGS, a.ENVIRONMENT, a.flags("at")),
        effect=Effect.PROCESSES,
        undo=Undo.NEVER,
    ),
)

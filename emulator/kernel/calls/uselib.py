"""uselib(2): the call that today's kernels no longer have. Each era's kernel had its own checks (docs/historical-systems.md)."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall
from uselib.linker.errors import FormatError
from uselib.loader.programs.headers import read_headers
from uselib.loader.programs.uselib import load_library

_HEAD = 4096  # bytes that must hold the ELF header and program headers


def _modern(process: Process, fd: int, name: str) -> None:
    """Linux 2.4, with the ELF loader that came later: EINVAL if not a regular file; needs read and execute permission."""
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        raise GuestError(errno.EINVAL)
    if not mode & 0o111:
        raise GuestError(errno.EACCES)
    head = os.pread(fd, _HEAD, 0)
    if not head.startswith(b"\x7fELF"):  # the other formats' code is imported when a file of them is met
        _other_format(process, fd, name, head)
        return
    try:
        image = read_headers(head, name)
    except FormatError:
        raise GuestError(errno.ENOEXEC) from None
    load_library(process.memory, image, fd, name, process.memory.layout.bits)


def _other_format(process: Process, fd: int, name: str, head: bytes) -> None:
    from uselib.linker.formats.magic import is_textbook
    from uselib.loader.programs import aout, textbook

    if is_textbook(head):
        textbook.load_library(process.memory, fd, name)
    else:
        aout.load_library_24(process.memory, fd, name)


def _of_1993(process: Process, fd: int, name: str) -> None:
    from uselib.loader.programs import aout

    aout.load_library_099(process.memory, fd, name, process.libraries)


_ERAS: dict[str, Callable[[Process, int, str], None]] = {"modern": _modern, "1993": _of_1993}


def sys_uselib(process: Process, path: int) -> int:
    """Maps a library where it was linked. Errors as in docs/historical-systems.md, Linux a.out, and EEXIST for an overlap."""
    early = process.era == "1993"
    if early and not path:  # later kernels: EFAULT, as for any other call
        raise GuestError(errno.EINVAL)
    name = process.memory.read_string(path, C.PATH_MAX)
    opened = process.fs.open(None, name, C.O_RDONLY | C.O_CLOEXEC, 0)
    if opened.fd < 0:
        raise GuestError(errno.EACCES if early else errno.EINVAL)
    try:
        mode = os.fstat(opened.fd).st_mode
        if stat.S_ISREG(mode) and not mode & 0o444:  # the host may be the superuser, the guest is not
            raise GuestError(errno.EACCES)
        _ERAS[process.era](process, opened.fd, opened.path.decode("utf-8", "surrogateescape"))
    finally:
        os.close(opened.fd)
    process.libraries += 1
    return 0


LIBRARY = (Syscall("uselib", sys_uselib, (a.PATH,)),)

"""uselib(2): the call that today's kernels no longer have."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from emulator.kernel import arguments as a
from emulator.kernel import constants as C
from emulator.kernel.errors import GuestError
from emulator.kernel.table import Row
from linker.errors import FormatError
from loader.headers import read_headers
from loader.uselib import load_library

if TYPE_CHECKING:
    from emulator.kernel.process import Process

_HEAD = 4096  # bytes that must hold the ELF header and program headers


def sys_uselib(process: Process, path: int) -> int:
    """Maps a library where it was linked. Errors as in the reference, section 2, and EEXIST for an overlap."""
    name = process.memory.read_string(path, C.PATH_MAX)
    if not name:
        raise GuestError(errno.EINVAL)
    opened = process.fs.open(None, name, C.O_RDONLY | C.O_CLOEXEC, 0)
    if opened.fd < 0:
        raise GuestError(errno.EINVAL)
    try:
        mode = os.fstat(opened.fd).st_mode
        if not stat.S_ISREG(mode):
            raise GuestError(errno.EINVAL)
        if not mode & 0o111:
            raise GuestError(errno.EACCES)
        try:
            image = read_headers(os.pread(opened.fd, _HEAD, 0), name.decode("utf-8", "replace"))
        except FormatError:
            raise GuestError(errno.ENOEXEC) from None
        load_library(
            process.memory, image, opened.fd, opened.path.decode("utf-8", "surrogateescape"), process.memory.layout.bits
        )
    finally:
        os.close(opened.fd)
    return 0


LIBRARY = (Row("uselib", sys_uselib, (a.PATH,)),)

"""uselib(2), which today's kernels no longer have. Each era's kernel has its own checks (eras.py)."""

from __future__ import annotations

import errno
import os
import stat

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall
from uselib.emulator.kernel.vfs.open_files import open_file


def sys_uselib(process: Process, path: int) -> int:
    """Maps a library where it was linked. The errors are those of the era's kernel, and EEXIST for an overlap."""
    era = process.era
    if era.null_path and not path:
        raise GuestError(errno.EINVAL)
    name = process.memory.read_string(path, C.PATH_MAX)
    opened = open_file(process.fs, None, name, C.O_RDONLY | C.O_CLOEXEC, 0)
    if opened.fd < 0:
        raise GuestError(era.not_a_file)
    try:
        mode = os.fstat(opened.fd).st_mode
        if stat.S_ISREG(mode) and not mode & 0o444:  # the host process may be the superuser; the guest is not
            raise GuestError(errno.EACCES)
        label = opened.path.decode("utf-8", "surrogateescape")
        era.map_library(process.memory, opened.fd, label, process.libraries)
    finally:
        os.close(opened.fd)
    process.libraries += 1
    return 0


ROWS = (Syscall("uselib", sys_uselib, (a.PATH,)),)

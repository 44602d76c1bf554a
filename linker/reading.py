"""Reading whole input files: regular files and pipes, never a device.

A user may name anything: `/dev/zero` would be read without end, and opening a FIFO that nobody writes to would wait for
ever. A pipe that has a writer (`<(command)` in a shell) is a file like any other.
"""

from __future__ import annotations

import errno
import os
import stat

from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def read_file(path: str | Path) -> bytes:
    """The content of a file. Raises OSError, always with the file's name."""
    name = str(path)
    try:
        handle = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb", buffering=0) as file:
            mode = os.fstat(handle).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
                raise OSError(errno.EINVAL, "is not a regular file")
            os.set_blocking(handle, True)
            return file.readall()
    except OSError as failure:
        raise type(failure)(failure.errno, failure.strerror, name) from None
    except MemoryError:
        raise OSError(errno.ENOMEM, "is too large for this machine's memory", name) from None
    except ValueError:  # a NUL in the name
        raise OSError(errno.EINVAL, "is not a file name", name) from None

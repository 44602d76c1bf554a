"""openat2(2) of the host: takes several components of a path in one step, where there is no symbolic link and no mount.

With RESOLVE_BENEATH, NO_SYMLINKS and NO_XDEV the host's kernel resolves as the namespace's own walk would, only faster. It refuses all other
paths, and the walk goes on component by component.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from functools import cache

_NUMBER = 437  # the same on all machines but alpha
_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 1, 2, 4, 8
_HOW = struct.pack(
    "=QQQ",
    os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
    0,
    _NO_XDEV | _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH,
)  # struct open_how: flags, mode, resolve


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
    library.syscall.restype = ctypes.c_long
    return library


def open_beneath(directory: int, path: bytes) -> int | None:
    """An O_PATH descriptor of a directory below `directory`, or None: walk there step by step."""
    fd = int(_library().syscall(_NUMBER, directory, path, _HOW, len(_HOW)))
    return fd if fd >= 0 else None


@cache
def available() -> bool:
    """False on kernels before 5.6, and where a sandbox refuses the call."""
    here = os.open(".", os.O_PATH | os.O_CLOEXEC)
    try:
        fd = open_beneath(here, b".")
        if fd is None:
            return ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM)
        os.close(fd)
        return True
    finally:
        os.close(here)


_EXCHANGE = 2


def exchange(old_directory: int, old: bytes, new_directory: int, new: bytes) -> None:
    """renameat2(2) of the host with RENAME_EXCHANGE, which Python's os.rename does not have. Raises OSError."""
    function = ctypes.CDLL(None, use_errno=True).renameat2
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    if function(old_directory, old, new_directory, new, _EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

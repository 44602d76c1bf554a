"""The host's futexes, on words of guest memory that several processes of the guest share. Such a page is one page of the host as well.

Source: futex(2).
"""

from __future__ import annotations

import ctypes
import os
import time
from functools import cache

from uselib.linker.quick_typing import Any

_FUTEX = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221, "s390x": 238}  # numbers of the system call
_WAIT, _WAKE = 0, 1


@cache
def _call() -> Any:
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.argtypes = [
        ctypes.c_long,
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_uint32,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_uint32,
    ]
    function.restype = ctypes.c_long
    return function


def wait(address: int, value: int, nanoseconds: int) -> bool:
    """Waits until another process wakes the word, a signal arrives, or the time is over. Returns at once if the word has another value. The
    result is True if it was woken.
    """
    number = _FUTEX.get(os.uname().machine)
    if number is None:
        time.sleep(min(nanoseconds, 1_000_000) / 1e9)
        return False
    limit = (ctypes.c_long * 2)(*divmod(nanoseconds, 1_000_000_000))
    return bool(_call()(number, address, _WAIT, value, ctypes.addressof(limit), None, 0) == 0)


def wake(address: int, count: int) -> int:
    """Wakes up to `count` waiters of other processes. Returns how many."""
    number = _FUTEX.get(os.uname().machine)
    return max(_call()(number, address, _WAKE, count, None, None, 0), 0) if number is not None else 0

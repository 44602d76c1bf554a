"""Host calls that Python's own modules do not have. All raise OSError."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache
from signal import SIGCHLD


@cache
def _function(name: str) -> Callable[..., int]:
    function: Callable[..., int] = getattr(ctypes.CDLL(None, use_errno=True), name)
    return function


def call(name: str, *arguments: object) -> int:
    """A function of the C library that gives -1 and errno. Raises OSError."""
    result = _function(name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


_SA_NOCLDSTOP, _SA_NOCLDWAIT = 1, 2


class _Action(ctypes.Structure):
    """struct sigaction of glibc and musl on 64-bit hosts."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ulong * 16),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


def child_flags(flags: int) -> None:
    """What happens when a child stops or ends, beside the action for SIGCHLD: SA_NOCLDSTOP, SA_NOCLDWAIT, neither."""
    action = _Action()
    call("sigaction", int(SIGCHLD), None, ctypes.byref(action))
    before = action.flags
    action.flags = before & ~(_SA_NOCLDSTOP | _SA_NOCLDWAIT) | flags & (_SA_NOCLDSTOP | _SA_NOCLDWAIT)
    if action.flags != before:
        call("sigaction", int(SIGCHLD), ctypes.byref(action), None)

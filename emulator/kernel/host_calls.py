"""Calls of the host's that Python's own modules do not have. All raise OSError."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache


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

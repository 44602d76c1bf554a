"""Loading the package's shared objects with ctypes. They are built by setuptools where a C compiler is there (setup.py)."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any


def load(module: str, sizes: Mapping[str, Sequence[int]]) -> ctypes.CDLL | None:
    """The shared object, or None if it was not built, or was built from other sources than these.

    sizes: the object's arrays of uint64 with the sizes of its structures -> what their first elements must be.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return None
    try:
        lib = ctypes.CDLL(spec.origin)
        if any(list((ctypes.c_uint64 * len(row)).in_dll(lib, name)) != [*row] for name, row in sizes.items()):
            return None
    except (OSError, ValueError):
        return None
    return lib


def address(function: Any) -> int:
    """Where a C function, or the machine code of a callback, is."""
    value = ctypes.cast(function, ctypes.c_void_p).value
    assert value is not None
    return value

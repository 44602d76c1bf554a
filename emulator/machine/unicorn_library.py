"""The library file of Unicorn, from the `unicorn` package: where it is, and what its functions take.

Source: unicorn.h of Unicorn 2.1.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from ctypes import c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from functools import cache

from uselib.linker.quick_typing import Any


class EngineError(Exception):
    """A call of Unicorn's failed: a defect of the machine, or memory ran out."""


@cache
def library() -> ctypes.CDLL:
    """libunicorn, loaded once. Raises EngineError if the package is missing."""
    candidates = []
    override = os.environ.get("LIBUNICORN_PATH")
    if override:
        candidates.append(override)
    spec = importlib.util.find_spec("unicorn")
    if spec is not None and spec.origin is not None:
        candidates.append(os.path.join(os.path.dirname(spec.origin), "lib"))
    for folder in candidates:
        for name in ("libunicorn.so.2", "libunicorn.2.dylib", "libunicorn.so"):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                return _declare(_load(path))
    raise EngineError("the Unicorn library was not found; install the package `unicorn`")


def _load(path: str) -> ctypes.CDLL:
    """The library with its functions bound as they are called. ctypes asks for RTLD_NOW: 7,800 of them at once, 3 ms."""
    try:
        dlopen = ctypes.CDLL(None).dlopen
    except (AttributeError, OSError, TypeError):  # not a system with dlopen(3)
        return ctypes.CDLL(path)
    dlopen.argtypes, dlopen.restype = [c_char_p, c_int], c_void_p
    handle = dlopen(os.fsencode(path), os.RTLD_LAZY | os.RTLD_LOCAL)
    return ctypes.CDLL(path, handle=handle)  # 0: it tries by itself, and says what is wrong


def _declare(lib: ctypes.CDLL) -> ctypes.CDLL:
    prototypes: dict[str, list[Any]] = {
        "uc_open": [c_int, c_int, c_void_p],
        "uc_close": [c_void_p],
        "uc_emu_start": [c_void_p, c_uint64, c_uint64, c_uint64, c_size_t],
        "uc_emu_stop": [c_void_p],
        "uc_mem_map_ptr": [c_void_p, c_uint64, c_uint64, c_uint32, c_void_p],
        "uc_mem_unmap": [c_void_p, c_uint64, c_uint64],
        "uc_reg_read": [c_void_p, c_int, c_void_p],
        "uc_reg_write": [c_void_p, c_int, c_void_p],
        "uc_reg_read_batch": [c_void_p, c_void_p, c_void_p, c_int],
        "uc_reg_write_batch": [c_void_p, c_void_p, c_void_p, c_int],
        "uc_hook_del": [c_void_p, c_size_t],
        "uc_context_alloc": [c_void_p, c_void_p],
        "uc_context_save": [c_void_p, c_void_p],
        "uc_context_restore": [c_void_p, c_void_p],
        "uc_free": [c_void_p],
    }
    for name, arguments in prototypes.items():
        function = getattr(lib, name)
        function.argtypes = arguments
        function.restype = c_int
    lib.uc_strerror.argtypes = [c_int]
    lib.uc_strerror.restype = c_char_p
    lib.uc_version.argtypes = [c_void_p, c_void_p]
    lib.uc_version.restype = c_uint32
    # uc_ctl and uc_hook_add are variadic: each call converts its own arguments
    lib.uc_ctl.restype = c_int
    lib.uc_hook_add.restype = c_int
    return lib

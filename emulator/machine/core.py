"""Replaced parts of Unicorn's CPU (native/core): loading them, and user mode.

Unicorn's x86 core has instructions that are wrong or missing, runs guest code at privilege level 0, and forgets SSE's exception flags. On
x86-64 hosts, where the shared object was built and Unicorn is the release for which it was written, functions of ours
replace those of Unicorn (native/core/core.h says how). Elsewhere `attach` gives None, and nothing is replaced.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import c_int, c_int64, c_uint32, c_uint64, c_void_p
from functools import cache

from uselib.emulator import native_module

MODULE = "uselib.emulator.machine._core"
RELEASE = (2, 1, 4)  # of Unicorn
ERROR_CODE, IS_INSTRUCTION = 5384, 5388  # offsets in its CPU state (native/core/core.h)


@cache
def attach(library: ctypes.CDLL) -> ctypes.CDLL | None:
    """The shared object, with its functions in place in libunicorn; None if it cannot be (USELIB_CORE=0 says: do without)."""
    if os.uname().machine not in ("x86_64", "AMD64") or os.environ.get("USELIB_CORE") == "0":
        return None
    version = library.uc_version(None, None)
    if (version >> 24, version >> 16 & 0xFF, version >> 8 & 0xFF) != RELEASE:
        return None
    core = native_module.load(MODULE, {})
    if core is None:
        return None
    core.uselib_core_attach.argtypes, core.uselib_core_attach.restype = [c_void_p], c_int64
    core.uselib_core_fits.argtypes, core.uselib_core_fits.restype = [c_void_p], c_int
    core.uselib_core_env.argtypes, core.uselib_core_env.restype = [c_void_p], c_uint64
    core.uselib_core_asked.argtypes, core.uselib_core_asked.restype = [], c_uint64
    core.uselib_core_user_mode.argtypes, core.uselib_core_user_mode.restype = (
        [c_void_p, c_int, c_uint64],
        None,
    )
    core.uselib_core_selector.argtypes, core.uselib_core_selector.restype = [c_void_p, c_int], c_uint32
    core.uselib_core_wide.argtypes, core.uselib_core_wide.restype = [c_void_p], c_int
    core.uselib_core_set_code.argtypes, core.uselib_core_set_code.restype = [c_void_p, c_int, c_int], c_int
    core.uselib_core_grow_tlb.argtypes, core.uselib_core_grow_tlb.restype = [c_void_p], c_uint64
    core.uselib_core_start.argtypes, core.uselib_core_start.restype = (
        [c_void_p, c_uint64, c_uint64, c_int, c_void_p],
        c_int,
    )
    core.uselib_core_window.argtypes, core.uselib_core_window.restype = [c_uint64, c_uint64, c_uint64], c_int
    core.uselib_core_no_window.argtypes, core.uselib_core_no_window.restype = [c_uint64], None
    core.uselib_core_fault.argtypes, core.uselib_core_fault.restype = [c_void_p], None
    core.uselib_core_lost.argtypes, core.uselib_core_lost.restype = [], c_uint64
    core.uselib_core_exchange_word.argtypes, core.uselib_core_exchange_word.restype = (
        [c_void_p, c_uint32, c_uint32],
        c_uint32,
    )
    core.uselib_core_slices.argtypes, core.uselib_core_slices.restype = [c_void_p, c_void_p], c_void_p
    core.uselib_core_no_slices.argtypes, core.uselib_core_no_slices.restype = [c_void_p], None
    core.uselib_core_watch.argtypes, core.uselib_core_watch.restype = [c_void_p, c_void_p, c_void_p, c_int], c_int
    return core if core.uselib_core_attach(library._handle) >= 0 else None

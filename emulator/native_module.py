"""Loading the package's shared objects with ctypes. They are built by setuptools where a C compiler is there (setup.py)."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Mapping, Sequence

from uselib.linker.quick_typing import Any


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


_TYPES = {
    "u8": ctypes.c_uint8,
    "u16": ctypes.c_uint16,
    "u32": ctypes.c_uint32,
    "u64": ctypes.c_uint64,
    "i64": ctypes.c_int64,
    "pointer": ctypes.c_void_p,
}


def fields(declarations: str, **types: Any) -> list[tuple[str, Any]]:
    """`_fields_` of a structure, from declarations as in C: "u64 low, high; pointer frames". types: besides u8 to u64, i64 and pointer."""
    known = {**_TYPES, **types}
    rows = (row.split(maxsplit=1) for row in declarations.split(";") if row.strip())
    return [(name.strip(), known[kind]) for kind, names in rows for name in names.split(",")]

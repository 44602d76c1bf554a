"""Whether the linker's part in C (linker/native/) is there: loops over every symbol and every relocation.

It is built where there is a C compiler. Elsewhere, or with USELIB_NATIVE_LINKER=0, the same is done in Python: in small links one by
one, in large ones with numpy (columns.py). Outputs and errors are the same.
"""

from __future__ import annotations

import os


def _is_there() -> bool:
    if os.environ.get("USELIB_NATIVE_LINKER") == "0":
        return False
    try:
        from uselib.linker import _native  # noqa: F401
    except ImportError:
        return False
    return True


AVAILABLE = _is_there()

"""Names that mkshlib gives to symbols and members, and that every other tool looks for.

Symbols of a target library, beside those of its exports (a function's own name is its slot):

    f$impl      local: the function itself
    f$thunk     local: the thunk through which the library calls an interposable function (linker/library/interpose.py)
    f$pointer   local: the word that the thunk jumps through
    f$empty     local: an empty slot that is reserved for f, slotN$empty one that is reserved for no name
    f$retired   local: the slot of a function, or the place of a datum, that is gone
    v$moved     local: the place that a datum had before it grew

Members of a stub library: `LIBRARY NAME` (text) and `library.o`, which defines __NEEDS_SHRLIB_libN_s; all other members refer to that
symbol. Stub archives of Linux's a.out libraries have a symbol of the same beginning, __NEEDS_SHRLIB_libN_MAJOR.
"""

from __future__ import annotations

IMPLEMENTATION_SUFFIX = "$impl"
THUNK_SUFFIX = "$thunk"
POINTER_SUFFIX = "$pointer"
EMPTY_SUFFIX = "$empty"
RETIRED_SUFFIX = "$retired"
MOVED_SUFFIX = "$moved"

NEEDS_PREFIX = "__NEEDS_SHRLIB_"
LIBRARY_NAME = "LIBRARY NAME"
LIBRARY_OBJECT = "library.o"


def plain_name(symbol: str) -> str:
    """`f` of `f$impl`; any other name as it is."""
    return symbol.removesuffix(IMPLEMENTATION_SUFFIX)

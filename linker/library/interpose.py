"""Interposable functions: SVR3's malloc hack without changes to the library's sources.

A function marked interposable (`--interposable malloc,free`, or `#interposable` and `#init` in a specification file)
is called by the library through a pointer, so that a program's own definition serves the library too:

    .interpose_thunks   f$thunk:    FF 25 ....   jmp *[f$pointer]    x86-64: rip-relative; i386: absolute
                                    CC CC        int3 x 2
    .exported (data)    f$pointer:  a word, initialised with f$impl, the library's own implementation

Every branch to f inside the library and f's slot in the jump table lead to the thunk. References that take f's address
get the slot, as for any exported function, so that pointers to f compare equal everywhere.

The stub library carries, in section `uselib_interpose`, for each pointer a triple of words
{address of the pointer, the symbol f, address of the library's own slot}. f's definition in the stub is weak, so in
the program's link its own definition wins; start-up stores the symbol's value in the pointer if it is not the slot.

`#init` lines whose pointer is a variable of the library itself (`void *(*_libfoo_malloc)()`, the way SVR3's
libraries were written) get no thunk: the library's source does the indirect call, and the triple does the rest.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from uselib.linker.image import Machine

THUNK_SIZE = 8
SECTION = "uselib_interpose"


@dataclass(frozen=True)
class Interposition:
    """What one triple says: `pointer` is set to the program's `symbol` unless that is the library's own `slot`.

    slot is 0 where the library has no definition of its own (an import that only the program can give).
    member: the stub member that carries the triple; empty for library.o.
    """

    symbol: str
    pointer: int
    slot: int
    member: str = ""


def thunk(machine: Machine, address: int, pointer: int) -> bytes:
    """The thunk at `address` that jumps through the word at `pointer`. Raises OverflowError if out of reach."""
    if machine is Machine.I386:
        return b"\xff\x25" + struct.pack("<I", pointer & 0xFFFFFFFF) + b"\xcc\xcc"  # jmp *[pointer]
    displacement = pointer - (address + 6)
    if not -0x80000000 <= displacement <= 0x7FFFFFFF:
        raise OverflowError(f"the thunk at {address:#x} cannot reach its pointer at {pointer:#x}")
    return b"\xff\x25" + struct.pack("<i", displacement) + b"\xcc\xcc"  # jmp *[rip + displacement]

"""Interposable functions: calls through pointers, as System V's libraries had them in their sources, without changes to the sources.

A function marked interposable (`--interposable malloc,free`, or `#interposable` and `#init` in a specification file)
is called by the library through a pointer, so that the library uses a program's own definition too:

    .interpose_thunks   f$thunk:    FF 25 ....   jmp *[f$pointer]    x86-64: rip-relative; i386: absolute
                                    CC CC        int3 x 2
    .exported (data)    f$pointer:  a word, initialised with f$impl, the library's own implementation

Every branch to f inside the library and f's slot in the jump table lead to the thunk. References that take f's address
get the slot, as for any exported function, so that pointers to f compare equal everywhere.

The stub library carries, in section `uselib_interpose`, for each pointer a triple of words
{address of the pointer, the symbol f, address of the library's own slot}. f's definition in the stub is weak, so in
the program's link its own definition wins; start-up stores the symbol's value in the pointer if it is not the slot.

`#init` lines whose pointer is a variable of the library itself (`void *(*_libfoo_malloc)()`, the way SVR3's
libraries were written) get no thunk: the library's source makes the indirect call, and the stub library has the triple.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Set

from uselib.linker.errors import Diagnostics
from uselib.linker.formats.library_names import POINTER_SUFFIX
from uselib.linker.image import Machine
from uselib.linker.library import jump_table
from uselib.linker.library.exports import is_function
from uselib.linker.library.specification import Specification
from uselib.linker.passes.model import UNDEFINED, Symbol
from uselib.linker.passes.resolution import Resolution
from uselib.linker.quick_dataclass import dataclass

THUNK_SIZE = 8
SECTION = "uselib_interpose"


@dataclass(frozen=True)
class Interposition:
    """A triple: `pointer` is set to the program's `symbol` unless that is the library's own `slot`.

    slot is 0 if the library has no definition of its own (an import that only the program defines).
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


@dataclass(frozen=True)
class InterposableFunctions:
    """The interposable functions of a library.

    made: those with a thunk and a pointer that mkshlib makes, in order of thunks and pointer words. declared: those with a pointer variable
    in the library: (function, pointer variable, stub member with the triple).
    """

    made: tuple[str, ...] = ()
    declared: tuple[tuple[str, Symbol, str], ...] = ()

    def pointer_names(self) -> frozenset[str]:
        """The pointers in uselib_interpose triples: those made here, and variables of the library."""
        made = {name + POINTER_SUFFIX for name in self.made}
        return frozenset(made | {pointer.name for _, pointer, _ in self.declared})


def interposable_functions(
    resolution: Resolution, functions: Mapping[str, Symbol], own: Set[int], spec: Specification
) -> InterposableFunctions:
    """Sorts out #interposable, --interposable and #init. functions: the exports; own: ids of the library's files.

    Raises LinkError for names that cannot be interposed.
    """
    problems = Diagnostics()
    made = dict.fromkeys(spec.interposable)
    declared = []
    for line in spec.init:
        pointer = resolution.symbols.get(line.pointer)
        if pointer is None or pointer.rank == UNDEFINED or id(pointer.file) not in own:
            made[line.symbol] = None  # no such variable: the pointer is made here
        elif is_function(pointer):
            problems.add(line.where, "is a function, not a pointer to one", symbol=line.pointer)
        else:
            declared.append((line.symbol, pointer, line.member))
    for name in made:
        if name not in functions:
            known = resolution.symbols.get(name)
            why = "is not a function that this library exports"
            if known is not None and known.file is not None and known.file.stub is not None:
                why += f"; {known.file.stub.file_name} has it"
            problems.add(spec.where, why, symbol=name, remedy="remove it from the interposable functions")
    problems.raise_if_any()
    return InterposableFunctions(jump_table.default_order(made), tuple(declared))

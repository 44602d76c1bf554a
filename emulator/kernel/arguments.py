"""Kinds of system-call arguments.

A kind says two things: how the argument is passed (its width and sign, and whether i386 passes it in two registers) and
how `--strace` shows it (`style`, a key of strace.RENDERERS, with `detail` naming the table of flags or the structure).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Width(enum.Enum):
    """How the C type of an argument fills registers."""

    WORD = "unsigned long or pointer"
    LONG = "long"
    INT = "int"
    UINT = "unsigned int"
    WIDE = "long long: on i386 two registers, low half first"


@dataclass(frozen=True)
class Kind:
    """One argument.

    style, detail: see strace.RENDERERS. `size` is the index of the argument with the length of a buffer (or the number
    of elements of an array); -1 where there is none. `output`: shown after the call, as the kernel fills it in.
    """

    style: str
    width: Width = Width.WORD
    detail: str = ""
    size: int = -1
    output: bool = False


# Numbers
FD = Kind("fd", Width.INT)
DIRFD = Kind("dirfd", Width.INT)
INT = Kind("int", Width.INT)
UINT = Kind("int", Width.UINT)
LONG = Kind("int", Width.LONG)
SIZE = Kind("int")
HEX = Kind("hex")
OFFSET = Kind("int", Width.LONG)
OFFSET64 = Kind("int", Width.WIDE)
MODE = Kind("mode", Width.UINT)
PID = Kind("int", Width.INT)
UID = Kind("uid", Width.UINT)
SIGNAL = Kind("signal", Width.INT)

# Memory
PTR = Kind("pointer")
PATH = Kind("string")
STRINGS = Kind("strings")  # argv: a NULL-terminated array of pointers to strings
ENVIRONMENT = Kind("environment")  # envp: only counted
FD_PAIR = Kind("fd_pair", output=True)  # two descriptors that the kernel writes
SIGSET = Kind("sigset")  # a signal mask that the kernel reads
SIGSET_OUT = Kind("sigset", output=True)
SIGACTION = Kind("sigaction")
SIGACTION_OUT = Kind("sigaction", output=True)
WAIT_STATUS = Kind("wait_status", output=True)
OFFSET_OUT = Kind("offset", output=True)  # _llseek's result


def flags(table: str, width: Width = Width.INT) -> Kind:
    """A set of bits, shown by the names in strace's flag table `table`."""
    return Kind("flags", width, detail=table)


def choice(table: str, width: Width = Width.INT) -> Kind:
    """One of several values, shown by its name in the table `table`."""
    return Kind("choice", width, detail=table)


def data_in(size: int) -> Kind:
    """Bytes the kernel reads; argument `size` has their number."""
    return Kind("data", size=size)


def data_out(size: int) -> Kind:
    """Bytes the kernel wrote: as many as the result says, at most argument `size`."""
    return Kind("data", size=size, output=True)


def vector(size: int, *, output: bool = False) -> Kind:
    """An array of struct iovec; argument `size` has the number of elements. output: of a call that reads a file."""
    return Kind("iovec", size=size, output=output)


def entries(kind: str, size: int) -> Kind:
    """An array shown by what is in it: `pollfds`, `dirents`, `fd_set`; argument `size` has the number of elements."""
    return Kind(kind, size=size, output=kind == "dirents")


def struct_in(layout: str) -> Kind:
    """Pointer to a structure the kernel reads; `layout` is its name in abi.LAYOUTS."""
    return Kind("struct", detail=layout)


def struct_out(layout: str) -> Kind:
    """Pointer to a structure the kernel writes."""
    return Kind("struct", detail=layout, output=True)

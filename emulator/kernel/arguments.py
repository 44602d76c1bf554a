"""Kinds of system-call arguments.

A kind says two things: how the argument is passed (its width and sign, and whether i386 passes it in two registers) and
how `--strace` shows it (`style`, a key of strace.RENDERERS, with `detail` naming the table of flags or the structure).
"""

from __future__ import annotations

import enum

from uselib.linker.quick_dataclass import dataclass


class Width(enum.Enum):
    """How the C type of an argument fills registers."""

    WORD = "unsigned long or pointer"
    LONG = "long"
    INT = "int"
    UINT = "unsigned int"
    WIDE = "long long: on i386 two registers, low half first"


@dataclass(frozen=True)
class ArgumentKind:
    """One argument.

    style, detail: see strace.RENDERERS. `size` is the index of the argument with the length of a buffer (or the number
    of elements of an array); -1 where there is none. `output`: a pointer to what the kernel fills in, shown after the
    call. `updated`: a pointer to what the kernel reads and may write back, shown as it was before.
    """

    style: str
    width: Width = Width.WORD
    detail: str = ""
    size: int = -1
    output: bool = False
    updated: bool = False

    @property
    def written(self) -> bool:
        """The kernel may write to the memory that it points to (for an iovec: that its elements point to)."""
        return self.output or self.updated


# Numbers
FD = ArgumentKind("fd", Width.INT)
TARGET = ArgumentKind("fd", Width.INT, detail="target")  # the descriptor of what a call writes to (table.Effect.OUTPUT)
DIRFD = ArgumentKind("dirfd", Width.INT)
INT = ArgumentKind("int", Width.INT)
UINT = ArgumentKind("int", Width.UINT)
LONG = ArgumentKind("int", Width.LONG)
SIZE = ArgumentKind("int")
HEX = ArgumentKind("hex")
OFFSET = ArgumentKind("int", Width.LONG)
OFFSET64 = ArgumentKind("int", Width.WIDE)
MODE = ArgumentKind("mode", Width.UINT)
PID = ArgumentKind("int", Width.INT)
UID = ArgumentKind("uid", Width.UINT)
SIGNAL = ArgumentKind("signal", Width.INT)

# Memory
PTR = ArgumentKind("pointer")
PTR_OUT = ArgumentKind("pointer", output=True)
PTR_UPDATED = ArgumentKind("pointer", updated=True)
PATH = ArgumentKind("string")
STRINGS = ArgumentKind("strings")  # argv: a NULL-terminated array of pointers to strings
ENVIRONMENT = ArgumentKind("environment")  # envp: only counted
FD_PAIR = ArgumentKind("fd_pair", output=True)  # two descriptors that the kernel writes
SIGSET = ArgumentKind("sigset")  # a signal mask that the kernel reads
SIGSET_OUT = ArgumentKind("sigset", output=True)
SIGACTION = ArgumentKind("sigaction")
SIGACTION_OUT = ArgumentKind("sigaction", output=True)
WAIT_STATUS = ArgumentKind("wait_status", output=True)
OFFSET_OUT = ArgumentKind("offset", output=True)  # _llseek's result


def flags(table: str, width: Width = Width.INT) -> ArgumentKind:
    """A set of bits, shown by the names in strace's flag table `table`."""
    return ArgumentKind("flags", width, detail=table)


def choice(table: str, width: Width = Width.INT) -> ArgumentKind:
    """One of several values, shown by its name in the table `table`."""
    return ArgumentKind("choice", width, detail=table)


def data_in(size: int) -> ArgumentKind:
    """Bytes the kernel reads; argument `size` has their number."""
    return ArgumentKind("data", size=size)


def data_out(size: int) -> ArgumentKind:
    """Bytes the kernel wrote: as many as the result says, at most argument `size`."""
    return ArgumentKind("data", size=size, output=True)


def vector(size: int, *, output: bool = False) -> ArgumentKind:
    """An array of struct iovec; argument `size` has the number of elements. output: of a call that reads a file."""
    return ArgumentKind("iovec", size=size, output=output)


def entries(kind: str, size: int) -> ArgumentKind:
    """An array shown by what is in it: `pollfds`, `dirents`, `fd_set`; argument `size` has the number of elements."""
    return ArgumentKind(kind, size=size, output=kind == "dirents", updated=kind in ("pollfds", "fd_set"))


def struct_in(layout: str, *, updated: bool = False) -> ArgumentKind:
    """Pointer to a structure the kernel reads; `layout` is its name in structs.DECLARATIONS."""
    return ArgumentKind("struct", detail=layout, updated=updated)


def struct_pair(layout: str) -> ArgumentKind:
    """Pointer to two structures that the kernel reads (the times of utimensat)."""
    return ArgumentKind("struct_pair", detail=layout)


def struct_out(layout: str) -> ArgumentKind:
    """Pointer to a structure the kernel writes."""
    return ArgumentKind("struct", detail=layout, output=True)


def sockaddr_in(size: int) -> ArgumentKind:
    """Pointer to a struct sockaddr that the kernel reads; argument `size` is its length."""
    return ArgumentKind("sockaddr", size=size)


def sockaddr_out(size: int) -> ArgumentKind:
    """Pointer to a struct sockaddr that the kernel writes; argument `size` points to its length."""
    return ArgumentKind("sockaddr", size=size, output=True)


LENGTH = ArgumentKind("length", updated=True)  # pointer to the length of an address or option
MESSAGE_IN = ArgumentKind("msghdr")  # struct msghdr of a message to be sent
MESSAGE_OUT = ArgumentKind("msghdr", updated=True)  # and of one that has been received
OPTION_NAME = ArgumentKind("option_name", Width.INT)


def option_in(size: int) -> ArgumentKind:
    """Pointer to the value of an option; argument `size` is its length."""
    return ArgumentKind("option", size=size)


def option_out(size: int) -> ArgumentKind:
    """Pointer to the value of an option that the kernel writes; argument `size` points to its length."""
    return ArgumentKind("option", size=size, output=True)

"""Eras: the differences between Linux kernels for which programs of different years were written.

A program's format says which kernel's interface it expects (Format.era in loader/programs/binfmt.py); execve gives the
process the Era of that name. A new difference is a field here, and a value in each row of ERAS.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.signals.numbers import (
    SA_INTERRUPT,
    SA_NOCLDSTOP,
    SA_NODEFER,
    SA_ONSTACK,
    SA_RESETHAND,
    SA_RESTART,
    SignalAction,
)
from uselib.linker.errors import FormatError
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import dataclass
from uselib.loader.memory.address_space import AddressSpace
from uselib.loader.programs.headers import read_headers
from uselib.loader.programs.uselib import load_library

_HEAD = 4096  # bytes that must hold the ELF header and program headers


@dataclass(frozen=True)
class Era:
    """One kernel's rules.

    release: of uname(2). machine_name: machine -> what uname calls it. sigaction: what the old sigaction(2) makes of an action. fills_argv: an
    empty argv becomes one empty string (since Linux 5.18; programs of 1993 list their libraries when argc is 0).
    map_library: what uselib(2) does with an open file: address space, host descriptor, guest path, number of libraries
    mapped before; raises GuestError, OSError. null_path: uselib(2) says EINVAL to a null pointer, not EFAULT. not_a_file:
    errno of uselib(2) for what cannot be opened as a file.
    """

    name: str
    release: bytes
    machine_name: dict[Machine, bytes]
    sigaction: Callable[[SignalAction], SignalAction]
    fills_argv: bool
    map_library: Callable[[AddressSpace, int, str, int], None]
    null_path: bool
    not_a_file: int


def _map_library_24(space: AddressSpace, fd: int, name: str, _loaded: int) -> None:
    """Linux 2.4, with the ELF loader that came later: EINVAL if not a regular file; needs read and execute permission."""
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        raise GuestError(errno.EINVAL)
    if not mode & 0o111:
        raise GuestError(errno.EACCES)
    head = os.pread(fd, _HEAD, 0)
    if not head.startswith(b"\x7fELF"):  # the other formats' code is imported when a file of them is met
        _map_other_format(space, fd, name, head)
        return
    try:
        image = read_headers(head, name)
    except FormatError:
        raise GuestError(errno.ENOEXEC) from None
    load_library(space, image, fd, name, space.layout.bits)


def _map_other_format(space: AddressSpace, fd: int, name: str, head: bytes) -> None:
    from uselib.linker.formats.magic import is_textbook
    from uselib.loader.programs import aout, textbook

    if is_textbook(head):
        textbook.load_library(space, fd, name)
    else:
        aout.load_library_24(space, fd, name)


def _map_library_1993(space: AddressSpace, fd: int, name: str, loaded: int) -> None:
    from uselib.loader.programs import aout

    aout.load_library_099(space, fd, name, loaded)


def _sigaction_1993(action: SignalAction) -> SignalAction:
    """Calls were restarted unless a handler had SA_INTERRUPT; there was no SA_RESTART and no SA_SIGINFO, and the restorer was unused."""
    flags = action.flags & (SA_NOCLDSTOP | SA_ONSTACK | SA_NODEFER | SA_RESETHAND)
    return SignalAction(action.handler, flags if action.flags & SA_INTERRUPT else flags | SA_RESTART, 0, action.mask)


MODERN = Era(
    name="modern",
    release=b"6.1.0-uselib",
    machine_name={Machine.I386: b"i686", Machine.X86_64: b"x86_64"},
    sigaction=lambda action: action,
    fills_argv=True,
    map_library=_map_library_24,
    null_path=False,
    not_a_file=errno.EINVAL,
)
LINUX_0_99 = Era(
    name="1993",
    release=b"0.99.9",
    machine_name={Machine.I386: b"i486", Machine.X86_64: b"x86_64"},
    sigaction=_sigaction_1993,
    fills_argv=False,
    map_library=_map_library_1993,
    null_path=True,
    not_a_file=errno.EACCES,
)
ERAS = {era.name: era for era in (MODERN, LINUX_0_99)}

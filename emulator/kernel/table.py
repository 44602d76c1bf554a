"""The table of system calls: one row drives dispatch and `--strace`.

A row has the call's name, its handler and the kinds of its arguments. Numbers come from the `system_calls` package
(generated from the kernel's own tables), so a row is written once for both machines; a row for one machine only, where
the same name means different arguments, names the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module

from uselib.emulator.kernel.arguments import ArgumentKind
from uselib.linker.image import Machine

Handler = Callable[..., int]


@dataclass(frozen=True)
class Syscall:
    """One system call.

    handler: `def sys_x(process: Process, ...) -> int`; arguments converted as their kinds say. Returns the result
    (0 or more); raises GuestError, OSError or MemoryFault, which become -errno, or ProcessEnded or ContextReplaced.
    machine: None, or the only machine that this row is for (a row for the machine goes before one for both).
    """

    name: str
    handler: Handler
    arguments: tuple[ArgumentKind, ...] = ()
    machine: Machine | None = None


# module under uselib.emulator.kernel.calls -> the tuples of rows in it
FAMILIES: tuple[tuple[str, str], ...] = (
    ("files", "FILES"),
    ("fcntl_ioctl", "CONTROL"),
    ("directories", "DIRECTORIES"),
    ("status", "STATUS"),
    ("attributes", "ATTRIBUTES"),
    ("pipes", "PIPES"),
    ("poll", "POLL"),
    ("time", "TIME"),
    ("system", "SYSTEM"),
    ("limits", "LIMITS"),
    ("memory", "MEMORY"),
    ("signals", "SIGNALS"),
    ("processes", "PROCESSES"),
    ("waits", "WAITS"),
    ("threads", "THREADS"),
    ("uselib", "LIBRARY"),
    ("linux_1_0", "OLD"),
)


# Calls that the newest kernels have taken out of their tables, and with them the package, with the numbers they keep
# (arch/x86/entry/syscalls/syscall_{32,64}.tbl up to Linux 6.15).
REMOVED: dict[Machine, dict[str, int]] = {Machine.I386: {"uselib": 86}, Machine.X86_64: {"uselib": 134}}


def numbers(machine: Machine) -> dict[str, int]:
    """Every system call of Linux on the machine: name -> number."""
    from system_calls import syscalls

    current: dict[str, int] = syscalls().load_arch_table(machine.label)
    return REMOVED[machine] | current


@lru_cache
def names(machine: Machine) -> dict[int, str]:
    """number -> name, also of calls that have no row."""
    return {number: name for name, number in numbers(machine).items()}


def rows() -> tuple[Syscall, ...]:
    """Every row of every family."""
    found: list[Syscall] = []
    for module, variable in FAMILIES:
        found += getattr(import_module(f"{__package__}.calls.{module}"), variable)
    return tuple(found)


@lru_cache
def for_machine(machine: Machine) -> dict[int, Syscall]:
    """number -> row. A number without a row is a call we do not implement, or none at all (see `names`)."""
    known = numbers(machine)
    table: dict[int, Syscall] = {}
    for row in rows():
        if row.name not in known or row.machine not in (None, machine):
            continue
        number = known[row.name]
        if number not in table or row.machine is not None:
            table[number] = row
    return table

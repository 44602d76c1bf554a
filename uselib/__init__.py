"""Emulator: machine, Linux kernel interface, call tracer, and the command line over everything.

The Python API is exported from here (docs/python-api.md). Names are imported when they are first used, so that a command
that does not need them does not wait for them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.emulator.api.errors import GuestExited, GuestFault, ProgramOver, SymbolError
    from uselib.emulator.api.guest import Breakpoint, Replacement, Stop
    from uselib.emulator.api.library import Buffer, Library
    from uselib.emulator.api.program import Exit, Program
    from uselib.loader.memory.access import MemoryFault

_EXPORTS = {
    "Program": "uselib.emulator.api.program", "Exit": "uselib.emulator.api.program",
    "Library": "uselib.emulator.api.library", "Buffer": "uselib.emulator.api.library",
    "Stop": "uselib.emulator.api.guest", "Breakpoint": "uselib.emulator.api.guest", "Replacement": "uselib.emulator.api.guest",
    "GuestFault": "uselib.emulator.api.errors", "GuestExited": "uselib.emulator.api.errors", "SymbolError": "uselib.emulator.api.errors",
    "ProgramOver": "uselib.emulator.api.errors", "MemoryFault": "uselib.loader.memory.access",
}  # fmt: skip

__all__ = [
    "Breakpoint", "Buffer", "Exit", "GuestExited", "GuestFault", "Library", "MemoryFault", "Program", "ProgramOver",
    "Replacement", "Stop", "SymbolError",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module `uselib` has no attribute `{name}`")
    return getattr(import_module(_EXPORTS[name]), name)

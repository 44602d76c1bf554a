"""Emulator: machine, Linux kernel interface, call tracer, and the command line over everything.

The Python API is exported from here (docs/python-api.md). Names are imported when they are first used, so that a command
that does not need them does not wait for them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulator.api.errors import GuestExited, GuestFault, ProgramOver, SymbolError
    from emulator.api.guest import Breakpoint, Replacement, Stop
    from emulator.api.library import Buffer, Library
    from emulator.api.program import Exit, Program
    from loader.access import MemoryFault

_EXPORTS = {
    "Program": "emulator.api.program", "Exit": "emulator.api.program",
    "Library": "emulator.api.library", "Buffer": "emulator.api.library",
    "Stop": "emulator.api.guest", "Breakpoint": "emulator.api.guest", "Replacement": "emulator.api.guest",
    "GuestFault": "emulator.api.errors", "GuestExited": "emulator.api.errors", "SymbolError": "emulator.api.errors",
    "ProgramOver": "emulator.api.errors", "MemoryFault": "loader.access",
}  # fmt: skip

__all__ = [
    "Breakpoint", "Buffer", "Exit", "GuestExited", "GuestFault", "Library", "MemoryFault", "Program", "ProgramOver",
    "Replacement", "Stop", "SymbolError",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module `emulator` has no attribute `{name}`")
    return getattr(import_module(_EXPORTS[name]), name)

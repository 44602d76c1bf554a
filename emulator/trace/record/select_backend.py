"""The choice of a backend: the native one where it was built, else the one in Python."""

from __future__ import annotations

from uselib.emulator.process.interfaces import WatchableMachine
from uselib.emulator.trace.record import native_backend
from uselib.emulator.trace.record.backend import Backend, Helpers, Setup


def native_available() -> bool:
    """Whether the native recorder was built."""
    return native_backend.library() is not None


def make_backend(machine: WatchableMachine, setup: Setup, helpers: Helpers, native: bool) -> Backend:
    """native: see `native_available`."""
    if native:
        return native_backend.NativeBackend(machine, setup, helpers)
    from uselib.emulator.trace.record.python_backend import PythonBackend

    return PythonBackend(machine, setup, helpers)

"""What the Python API raises, besides ToolError (a file that cannot be used) and MemoryFault (an access to memory that is not
there)."""

from __future__ import annotations

from uselib.emulator.process.interfaces import ProcessEnded


class GuestFault(Exception):
    """The guest was killed by a signal. signal: its number; address: the program counter; the message says what and where,
    as `uselib run` does."""

    def __init__(self, message: str, signal: int, address: int) -> None:
        super().__init__(message)
        self.signal = signal
        self.address = address


class GuestExited(Exception):
    """A function that was called from Python ended the process (`exit`). code: the exit status."""

    def __init__(self, end: ProcessEnded) -> None:
        super().__init__(f"the function ended the process with exit status {end.code}")
        self.code = end.code


class SymbolError(LookupError):
    """No such symbol in what is mapped now."""


class ProgramOver(Exception):
    """The program has ended, or has been closed: it cannot do this any more."""

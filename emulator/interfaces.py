"""What machine, kernel and tracer know of each other: these protocols and nothing more.

The machine runs guest code and stops at three kinds of event: a system call, a CPU exception, an interruption from the
host (a signal, a limit). The kernel answers; the tracer watches. None of them imports another's modules for types.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class ProcessEnded(Exception):  # noqa: N818 - not an error
    """The guest process is over (exit_group, or a fatal signal). Raised by the kernel out of the run loop.

    code: exit status 0..255; signal: number of the signal that killed it, or 0.
    """

    def __init__(self, code: int = 0, signal: int = 0) -> None:
        super().__init__(f"signal {signal}" if signal else f"exit {code}")
        self.code = code
        self.signal = signal


class ContextReplaced(Exception):  # noqa: N818 - not an error
    """A system call set all registers itself (sigreturn) or replaced the program (execve): it has no result to store."""


@dataclass(frozen=True)
class Fault:
    """A CPU exception, in the kernel's terms (sigaction(2), siginfo_t).

    signal, code: SIGSEGV/SEGV_MAPERR, ...; address: si_addr; access: "read", "write" or "execute" for memory faults;
    trap: x86 vector (14 page fault, 0 divide error, ...); error: the page-fault error code that a signal frame shows.
    """

    signal: int
    code: int
    address: int
    access: str = ""
    trap: int = 14
    error: int = 0


class Cpu(Protocol):
    """The registers, as the kernel sees them. All values are unsigned; 32-bit registers leave the upper half clear."""

    bits: int

    def general(self) -> list[int]:
        """In the order of registers.GENERAL_64 / GENERAL_32 (16 or 8 registers), then program counter and flags."""

    def set_general(self, values: list[int]) -> None: ...

    def float_state(self) -> bytes:
        """512 bytes in FXSAVE's layout."""

    def set_float_state(self, state: bytes) -> None: ...

    def set_fs_base(self, address: int) -> None: ...

    def fs_base(self) -> int: ...

    def set_gs_base(self, address: int) -> None: ...

    def gs_base(self) -> int: ...

    def set_descriptor(self, entry: int, descriptor: int) -> None:
        """32-bit mode: writes GDT entry `entry` (an 8-byte x86 segment descriptor)."""

    def segments(self) -> dict[str, int]:
        """Selectors by name: cs ds es fs gs ss."""

    def set_segments(self, selectors: dict[str, int]) -> None: ...

    def reset(self, pc: int, sp: int) -> None:
        """Registers as execve leaves them: all zero but program counter and stack pointer; FPU as Linux starts it."""


class Kernel(Protocol):
    """What the machine calls."""

    def system_call(self, number: int, arguments: list[int]) -> int:
        """Carries out one call (arguments: six unsigned words); returns the result, errors as -errno.

        Raises ProcessEnded, ContextReplaced.
        """

    def exception(self, fault: Fault) -> None:
        """Delivers a CPU exception as a signal: enters the guest's handler or raises ProcessEnded."""

    def deliver_pending(self) -> None:
        """Enters the handler of a pending, unblocked signal, if there is one. Raises ProcessEnded."""

    signal_pending: bool


class BlockWatch(Protocol):
    """A range of code whose entry somebody wants to see (the tracer: a jump table)."""

    begin: int
    end: int  # exclusive
    callback: Callable[[int], None]  # called with the block's address, registers readable through Cpu

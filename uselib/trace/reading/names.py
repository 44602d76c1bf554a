"""Names of system calls and signals."""

from __future__ import annotations

import signal
from functools import lru_cache

from uselib.linker.image import Machine


@lru_cache(maxsize=4096)
def syscall_name(machine: str, number: int) -> str:
    """As `uselib run --strace` has it."""
    from uselib.emulator.kernel import table

    return table.names(_machine(machine)).get(number, f"syscall_{number}")


@lru_cache(maxsize=4096)
def syscall_arity(machine: str, number: int) -> int:
    """How many arguments it has; 6 if that is not known."""
    from uselib.emulator.kernel import table

    row = table.for_machine(_machine(machine)).get(number)
    return 6 if row is None else len(row.arguments)


def _machine(label: str) -> Machine:
    return Machine.I386 if label == "i386" else Machine.X86_64


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def signed(word: int, size: int) -> int:
    """A word of `size` bytes as a signed number."""
    bits = 8 * size
    word &= (1 << bits) - 1
    return word - (1 << bits) if word >> (bits - 1) else word

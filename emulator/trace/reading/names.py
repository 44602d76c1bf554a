"""Names of system calls and signals."""

from __future__ import annotations

import signal
from functools import lru_cache


@lru_cache(maxsize=4096)
def syscall_name(machine: str, number: int) -> str:
    """From the system_calls package; the number if it has none."""
    from system_calls import syscalls

    try:
        return str(syscalls().get_name(number, machine))
    except Exception:  # the package has a class of its own for each way to fail
        return str(number)


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

"""How a process ended, in words."""

from __future__ import annotations


def signal_name(number: int) -> str:
    """`SIGSEGV`."""
    from uselib.emulator.kernel.signals.numbers import NAMES

    return NAMES.get(number, f"signal {number}")


def end_text(status: int, number: int, reason: str = "") -> str:
    """`exit status 3`, `killed by SIGSEGV`; reason: what ended it, if no signal of the program's own did."""
    if not number:
        return f"exit status {status}"
    return reason or f"killed by {signal_name(number)}"

"""GDB's signal numbers, which are its own on every machine. Source: include/gdb/signals.def of GDB."""

from __future__ import annotations

_NAMED = {number: number for number in (1, 2, 3, 4, 5, 6, 8, 9, 11, 13, 14, 15, 21, 22, 24, 25, 26, 27, 28)}
_NAMED |= {10: 7, 12: 31, 16: 23, 17: 19, 18: 20, 19: 18, 20: 17, 23: 29, 30: 10, 31: 12, 32: 30}
_REALTIME = {number: number - 12 for number in range(45, 76)} | {77: 32, 78: 64}  # 33 to 63, 32, 64
_LINUX = {0: 0} | _NAMED | _REALTIME
_GDB = {linux: gdb for gdb, linux in _LINUX.items()}
_UNKNOWN = 143  # GDB_SIGNAL_UNKNOWN


def linux_signal(number: int) -> int:
    """The signal of Linux on x86 with GDB's number; 0: none. Raises ValueError for others."""
    if number not in _LINUX:
        raise ValueError(f"GDB has no signal {number} that Linux has")
    return _LINUX[number]


def gdb_signal(number: int) -> int:
    """GDB's number of a signal of Linux on x86."""
    return _GDB.get(number, _UNKNOWN)

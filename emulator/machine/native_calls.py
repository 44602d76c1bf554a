"""System calls that native code answers within the run of the CPU (native/calls): loading it, and the table that Python writes.

The kernel says what may be answered (interfaces.AnswerTable): which numbers how, which descriptors, and before each run whether anything may
be. What native code cannot answer stops the CPU, with the registers noted, and goes to the kernel as if there were no native code. There is
none without the replaced parts of the CPU (core.py), and with USELIB_NATIVE_CALLS=0.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from ctypes import c_int, c_int64, c_uint8, c_uint64, c_void_p

from uselib.emulator import native_module
from uselib.emulator.machine.engine import Engine

_ANSWERED = "read write readv writev lseek _llseek getpid gettid clock_gettime clock_gettime64 gettimeofday time futex sched_yield"
KINDS = {name: kind for kind, name in enumerate(_ANSWERED.split(), 1)}  # as native/calls/calls.h numbers them
NUMBERS = 512
CALL, SIGNAL = 1, 2  # why the CPU has stopped: a call for Python; a signal of the host's has arrived
_RAX, _RCX, _R11 = 0, 1, 11  # numbers in the register file


class _Calls(ctypes.Structure):
    _fields_ = (
        ("kinds", c_uint8 * NUMBERS),
        *native_module.fields(
            "i64 allowed, patient, wakeup, many, writable, pid, tid, wall, sleeps; pointer state, elapsed, files, waiters, turns; i64 event"
        ),
        ("frame", c_uint64 * 9),
        ("answered", c_uint64),
    )


class NativeCalls:
    """The table of one engine. event: why the latest run has stopped, if a call or a signal is the reason; else 0."""

    def __init__(self, engine: Engine, core: ctypes.CDLL, bits: int) -> None:
        core.uselib_calls_attention.restype, core.uselib_calls_watch_signal.argtypes = c_void_p, [c_int]
        self._core = core
        self._table = _Calls()
        self._attention = c_int64.from_address(core.uselib_calls_attention())
        self._registers = (c_uint64 * 16).from_address(core.uselib_core_env(engine.handle))
        self._wide = bits == 64
        self._mask = (1 << bits) - 1
        engine.calls = ctypes.addressof(self._table)

    # -- what the kernel says (interfaces.AnswerTable) ------------------------------------------------------------------

    def connect(self, names: Mapping[int, str], elapsed: int, files: int, waiters: int) -> None:
        """See interfaces.AnswerTable."""
        table = self._table
        ctypes.memset(table.kinds, 0, NUMBERS)
        for number, name in names.items():
            if name in KINDS and number < NUMBERS:
                table.kinds[number] = KINDS[name]
        table.elapsed, table.files, table.waiters = elapsed, files, waiters

    def allow(
        self, patient: bool, wakeup: int, many: bool, writable: bool, pid: int, tid: int, wall: int, sleeps: bool
    ) -> None:
        """See interfaces.AnswerTable."""
        table = self._table
        table.patient, table.wakeup, table.many, table.writable = patient, wakeup, many, writable
        table.pid, table.tid, table.wall, table.sleeps = pid, tid, wall, sleeps
        table.allowed = 1

    def refuse(self) -> None:
        """See interfaces.AnswerTable."""
        self._table.allowed = 0

    def show_state(self, address: int) -> None:
        """See interfaces.AnswerTable."""
        self._table.state = address

    def share_turns(self, turns: int) -> None:
        """Native code takes turns of threads by this table (turns.py)."""
        self._table.turns = turns

    # -- what the machine asks ----------------------------------------------------------------------------------------

    @property
    def event(self) -> int:
        return int(self._table.event)

    @property
    def answered(self) -> int:
        """Calls that native code has answered, for tests."""
        return int(self._table.answered)

    def heed(self) -> None:
        """Python looks for signals now: those that have arrived so far need not stop the CPU."""
        self._attention.value = 0

    def frame(self) -> list[int]:
        """Of a call for Python: number, six arguments, program counter behind the instruction, flags."""
        found: list[int] = self._table.frame[:]
        return found

    def finish(self, result: int, pc: int, flags: int) -> None:
        """The registers after the call."""
        registers = self._registers
        registers[_RAX] = result & self._mask
        if self._wide:
            registers[_RCX], registers[_R11] = pc, flags

    def watch_signal(self, number: int) -> None:
        """Python has given the host's signal a handler: its arrival ends the run of the CPU."""
        self._core.uselib_calls_watch_signal(number)


def attach(engine: Engine, bits: int, user_mode: bool) -> NativeCalls | None:
    """For an engine whose CPU runs at privilege level 3. None: there is no native code, and all calls are hooks' affair."""
    if engine.core is None or not user_mode or os.environ.get("USELIB_NATIVE_CALLS") == "0":
        return None
    return NativeCalls(engine, engine.core, bits)

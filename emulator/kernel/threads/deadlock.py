"""Deadlocks: every thread waits on a futex, and nobody is left who could wake one.

A deadlock is recognised only if nothing else can happen either: no timer is armed, no other process of the guest lives (it could send a
signal), and the program has no handler for a signal that could come from outside. Then the run ends with a report: who waits for what.
"""

from __future__ import annotations

from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.signals.numbers import SIG_DFL, SIG_IGN, SIGKILL, SYNCHRONOUS
from uselib.emulator.process.interfaces import Deadlock

_LIBRARY_OWN = frozenset({32, 33, 34})  # cancellation, setuid of all threads: the C library's own, between threads


def hopeless(process: Process) -> bool:
    """Whether nothing from outside the waiting threads can end their waits."""
    if process.clock.alarm_at is not None or process.signals.timers:
        return False
    others = [pid for pid in process.pids.all() if pid != process.identity.pid] if process.clock.shared else []
    if others or process.forked:
        return False
    for signal, action in process.signals.actions.items():
        if action.handler not in (SIG_DFL, SIG_IGN) and signal not in SYNCHRONOUS and signal not in _LIBRARY_OWN:
            return False
    return True


def check(process: Process, address: int = 0) -> None:
    """The calling thread, or all of them, wait for ever. address: of the futex of a process with one thread. Raises Deadlock."""
    if hopeless(process):
        raise Deadlock(signal=SIGKILL, reason="deadlock: every thread waits on a futex that nobody can wake")
    process.talk.once("every thread waits on a futex: only a signal from outside can end that")

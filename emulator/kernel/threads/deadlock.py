"""Deadlocks: every thread waits on a futex, and nothing is left that could wake one.

A deadlock is recognised only if nothing else can happen either: no timer is armed, no other process of the guest lives (it could send a
signal), and the program has no handler for a signal that could come from outside. Then the run ends with a report: who waits for what.
"""

from __future__ import annotations

from collections.abc import Mapping

from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.signals.numbers import SIG_DFL, SIG_IGN, SIGKILL, SYNCHRONOUS
from uselib.emulator.kernel.threads.thread import Thread
from uselib.emulator.process.interfaces import Deadlock, ThreadWait
from uselib.loader.memory.address_space import MemoryFault

_TID = 0x3FFF_FFFF
_GLIBC_CONTENDED = 2
_LIBRARY_OWN = frozenset({32, 33, 34})  # the C library's own signals: cancellation, setuid


def hopeless(process: Process) -> bool:
    """Whether nothing outside the waiting threads can end their waits."""
    if process.clock.alarm_at is not None or process.signals.timers.armed:
        return False
    others = [pid for pid in process.pids.all() if pid != process.identity.pid] if process.clock.shared else []
    if others or process.forked:
        return False
    for signal, action in process.signals.actions.items():
        if action.handler not in (SIG_DFL, SIG_IGN) and signal not in SYNCHRONOUS and signal not in _LIBRARY_OWN:
            return False
    return True


def check(process: Process, waits: Mapping[Thread, int]) -> None:
    """All threads of the process wait without a time limit: thread -> address of the futex. Raises Deadlock if nothing can wake one."""
    if not hopeless(process):
        process.talk.once("every thread waits on a futex: only a signal from outside can end that")
        return
    told = [_told(process, thread, address) for thread, address in sorted(waits.items(), key=lambda wait: wait[0].tid)]
    raise Deadlock(SIGKILL, "deadlock: every thread waits on a futex that nobody can wake", told)


def _told(process: Process, thread: Thread, address: int) -> ThreadWait:
    scheduler, word = process.threads.scheduler, _word(process, address)
    registers = process.cpu.general() if scheduler is None else scheduler.registers(thread)
    ends = next((other.tid for other in process.threads.all.values() if other.clear_tid == address), 0)
    return ThreadWait(
        thread.tid, address, ends, 0 if ends else _owner(process, address, word), registers[-2], registers[7]
    )


def _word(process: Process, address: int) -> int:
    try:
        return int.from_bytes(process.memory.read(address, 4), "little")
    except MemoryFault:
        return 0


def _owner(process: Process, address: int, word: int) -> int:
    """The owner of a lock. The word of a lock with priority inheritance, and of musl's checked ones, has the owner's number; glibc's mutexes
    have it in the third word (struct __pthread_mutex_s).
    """
    for tid in (word & _TID, _word(process, address + 8) if word == _GLIBC_CONTENDED else 0):
        if tid in process.threads.all:
            return tid
    return 0

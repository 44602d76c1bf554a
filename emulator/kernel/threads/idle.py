"""No thread of a process can run: the clock moves on, or the host waits for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from uselib.emulator.kernel import waiting

if TYPE_CHECKING:
    from uselib.emulator.kernel.process import Process
    from uselib.emulator.kernel.threads.thread import Thread
    from uselib.emulator.kernel.threads.wait import Wait

FIRST_RETRY, LAST_RETRY = 1_000_000, 20_000_000  # ns of real time between attempts at calls that cannot be polled


def _time_left(process: Process, waits: list[Wait]) -> int | None:
    """ns until the first deadline of a wait or a timer; None: there is none."""
    clock = process.clock
    deadlines = [wait.deadline for wait in waits if wait.deadline is not None]
    if clock.alarm_at is not None:
        deadlines.append(clock.alarm_at)
    return max(min(deadlines) - clock.now, 0) if deadlines else None


def until_something_happens(process: Process, all_waits: Mapping[Thread, Wait], waits: list[Wait], pause: int) -> bool:
    """Waits until one of the waits may be over. waits: those that have a condition or a deadline. pause: ns of real time until calls that
    cannot be polled are tried again. Returns True if a signal may have come. Raises ProcessEnded if no wait can ever end.
    """
    clock, left = process.clock, _time_left(process, waits)
    descriptors = [pair for wait in waits for pair in wait.fds]
    retry = any(wait.retry for wait in waits)
    if not retry and not clock.sleeps and left is not None and process.files.only_inside(descriptors):
        clock.advance(left)
        return False
    if left is None and not descriptors and not retry and all(wait.futex for wait in all_waits.values()):
        from uselib.emulator.kernel.threads import deadlock

        deadlock.check(process, {thread: wait.futex for thread, wait in all_waits.items()})
    if retry:
        left = pause if left is None else min(left, pause)
    process.signals.open_wakeup()
    words = [wait.word for wait in waits if wait.word is not None]
    return waiting.host_wait(process, descriptors, left, words[0] if words else None)

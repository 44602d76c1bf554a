"""The timers of a process: when each expires next, and what it does then.

The clock's alarm_at is the earliest deadline: a sleep ends there, and the CPU stops there.
"""

from __future__ import annotations

from collections.abc import Callable

from uselib.emulator.kernel.clock import Clock
from uselib.linker.quick_dataclass import dataclass


@dataclass
class Timer:
    """deadline: monotonic time of the next expiry; period (0: once); ns. expired: called at an expiry with the number of periods that have
    passed. inherited: the timer goes on in a child (timerfd).
    """

    deadline: int
    period: int
    expired: Callable[[int], None]
    inherited: bool = False


class ProcessTimers:
    """armed: by number of setitimer, or by who has armed it. open_wakeup: called when one is armed, so that a call that waits looks at the
    time; wait_needed: see SignalEvents."""

    def __init__(self, clock: Clock, open_wakeup: Callable[[], None], wait_needed: Callable[[], None]) -> None:
        self._clock, self._open_wakeup, self._wait_needed = clock, open_wakeup, wait_needed
        self.armed: dict[object, Timer] = {}

    def arm(self, key: object, timer: Timer) -> None:
        """Arms the timer of this key, in place of the one before."""
        self.armed[key] = timer
        self._open_wakeup()
        self._next_alarm()

    def disarm(self, key: object) -> None:
        self.armed.pop(key, None)
        self._next_alarm()

    def left(self, key: object) -> tuple[int, int]:
        """Remaining time and period, ns. It reads the clock, so some of the time has gone by."""
        timer = self.armed.get(key)
        return (max(timer.deadline - self._clock.monotonic(), 1), timer.period) if timer else (0, 0)

    def check(self) -> None:
        """Runs the expiries of timers whose time has come."""
        now = self._clock.now
        if self._clock.alarm_at is None or now < self._clock.alarm_at:
            return
        for key, timer in list(self.armed.items()):
            if timer.deadline <= now:
                count = 1
                if timer.period:
                    count += (now - timer.deadline) // timer.period
                    timer.deadline += count * timer.period
                else:
                    del self.armed[key]
                timer.expired(count)
        self._next_alarm()

    def after_fork(self) -> None:
        """In the child after a fork: only inherited timers go on."""
        self.armed = {key: timer for key, timer in self.armed.items() if timer.inherited}
        self._clock.alarm_at = min((timer.deadline for timer in self.armed.values()), default=None)

    def _next_alarm(self) -> None:
        self._clock.alarm_at = min((timer.deadline for timer in self.armed.values()), default=None)
        if self._clock.alarm_at is not None:
            self._wait_needed()

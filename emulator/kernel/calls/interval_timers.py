"""alarm, setitimer, getitimer: the timers that send signals.

Source: kernel/time/itimer.c of Linux.
"""

from __future__ import annotations

import errno

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel.clock import SECOND
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.signals.frames import SI_KERNEL, SignalInfo
from uselib.emulator.kernel.signals.numbers import SIGALRM, SIGPROF, SIGVTALRM
from uselib.emulator.kernel.signals.timers import Timer
from uselib.emulator.kernel.table import Syscall

_ITIMERS = (SIGALRM, SIGVTALRM, SIGPROF)
_MICROSECOND = 1000


def sys_alarm(process: Process, seconds: int) -> int:
    signals = process.signals
    remaining, _ = signals.timers.left(0)
    _set(process, 0, seconds * SECOND, 0)
    return max((remaining + SECOND // 2) // SECOND, 1) if remaining else 0


def sys_setitimer(process: Process, which: int, new: int, old: int) -> int:
    if not 0 <= which <= 2:
        raise GuestError(errno.EINVAL)
    signals = process.signals
    layout = process.structs["itimerval"]
    before = signals.timers.left(which)
    if new:
        period_s, period_us, value_s, value_us = layout.unpack(process.memory.read(new, layout.size))
        if not (0 <= period_us < 1_000_000 and 0 <= value_us < 1_000_000 and period_s >= 0 and value_s >= 0):
            raise GuestError(errno.EINVAL)
        period = period_s * SECOND + period_us * _MICROSECOND
        _set(process, which, value_s * SECOND + value_us * _MICROSECOND, period)
    else:
        _set(process, which, 0, 0)
    if old:
        _write_timer(process, old, before)
    return 0


def sys_getitimer(process: Process, which: int, out: int) -> int:
    if not 0 <= which <= 2:
        raise GuestError(errno.EINVAL)
    _write_timer(process, out, process.signals.timers.left(which))
    return 0


def _set(process: Process, which: int, delay: int, period: int) -> None:
    """Arms a timer; a delay of 0 disarms it. ns."""
    signals = process.signals
    if delay:
        info = SignalInfo(_ITIMERS[which], SI_KERNEL)
        signals.timers.arm(which, Timer(process.clock.now + delay, period, lambda _: signals.post(info)))
    else:
        signals.timers.disarm(which)


def _write_timer(process: Process, address: int, timer: tuple[int, int]) -> None:
    layout = process.structs["itimerval"]
    remaining, period = (part // _MICROSECOND for part in timer)
    process.memory.write(
        address, layout.pack(period // 1_000_000, period % 1_000_000, remaining // 1_000_000, remaining % 1_000_000)
    )


ROWS = (
    Syscall("alarm", sys_alarm, (a.UINT,)),
    Syscall("setitimer", sys_setitimer, (a.choice("itimer"), a.struct_in("itimerval"), a.struct_out("itimerval"))),
    Syscall("getitimer", sys_getitimer, (a.choice("itimer"), a.struct_out("itimerval"))),
)

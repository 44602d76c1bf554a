"""timer_create, timerfd_create and related calls.

Source: kernel/time/posix-timers.c, fs/timerfd.c. All clocks of the guest are one (clock.py), so a timer of any clock is due at a monotonic time.
"""

from __future__ import annotations

import errno
import struct

from uselib.emulator.kernel import arguments as a
from uselib.emulator.kernel import constants as C
from uselib.emulator.kernel.calls.time import WALL_CLOCKS, read_clock
from uselib.emulator.kernel.clock import SECOND
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.signals.frames import SI_TIMER, SignalInfo
from uselib.emulator.kernel.signals.numbers import COUNT, SIGALRM
from uselib.emulator.kernel.signals.timers import Timer
from uselib.emulator.kernel.table import Syscall, Undo
from uselib.emulator.kernel.vfs.timer_file import TimerFile
from uselib.linker.quick_dataclass import dataclass, replace

SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD, SIGEV_THREAD_ID = 0, 1, 2, 4
_ABSOLUTE = 1
_ALARM_CLOCKS = (8, 9)  # CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM
_TIMERFD_CLOCKS = (0, 1, 7, 8, 9)
_MOST = 1024  # timers of a process
_OVERRUN_MAX = 2**31 - 1


@dataclass(eq=False)
class PosixTimer:
    """A timer of timer_create. notify: SIGEV_*. tid: the thread that gets the signal; 0: the process. overrun: that of the last signal."""

    number: int
    which: int
    notify: int
    signal: int
    value: int
    tid: int
    overrun: int = 0


class PosixTimers:
    """The timers of a process."""

    def __init__(self, _: object) -> None:
        self.all: dict[int, PosixTimer] = {}
        self.next = 0


def _timers(process: Process) -> PosixTimers:
    shared = process.shared
    found = shared.part(PosixTimers)
    shared.in_child.setdefault(PosixTimers, found.all.clear)  # a child inherits no timers
    shared.after_exec.setdefault(PosixTimers, lambda: _forget(process, found))
    return found


def _timer(process: Process, number: int) -> PosixTimer:
    timer = _timers(process).all.get(number)
    if timer is None:
        raise GuestError(errno.EINVAL)
    return timer


def _forget(process: Process, timers: PosixTimers) -> None:
    for timer in timers.all.values():
        process.signals.timers.disarm(timer)
    timers.all.clear()


def _event(process: Process, address: int) -> tuple[int, int, int, int]:
    """struct sigevent: value, signal, kind of notification, thread. Raises GuestError(EINVAL)."""
    word = process.structs.word
    data = process.memory.read(address, word + 12)
    value = int.from_bytes(data[:word], "little")
    signal, notify, tid = struct.unpack_from("<iii", data, word)
    if notify not in (SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD, SIGEV_THREAD_ID | SIGEV_SIGNAL):
        raise GuestError(errno.EINVAL)
    if notify != SIGEV_NONE and not 1 <= signal <= COUNT:
        raise GuestError(errno.EINVAL)
    if notify & SIGEV_THREAD_ID:
        if tid not in process.threads.all:
            raise GuestError(errno.EINVAL)
    else:
        tid = 0
    return value, signal, notify, tid


def sys_timer_create(process: Process, which: int, event: int, out: int) -> int:
    read_clock(process, which)
    if which in (4, 5, 6):  # CLOCK_MONOTONIC_RAW and the coarse clocks
        raise GuestError(errno.EOPNOTSUPP)
    if which in _ALARM_CLOCKS and process.identity.effective_uid:
        raise GuestError(errno.EPERM)
    timers = _timers(process)
    number = timers.next
    value, signal, notify, tid = _event(process, event) if event else (number, SIGALRM, SIGEV_SIGNAL, 0)
    if len(timers.all) >= _MOST:
        raise GuestError(errno.EAGAIN)
    process.memory.write(out, struct.pack("<i", number))
    timers.next += 1
    timers.all[number] = PosixTimer(number, which, notify, signal, value, tid)
    return 0


def _read_setting(process: Process, address: int, layout: str) -> tuple[int, int]:
    """Value and period, ns. Raises GuestError(EINVAL)."""
    spec = process.structs[layout]
    interval_s, interval_ns, value_s, value_ns = spec.unpack(process.memory.read(address, spec.size))
    if not (0 <= interval_ns < SECOND and 0 <= value_ns < SECOND and interval_s >= 0 and value_s >= 0):
        raise GuestError(errno.EINVAL)
    return value_s * SECOND + value_ns, interval_s * SECOND + interval_ns


def _write_setting(process: Process, address: int, layout: str, setting: tuple[int, int]) -> None:
    left, period = setting
    process.memory.write(address, process.structs[layout].pack(*divmod(period, SECOND), *divmod(left, SECOND)))


def _deadline(process: Process, which: int, value: int, absolute: bool) -> int:
    """The monotonic time of a setting. It is at least 1, since 0 means no timer."""
    clock = process.clock
    if not absolute:
        return clock.now + value
    return max(value - (clock.wall_now - clock.now if which in WALL_CLOCKS else 0), 1)


def sys_timer_settime(process: Process, number: int, flags: int, new: int, old: int, layout: str = "itimerspec") -> int:
    if not new:
        raise GuestError(errno.EINVAL)
    value, period = _read_setting(process, new, layout)
    timer, signals = _timer(process, number), process.signals
    before = signals.timers.left(timer)
    timer.overrun = 0
    if value:
        deadline = _deadline(process, timer.which, value, bool(flags & _ABSOLUTE))
        signals.timers.arm(timer, Timer(deadline, period, lambda count: _expired(process, timer, count)))
    else:
        signals.timers.disarm(timer)
    if old:
        _write_setting(process, old, layout, before)
    signals.timers.check()
    return 0


def _expired(process: Process, timer: PosixTimer, count: int) -> None:
    """Sends the signal. A signal that is still pending is not sent again; its overrun counts these expiries."""
    if timer.notify == SIGEV_NONE:
        return
    signals, thread = process.signals, process.threads.all.get(timer.tid) if timer.tid else None
    for queue in (signals.pending, *(other.pending for other in process.threads.all.values())):
        for place, info in enumerate(queue):
            if info.code == SI_TIMER and info.timer == timer.number:
                timer.overrun = min(info.overrun + count, _OVERRUN_MAX)
                queue[place] = replace(info, overrun=timer.overrun)
                return
    timer.overrun = min(count - 1, _OVERRUN_MAX)
    info = SignalInfo(timer.signal, SI_TIMER, value=timer.value, timer=timer.number, overrun=timer.overrun)
    signals.post(info, thread)


def sys_timer_settime64(process: Process, number: int, flags: int, new: int, old: int) -> int:
    return sys_timer_settime(process, number, flags, new, old, "itimerspec64")


def sys_timer_gettime(process: Process, number: int, out: int, layout: str = "itimerspec") -> int:
    timer = _timer(process, number)
    process.signals.timers.check()
    _write_setting(process, out, layout, process.signals.timers.left(timer))
    return 0


def sys_timer_gettime64(process: Process, number: int, out: int) -> int:
    return sys_timer_gettime(process, number, out, "itimerspec64")


def sys_timer_getoverrun(process: Process, number: int) -> int:
    return _timer(process, number).overrun


def sys_timer_delete(process: Process, number: int) -> int:
    timer = _timer(process, number)
    process.signals.timers.disarm(timer)
    del _timers(process).all[number]
    return 0


# -- timerfd --------------------------------------------------------------------------------------------------------------


def sys_timerfd_create(process: Process, which: int, flags: int) -> int:
    if flags & ~(C.O_CLOEXEC | C.O_NONBLOCK) or which not in _TIMERFD_CLOCKS:
        raise GuestError(errno.EINVAL)
    if which in _ALARM_CLOCKS and process.identity.effective_uid:
        raise GuestError(errno.EPERM)
    process.files.check_room()
    return process.files.add(TimerFile(which, flags), bool(flags & C.O_CLOEXEC))


def _timer_file(process: Process, fd: int) -> TimerFile:
    file = process.files.get(fd)
    if not isinstance(file, TimerFile):
        raise GuestError(errno.EBADF if file.flags & C.O_PATH else errno.EINVAL)
    return file


def sys_timerfd_settime(process: Process, fd: int, flags: int, new: int, old: int, layout: str = "itimerspec") -> int:
    value, period = _read_setting(process, new, layout)
    if flags & ~3:
        raise GuestError(errno.EINVAL)
    file = _timer_file(process, fd)
    before = file.setting(process.clock.now)
    deadline = _deadline(process, file.which, value, bool(flags & _ABSOLUTE)) if value else 0
    file.set(process.signals, deadline, period)
    if old:
        _write_setting(process, old, layout, before)
    return 0


def sys_timerfd_settime64(process: Process, fd: int, flags: int, new: int, old: int) -> int:
    return sys_timerfd_settime(process, fd, flags, new, old, "itimerspec64")


def sys_timerfd_gettime(process: Process, fd: int, out: int, layout: str = "itimerspec") -> int:
    file = _timer_file(process, fd)
    process.signals.timers.check()
    _write_setting(process, out, layout, file.setting(process.clock.monotonic()))
    return 0


def sys_timerfd_gettime64(process: Process, fd: int, out: int) -> int:
    return sys_timerfd_gettime(process, fd, out, "itimerspec64")


_CLOCK, _FLAGS, _FD_FLAGS = a.choice("clock"), a.flags("timer"), a.flags("timerfd")
_SPEC, _SPEC64 = a.struct_in("itimerspec"), a.struct_in("itimerspec64")
_OUT, _OUT64 = a.struct_out("itimerspec"), a.struct_out("itimerspec64")

ROWS = (
    Syscall("timer_create", sys_timer_create, (_CLOCK, a.PTR, a.PTR_OUT)),
    Syscall("timer_settime", sys_timer_settime, (a.INT, _FLAGS, _SPEC, _OUT)),
    Syscall("timer_settime64", sys_timer_settime64, (a.INT, _FLAGS, _SPEC64, _OUT64)),
    Syscall("timer_gettime", sys_timer_gettime, (a.INT, _OUT), undo=Undo.MEMORY),
    Syscall("timer_gettime64", sys_timer_gettime64, (a.INT, _OUT64), undo=Undo.MEMORY),
    Syscall("timer_getoverrun", sys_timer_getoverrun, (a.INT,), undo=Undo.MEMORY),
    Syscall("timer_delete", sys_timer_delete, (a.INT,)),
    Syscall("timerfd_create", sys_timerfd_create, (_CLOCK, _FD_FLAGS)),
    Syscall("timerfd_settime", sys_timerfd_settime, (a.FD, a.flags("timerfd_settime"), _SPEC, _OUT)),
    Syscall("timerfd_settime64", sys_timerfd_settime64, (a.FD, a.flags("timerfd_settime"), _SPEC64, _OUT64)),
    Syscall("timerfd_gettime", sys_timerfd_gettime, (a.FD, _OUT), undo=Undo.MEMORY),
    Syscall("timerfd_gettime64", sys_timerfd_gettime64, (a.FD, _OUT64), undo=Undo.MEMORY),
)

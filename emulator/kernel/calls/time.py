"""Reading the clocks and sleeping. clock.Clock decides the time that the clocks show."""

from __future__ import annotations

import errno

from uselib.emulator.kernel.arguments import INT, PTR, PTR_OUT, choice, flags, struct_in, struct_out
from uselib.emulator.kernel.clock import SECOND
from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.table import Syscall, Undo
from uselib.emulator.kernel.waiting import Interrupted, sleep

MICROSECOND = 1000  # ns
TICK = SECOND // 100  # ns in a clock tick of times(2): USER_HZ is 100
_TIMER_ABSTIME = 1

WALL_CLOCKS = frozenset({0, 5, 8, 11})  # REALTIME, REALTIME_COARSE, REALTIME_ALARM, TAI
_MONOTONIC = frozenset({1, 4, 6, 7, 9})  # MONOTONIC, MONOTONIC_RAW, MONOTONIC_COARSE, BOOTTIME, BOOTTIME_ALARM
_NO_SLEEP = frozenset({3, 4, 5, 6})  # THREAD_CPUTIME_ID, MONOTONIC_RAW and the coarse clocks: they are read only
_DYNAMIC = 3  # kind: the clock of a device, by descriptor
_CPU = frozenset({2, 3})  # PROCESS_CPUTIME_ID, THREAD_CPUTIME_ID


def _is_cpu_clock(process: Process, which: int) -> bool:
    """Whether a negative number is the CPU clock of a process that is there, or of a thread of this process (pid_for_clock): ~pid << 3, with
    4 for a thread, and the kind of time."""
    pid = ~(which >> 3)
    if which & 3 == _DYNAMIC:
        return False
    if which & 4:
        return not pid or pid in process.threads.all
    return pid in (0, process.identity.pid, process.thread.tid) or (
        not process.pids.alone and process.pids.is_there(pid)
    )


def read_clock(process: Process, which: int) -> int:
    """The time of a clock in ns. Raises GuestError(EINVAL) for a clock that does not exist."""
    clock = process.clock
    if which in _MONOTONIC:
        return clock.monotonic()
    if which in WALL_CLOCKS:
        return clock.wall()
    if which in _CPU or (which < 0 and _is_cpu_clock(process, which)):
        return clock.cpu()
    raise GuestError(errno.EINVAL)


def sys_time(process: Process, address: int) -> int:
    seconds = process.clock.wall() // SECOND & process.structs.word_mask  # i386: 32 bits, cut off from 2038 on
    if address:
        process.memory.write(address, seconds.to_bytes(process.structs.word, "little"))
    return seconds


def sys_stime(process: Process, address: int) -> int:
    raise GuestError(errno.EPERM)


def sys_settimeofday(process: Process, *_: int) -> int:
    raise GuestError(errno.EPERM)


def sys_gettimeofday(process: Process, address: int, zone: int) -> int:
    if address:
        seconds, rest = divmod(process.clock.wall(), SECOND)
        process.memory.write(address, process.structs["timeval"].pack(seconds, rest // MICROSECOND))
    if zone:
        process.memory.write(zone, process.structs["timezone"].pack(0, 0))
    return 0


def sys_clock_gettime(process: Process, which: int, address: int, layout: str = "timespec") -> int:
    value = process.structs[layout].pack(*divmod(read_clock(process, which), SECOND))
    process.memory.write(address, value)
    return 0


def sys_clock_gettime64(process: Process, which: int, address: int) -> int:
    return sys_clock_gettime(process, which, address, "timespec64")


def sys_clock_getres(process: Process, which: int, address: int, layout: str = "timespec") -> int:
    read_clock(process, which)
    coarse = which in (5, 6)
    if address:
        process.memory.write(address, process.structs[layout].pack(0, 4_000_000 if coarse else 1))
    return 0


def sys_clock_getres64(process: Process, which: int, address: int) -> int:
    return sys_clock_getres(process, which, address, "timespec64")


def sys_clock_settime(process: Process, which: int, address: int, layout: str = "timespec") -> int:
    read_clock(process, which)
    if which or read_timespec(process, address, layout) < 0:
        raise GuestError(errno.EINVAL)  # only the first can be set
    raise GuestError(errno.EPERM)


def sys_clock_settime64(process: Process, which: int, address: int) -> int:
    return sys_clock_settime(process, which, address, "timespec64")


def read_timespec(process: Process, address: int, layout: str) -> int:
    """A struct timespec in ns. Raises GuestError(EINVAL)."""
    spec = process.structs[layout]
    seconds, nanoseconds = spec.unpack(process.memory.read(address, spec.size))
    if seconds < 0 or not 0 <= nanoseconds < SECOND:
        raise GuestError(errno.EINVAL)
    return seconds * SECOND + nanoseconds


def sys_nanosleep(process: Process, wanted: int, left: int) -> int:
    return _sleep(process, read_timespec(process, wanted, "timespec"), left, "timespec")


def _sleep(process: Process, nanoseconds: int, left: int, layout: str) -> int:
    try:
        sleep(process, nanoseconds)
    except Interrupted as early:
        if left:
            process.memory.write(left, process.structs[layout].pack(*divmod(early.left, SECOND)))
        raise
    return 0


def sys_clock_nanosleep(
    process: Process, which: int, flags: int, wanted: int, left: int, layout: str = "timespec"
) -> int:
    now = read_clock(process, which)
    if which in _NO_SLEEP:
        raise GuestError(errno.EOPNOTSUPP)
    nanoseconds = read_timespec(process, wanted, layout)
    if flags & _TIMER_ABSTIME:
        return _sleep(process, nanoseconds - now, 0, layout)
    return _sleep(process, nanoseconds, left, layout)


def sys_clock_nanosleep64(process: Process, which: int, flags: int, wanted: int, left: int) -> int:
    return sys_clock_nanosleep(process, which, flags, wanted, left, "timespec64")


def sys_times(process: Process, address: int) -> int:
    ticks = process.clock.monotonic() // TICK
    if address:
        process.memory.write(address, process.structs["tms"].pack(process.clock.cpu() // TICK, 0, 0, 0))
    return (ticks + 429496729) & (process.structs.word_mask >> 1)  # the kernel's count does not start at 0 either


def rusage(process: Process, nanoseconds: int) -> bytes:
    """A struct rusage with this CPU time. wait4 uses it too."""
    seconds, rest = divmod(nanoseconds, SECOND)
    values: dict[str, int | bytes] = {"utime_sec": seconds, "utime_usec": rest // MICROSECOND, "maxrss": 4096}
    return process.structs["rusage"].encode(values)


def sys_getrusage(process: Process, who: int, address: int) -> int:
    if who not in (-1, 0, 1):
        raise GuestError(errno.EINVAL)
    process.memory.write(address, rusage(process, 0 if who == -1 else process.clock.cpu()))
    return 0


_CLOCK = choice("clock")
_SPEC, _SPEC64 = struct_in("timespec"), struct_in("timespec64")
_SPEC_OUT, _SPEC64_OUT = struct_out("timespec"), struct_out("timespec64")
_SLEEP_FLAGS = flags("timer")

ROWS: tuple[Syscall, ...] = (
    Syscall("time", sys_time, (PTR_OUT,), undo=Undo.MEMORY),
    Syscall("stime", sys_stime, (PTR,)),
    Syscall("gettimeofday", sys_gettimeofday, (struct_out("timeval"), PTR_OUT), undo=Undo.MEMORY),
    Syscall("settimeofday", sys_settimeofday, (PTR, PTR)),
    Syscall("clock_gettime", sys_clock_gettime, (_CLOCK, _SPEC_OUT), undo=Undo.MEMORY),
    Syscall("clock_gettime64", sys_clock_gettime64, (_CLOCK, _SPEC64_OUT), undo=Undo.MEMORY),
    Syscall("clock_getres", sys_clock_getres, (_CLOCK, _SPEC_OUT), undo=Undo.MEMORY),
    Syscall("clock_getres_time64", sys_clock_getres64, (_CLOCK, _SPEC64_OUT)),
    Syscall("clock_settime", sys_clock_settime, (_CLOCK, _SPEC)),
    Syscall("clock_settime64", sys_clock_settime64, (_CLOCK, _SPEC64)),
    Syscall("nanosleep", sys_nanosleep, (_SPEC, _SPEC_OUT), undo=Undo.MEMORY, restarts=False),
    Syscall(
        "clock_nanosleep",
        sys_clock_nanosleep,
        (_CLOCK, _SLEEP_FLAGS, _SPEC, _SPEC_OUT),
        undo=Undo.MEMORY,
        restarts=False,
    ),
    Syscall(
        "clock_nanosleep_time64", sys_clock_nanosleep64, (_CLOCK, _SLEEP_FLAGS, _SPEC64, _SPEC64_OUT), restarts=False
    ),
    Syscall("times", sys_times, (struct_out("tms"),), undo=Undo.MEMORY),
    Syscall("getrusage", sys_getrusage, (INT, struct_out("rusage")), undo=Undo.MEMORY),
)

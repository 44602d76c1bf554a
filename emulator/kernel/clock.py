"""Time as the guest sees it, and the random bytes it gets.

By default both are deterministic (the same program with the same input makes the same trace): the clock starts at a
fixed date, every reading moves it on by a fixed step, and sleeping moves it on by the time slept without waiting for
it. `--realtime` gives the host's clock and random bytes instead.
"""

from __future__ import annotations

import ctypes
import os
import struct
import time

from uselib.linker.quick_dataclass import dataclass, field

SECOND = 1_000_000_000  # nanoseconds
EPOCH = 1_700_000_000 * SECOND  # 2023-11-14 22:13:20 UTC
_FAR = 20 * 365 * 86400 * SECOND  # ns: a file time later than that is taken as invented, as in tests
_END = 1 << 62  # ns: 146 years; beyond it sleeping takes no time at all
STEP = 10_000  # ns that one reading of the clock takes, so that a program that polls the clock comes to an end


@dataclass
class Clock:
    """Nanoseconds since start-up (`monotonic`) and since 1970 (`wall`).

    alarm_at: monotonic time of the earliest timer that is armed, or None; set by the signal code. A sleep ends there.
    ahead: ns by which the wall clock is ahead of the fixed epoch, so that no file that the guest has looked at is from the future.
    told: what `ahead` was when the guest last read the wall clock; None: it has not yet.
    shared: the process has forked. From then on sleeps also take real time: a sleeping parent expects its child to run meanwhile.
    cell: where `elapsed` is, for native code that reads the clock in the guest's name (native_answers.py).
    """

    realtime: bool = False
    alarm_at: int | None = None
    ahead: int = 0
    told: int | None = None
    shared: bool = False
    started: int = field(default_factory=time.monotonic_ns)
    cell: ctypes.c_int64 = field(default_factory=ctypes.c_int64)

    @property
    def elapsed(self) -> int:
        """Deterministic ns since start-up."""
        return self.cell.value

    @elapsed.setter
    def elapsed(self, nanoseconds: int) -> None:
        self.cell.value = nanoseconds

    def monotonic(self) -> int:
        """Reads the clock: ns since the machine started."""
        if self.realtime:
            return time.monotonic_ns()
        self.elapsed += STEP
        return self.elapsed

    def wall(self) -> int:
        """Reads the clock: ns since 1970."""
        self.told = self.ahead
        return time.time_ns() if self.realtime else EPOCH + self.ahead + self.monotonic()

    @property
    def wall_now(self) -> int:
        """The time since 1970 without moving it on."""
        return time.time_ns() if self.realtime else EPOCH + self.ahead + self.elapsed

    @property
    def stamp(self) -> int:
        """The time at which an object changes, ns since 1970. If the clock has gone on to the time of a file since the guest last read it, this
        is as if it had not: the guest sees a time between its last reading and its next one, and small differences stay small.
        """
        late = self.ahead - self.told if self.told is not None else 0
        return self.wall_now - late

    @property
    def date_begins(self) -> int:
        """The wall clock less the monotonic one, ns, for readings by native code: -1 if it is the host's clock, -2 if Python has to see the
        next reading (`told`)."""
        if self.realtime:
            return -1
        return EPOCH + self.ahead if self.told == self.ahead else -2

    def not_after(self, moment: int) -> int:
        """An access time, which changes with each run: the present time if it is later than that, unless it is years ahead."""
        now = self.wall_now
        return now if 0 < moment - now < _FAR else moment

    def not_before(self, moment: int) -> None:
        """The guest has seen a file of that time (ns since 1970): the clock goes on from there, unless that is years ahead. The same files
        give the same times."""
        behind = moment - self.wall_now
        if 0 < behind < _FAR and not self.realtime:
            self.ahead += behind

    def cpu(self) -> int:
        """Reads the CPU time used, ns."""
        return time.process_time_ns() if self.realtime else self.monotonic()

    @property
    def now(self) -> int:
        """The monotonic time without moving it on."""
        return time.monotonic_ns() if self.realtime else self.elapsed

    def advance(self, nanoseconds: int) -> None:
        """Time has passed (nothing to do for a real clock)."""
        self.elapsed = min(self.elapsed + max(nanoseconds, 0), _END)

    @property
    def sleeps(self) -> bool:
        """True if a sleep takes real time."""
        return self.realtime or self.shared


_MASK = (1 << 64) - 1
_LARGE = 4096  # bytes from which on a hash function makes them: faster


@dataclass
class RandomBytes:
    """A stream of bytes from a seed: SplitMix64 (Steele, Lea, Flood 2014), or SHAKE128 of it for large pieces.

    seed: None means the host's random bytes. The bytes are reproducible, so they must not be used for secrets.
    """

    seed: int | None = 0
    state: int = 0
    rest: bytes = b""

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if self.seed is None:
            return os.urandom(count)
        if count > _LARGE:
            from hashlib import shake_128  # takes 3 ms to load

            return shake_128(self.take(16)).digest(count)
        words = []
        state = self.state or (self.seed * 0x2545F4914F6CDD1D & _MASK) or 1
        for _ in range((count - len(self.rest) + 7) // 8):
            state = state + 0x9E3779B97F4A7C15 & _MASK
            word = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
            word = (word ^ word >> 27) * 0x94D049BB133111EB & _MASK
            words.append(word ^ word >> 31)
        self.state = state
        data = self.rest + struct.pack(f"<{len(words)}Q", *words)
        self.rest = data[count:]
        return data[:count]

    def reseed(self, mark: int) -> None:
        """A child gets a stream of its own (after fork), different for each `mark`."""
        if self.seed is not None:
            self.seed, self.state, self.rest = self.seed * 1_000_003 + mark, 0, b""

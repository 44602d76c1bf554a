"""What a run may take from the machine without an option: half of the memory that is free, half of the disk for one file.

Memory is looked at only once a process has mapped much (LARGE), then every tenth of a second from outside the CPU's run: what counts is what
it uses, not what it maps, because programs map far more than they touch. Files: the host's kernel keeps the limit (setrlimit(2), RLIMIT_FSIZE).
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Sequence

from uselib.emulator.process.interfaces import ProcessEnded
from uselib.linker.image import PAGE

LARGE = 256 << 20  # bytes mapped: less is never looked at
_EVERY = 0.1  # s
_SIGKILL = 9


def resident() -> int:
    """Bytes of memory that this process has used at a time (getrusage(2): a sandbox may keep /proc away)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def available() -> int:
    """Bytes of memory that programs can still get (proc(5), meminfo)."""
    with open("/proc/meminfo", "rb") as file:
        for line in file:
            if line.startswith(b"MemAvailable:"):
                return int(line.split()[1]) << 10
    return os.sysconf("SC_PHYS_PAGES") * PAGE


class MemoryGuard:
    """watch: told when (time.monotonic) `check` is to be called. What is free is read when it is made: later a sandbox may forbid it."""

    def __init__(self, watch: Callable[[float], None]) -> None:
        self._watch = watch
        self.most = available() // 2  # bytes

    def begin(self) -> None:
        """The process has mapped much."""
        self._watch(time.monotonic() + _EVERY)

    def check(self) -> None:
        """Raises ProcessEnded if the process uses too much."""
        if resident() > self.most:
            size = f"{self.most >> 20} MiB of memory, half of what is free"
            raise ProcessEnded(signal=_SIGKILL, reason=f"it uses more than {size} (--max-memory sets another limit)")
        self._watch(time.monotonic() + _EVERY)


def limit_file_size(directories: Sequence[str]) -> tuple[int, int] | None:
    """No file of this process may become larger than half of what is free where the guest may write. Returns the limits from before,
    for `restore_file_size`; None if nothing was changed."""
    if not directories:
        return None
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    free = []
    for path in directories:
        try:
            found = os.statvfs(path)
        except OSError:
            continue
        free.append(found.f_bavail * found.f_frsize)
    most = max(free, default=0) // 2
    if not most or before[0] != resource.RLIM_INFINITY:
        return None
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    return before


def restore_file_size(before: tuple[int, int] | None) -> None:
    if before is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

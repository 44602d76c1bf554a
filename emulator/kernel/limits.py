"""Resource limits of the guest (getrlimit(2)): its own numbers, never the host's."""

from __future__ import annotations

import resource as host

from uselib.linker.quick_dataclass import dataclass, field

INFINITY = 2**64 - 1
CPU, FSIZE, DATA, STACK, CORE, RSS, NPROC, NOFILE, MEMLOCK, AS = range(10)  # include/uapi/asm-generic/resource.h
MSGQUEUE, NICE, RTPRIO = 12, 13, 14
COUNT = 16
DEFAULT_FILES = 1024  # open at a time


def _defaults() -> dict[int, tuple[int, int]]:
    unlimited = dict.fromkeys(range(COUNT), (INFINITY, INFINITY))
    return (
        unlimited
        | {MSGQUEUE: (819200, 819200), NICE: (0, 0), RTPRIO: (0, 0)}
        | {STACK: (8 << 20, INFINITY), CORE: (0, INFINITY), NOFILE: (DEFAULT_FILES, 4096)}
    )


@dataclass
class Limits:
    """values: resource -> (soft, hard)."""

    values: dict[int, tuple[int, int]] = field(default_factory=_defaults)
    processes: int = 256  # at a time, of all of the run

    @property
    def file_size(self) -> int:
        """Bytes that a file may have."""
        return self.values[FSIZE][0]

    @property
    def file_size_free(self) -> bool:
        """No limit on the size of files."""
        return self.values[FSIZE][0] == INFINITY


def raise_host_limit(count: int) -> None:
    """Lets this process open `count` descriptors and some of its own, as far as the host allows."""
    soft, hard = host.getrlimit(host.RLIMIT_NOFILE)
    wanted = count + 64 if hard == host.RLIM_INFINITY else min(count + 64, hard)
    if soft != host.RLIM_INFINITY and soft < wanted:
        host.setrlimit(host.RLIMIT_NOFILE, (wanted, hard))

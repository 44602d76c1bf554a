"""Resource limits: getrlimit, setrlimit, prlimit64. The guest's own numbers, never the host's."""

from __future__ import annotations

from dataclasses import dataclass, field

INFINITY = 2**64 - 1
CPU, FSIZE, DATA, STACK, CORE, RSS, NPROC, NOFILE, MEMLOCK, AS = range(10)  # include/uapi/asm-generic/resource.h
COUNT = 16


def _defaults() -> dict[int, tuple[int, int]]:
    unlimited = dict.fromkeys(range(COUNT), (INFINITY, INFINITY))
    return unlimited | {STACK: (8 << 20, INFINITY), CORE: (0, INFINITY), NOFILE: (1024, 4096)}


@dataclass
class Limits:
    """resource -> (soft, hard)."""

    values: dict[int, tuple[int, int]] = field(default_factory=_defaults)

    def soft(self, resource: int) -> int:
        return self.values[resource][0]

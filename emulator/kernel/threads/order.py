"""Order: how long a thread runs, and which thread runs next. There are two orders; each is the same in every run.

Round robin is the default. A seed (`--schedule SEED`) gives another interleaving for each number: slices of very different lengths, down to a
few blocks, a switch after every fourth system call, any of the threads that can run. If a program's result depends on the order of its
threads, some seed shows it, and the same seed shows it again.
"""

from __future__ import annotations

from uselib.emulator.kernel.clock import RandomBytes
from uselib.linker.quick_typing import Protocol

SLICE = 20_000  # blocks of translated code: about 100 us
_LONGEST_EXPONENT = 15


class Order(Protocol):
    """Decides which thread runs and how long. at_calls: `switches` may return True."""

    at_calls: bool

    def slice(self) -> int:
        """Blocks of translated code until it is another thread's turn."""

    def choose(self, count: int) -> int:
        """Which of `count` threads that can run is next. 0 is the one that has waited longest."""

    def switches(self) -> bool:
        """Whether it is another thread's turn after a system call."""


class RoundRobin:
    """The threads run one after the other."""

    at_calls = False

    def slice(self) -> int:
        return SLICE

    def choose(self, count: int) -> int:
        return 0

    def switches(self) -> bool:
        return False


class Seeded:
    """Another order for each seed."""

    at_calls = True

    def __init__(self, seed: int) -> None:
        self._random = RandomBytes(seed)

    def _below(self, limit: int) -> int:
        return int.from_bytes(self._random.take(4), "little") % limit

    def slice(self) -> int:
        return 1 + self._below(2 << self._below(_LONGEST_EXPONENT))

    def choose(self, count: int) -> int:
        return self._below(count) if count > 1 else 0

    def switches(self) -> bool:
        return not self._below(4)

"""Order: how long a thread runs before it is another's turn, and whose. Two orders, both the same in every run.

Round robin is the default. A seed (`--schedule SEED`) gives another interleaving for each number: slices of very different lengths, down
to a few blocks, a switch after every fourth system call, any of the threads that can run. So a program whose result depends on the
order of its threads sooner or later meets an order that shows it, and meets the same one with the same seed.
"""

from __future__ import annotations

from uselib.emulator.kernel.clock import RandomBytes
from uselib.linker.quick_typing import Protocol

SLICE = 20_000  # blocks of translated code: about 100 us
_LONGEST_EXPONENT = 15


class Order(Protocol):
    """Decides. at_calls: `switches` may say yes."""

    at_calls: bool

    def slice(self) -> int:
        """Blocks of translated code until it is another thread's turn."""

    def choose(self, count: int) -> int:
        """Which of `count` threads that can run goes on, 0 being the one that has waited longest."""

    def switches(self) -> bool:
        """Whether it is another thread's turn after a system call."""


class RoundRobin:
    """One after the other."""

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

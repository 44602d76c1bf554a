"""A progress line on stderr for work that takes over a second, on a terminal only."""

from __future__ import annotations

import sys
import time


class Progress:
    """Use as a context; step(n) after each n units of `total`."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, max(total, 1), 0
        self._shown = False
        self._next = time.monotonic() + 1.0
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def step(self, count: int = 1) -> None:
        self._done += count
        if not self._terminal or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 0.2
        self._shown = True
        part = min(self._done / self._total, 1.0)
        bar = "#" * int(part * 30)
        print(f"\r{self._what} [{bar:<30}] {part:4.0%}", end="", file=sys.stderr, flush=True)

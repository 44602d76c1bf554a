"""Signals of the host that come later, while something is done that a handler must not see half done."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Set
from contextlib import contextmanager


@contextmanager
def held_back(signals: Set[int] | None = None) -> Iterator[None]:
    """Blocks these signals, or all, in the thread that runs; a thread that is started meanwhile keeps them blocked. In the child of a fork
    the mask is given back as well, where the child leaves the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() if signals is None else signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

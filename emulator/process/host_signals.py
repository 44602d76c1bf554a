"""The host's signal mask, and signals that come later while something is done that a handler must not see half done."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # C functions, which typeshed leaves out
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager

# The functions of C below `signal`'s, which make a member of an enumeration of each number: 140 us for a full mask, not 7.
change_mask: Callable[[int, Iterable[int]], set[int]] = _signal.pthread_sigmask
VALID: Set[int] = frozenset(_signal.valid_signals())


@contextmanager
def held_back(signals: Set[int] = VALID) -> Iterator[None]:
    """Blocks these signals in the thread that runs; a thread that is started meanwhile keeps them blocked. In the child of a fork
    the mask is given back as well, where the child leaves the block."""
    before = change_mask(_signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        change_mask(_signal.SIG_SETMASK, before)

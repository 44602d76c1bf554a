"""The progress line (uselib/trace/reading/progress.py) for work whose size is known only when it has begun."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from uselib.trace.reading.progress import Progress


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a function of (units done, of how many). The line goes away at the end."""
    bars: list[Progress] = []
    shown = 0

    def progress(done: int, total: int) -> None:
        nonlocal shown
        if not bars:
            bars.append(Progress(what, total))
        bars[0].step(done - shown)
        shown = done

    try:
        yield progress
    finally:
        for bar in bars:
            bar.__exit__()

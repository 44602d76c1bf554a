"""The switch of Python's cyclic garbage collector: linking and importing make many lasting objects and no garbage cycles.

A link makes a hundred thousand objects; looking through them for garbage would take a third of its time, and a fifth if it
is done once at the end.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def stop() -> None:
    """No collections until `resume`."""
    gc.disable()


def resume() -> None:
    """Collections again, unless they go on anyway. What was made before is never looked at."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


@contextmanager
def no_cycle_collection() -> Iterator[None]:
    """No collections within the block. What was made in it goes to the oldest generation."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()  # into the oldest generation, or the next collection, due at once, would look at all of it
            gc.enable()
            gc.unfreeze()

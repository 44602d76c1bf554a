"""The switch of Python's cyclic garbage collector: linking and importing make many lasting objects and no garbage cycles.

A link makes a hundred thousand objects; to look through them for garbage would take a third of its time, or a fifth
if it is done once at the end.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_NEW_OBJECTS = 10_000  # between two collections of the youngest; Python's own number is 700


def stop() -> None:
    """Stops collections until `resume`."""
    gc.disable()


def resume() -> None:
    """Starts collections again if they were stopped. Objects made before are never examined, and the first collection comes late enough that
    a command which imports a few more modules and ends has none: each would take 0.2 ms, and find nothing."""
    if not gc.isenabled():
        gc.freeze()
        gc.set_threshold(_NEW_OBJECTS)
        gc.enable()


@contextmanager
def no_cycle_collection() -> Iterator[None]:
    """Stops collections within the block. Objects made in it go to the oldest generation."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()  # into the oldest generation, or the next collection, due at once, would look at all of it
            gc.enable()
            gc.unfreeze()

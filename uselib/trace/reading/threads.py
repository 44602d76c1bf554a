"""Which thread of a process an event belongs to, for arrays of events.

The depth of a call is that of its thread, so whoever makes a tree of calls from depths takes each thread by itself. Events of a program
with one thread have the number of their process.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from uselib.trace.reading.blocks import Array, Block
from uselib.trace.reading.model import TracedProcess


def thread_numbers(process: TracedProcess, sequence: Array) -> Array:
    """The thread of each event (int64); sequence: the numbers of the events."""
    firsts = np.array([0, *process.thread_firsts], np.uint64)
    numbers = np.array([process.pid, *process.thread_numbers], np.int64)
    return numbers[np.searchsorted(firsts, sequence, side="right") - 1]


def by_thread(block: Block) -> Iterator[tuple[int, Array | slice]]:
    """(thread, an index of the block's rows that are its events, in their order), lower numbers first; nothing for an empty block."""
    if not len(block.sequence):
        return
    if not block.process.thread_firsts:
        yield block.process.pid, slice(None)
        return
    threads = thread_numbers(block.process, block.sequence)
    order = np.argsort(threads, kind="stable")
    numbers, starts = np.unique(threads[order], return_index=True)
    yield from zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)

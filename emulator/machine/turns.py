"""Turns: the threads of a program in the order in which they run, kept where native code takes turns by itself (native/calls/turns.c).

A thread is known by its place in the table, a small number. The scheduler of the kernel decides (kernel/threads/scheduler.py, by way of
interfaces.TurnQueue); where there is no native code it is the only one who reads this.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator
from ctypes import c_uint32

from uselib.emulator import native_module

ROOM = 4096  # threads


class _Turn(ctypes.Structure):
    _fields_ = native_module.fields(
        "pointer context; i64 tid, python; u64 sequence; words descriptors; u64 address, bits; call call",
        words=ctypes.c_uint64 * 3,
        call=ctypes.c_uint64 * 7,
    )


class _Turns(ctypes.Structure):
    _fields_ = (
        *native_module.fields("i64 allowed, current, blocks, deadline; pointer descriptors; i64 head, count, waits"),
        ("queue", c_uint32 * ROOM),
        ("waiting", c_uint32 * ROOM),
        ("turns", _Turn * ROOM),
    )


class Turns:
    """Places, what is in them, and the queue of those that can run (interfaces.TurnQueue)."""

    def __init__(self, descriptors: int) -> None:
        """descriptors: the host's address of those of thread-local storage in the GDT; 0: there is none."""
        self._table = _Turns()
        self._table.descriptors = descriptors
        self._free: list[int] = []
        self._used = 0

    @property
    def address(self) -> int:
        """For native code."""
        return ctypes.addressof(self._table)

    # -- places -------------------------------------------------------------------------------------------------------

    def enter(self, context: int, tid: int) -> int:
        """A place for a thread. Raises OSError(EAGAIN)."""
        if not self._free and self._used == ROOM:
            raise BlockingIOError(errno.EAGAIN, "too many threads")
        place = self._free.pop() if self._free else self._used
        self._used = max(self._used, place + 1)
        turn = self._table.turns[place]
        turn.context, turn.tid, turn.sequence = context, tid, 0
        return place

    def leave(self, place: int) -> None:
        self._free.append(place)

    def context(self, place: int) -> int:
        """Where the registers are kept."""
        return int(self._table.turns[place].context)

    def descriptors(self, place: int) -> tuple[int, ...]:
        """Those of thread-local storage, of a thread that does not run."""
        return tuple(self._table.turns[place].descriptors)

    def set_descriptors(self, place: int, values: tuple[int, ...]) -> None:
        self._table.turns[place].descriptors[:] = values

    @property
    def current(self) -> int:
        """Whose registers are on the CPU."""
        return int(self._table.current)

    @current.setter
    def current(self, place: int) -> None:
        self._table.current = place

    # -- the queue (interfaces.TurnQueue) -----------------------------------------------------------------------------

    def append(self, place: int, python: bool) -> None:
        table = self._table
        table.turns[place].python = python
        table.queue[(table.head + table.count) % ROOM] = place
        table.count += 1

    def take(self, position: int) -> int:
        if not position:
            table = self._table
            place = int(table.queue[table.head])
            table.head, table.count = (table.head + 1) % ROOM, table.count - 1
            return place
        places = list(self)
        place = places.pop(position)
        self._rewrite(places)
        return place

    def remove(self, place: int) -> None:
        places = list(self)
        places.remove(place)
        self._rewrite(places)

    def clear(self) -> None:
        self._table.count = self._table.waits = 0

    def note_sequence(self, place: int, address: int) -> None:
        """See interfaces.TurnQueue."""
        self._table.turns[place].sequence = address

    def rename(self, place: int, tid: int) -> None:
        self._table.turns[place].tid = tid

    def _rewrite(self, places: list[int]) -> None:
        table = self._table
        table.head, table.count = 0, len(places)
        table.queue[: len(places)] = places

    def __iter__(self) -> Iterator[int]:
        table = self._table
        head = int(table.head)
        return iter([int(table.queue[(head + n) % ROOM]) for n in range(table.count)])

    def __contains__(self, place: object) -> bool:
        return any(place == other for other in self)

    def __len__(self) -> int:
        return int(self._table.count)

    # -- turns that native code takes ---------------------------------------------------------------------------------

    def allow(self, blocks: int, deadline: int) -> None:
        """See interfaces.TurnQueue."""
        table = self._table
        table.blocks, table.deadline = blocks, deadline
        table.allowed = 1

    def refuse(self) -> None:
        """See interfaces.TurnQueue."""
        self._table.allowed = 0

    def waits(self) -> list[tuple[int, list[int]]]:
        """See interfaces.TurnQueue."""
        table = self._table
        if not table.waits:
            return []
        places = table.waiting[: table.waits]
        table.waits = 0
        return [(place, table.turns[place].call[:]) for place in places]

"""Windows: the windows of one address space, in order, and new ones where there are none.

A machine looks at memory through few, large windows: each is a region to it. So the first ones are as large as WINDOW_UNIT. A program that
maps single pages far from one another would have tens of thousands; from NEAR on, windows are as large as a mapping only, and cut out of an
`Reservation`, which is one region to the machine. Mappings may lie in several windows.
"""

from __future__ import annotations

import errno
from bisect import bisect_right
from collections.abc import Callable, Iterator

from uselib.loader.memory.host_memory import PAGE, Reservation, Window
from uselib.loader.memory.layout import WINDOW_UNIT

NEAR = 64  # windows that are large
_TOGETHER = 1 << 40  # bytes of addresses that are reserved for the others at a time


class Windows:
    """Windows in order of address; they never overlap."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._windows: list[Window] = []
        self._reservations: list[Reservation] = []

    def __iter__(self) -> Iterator[Window]:
        return iter(self._windows)

    def __getitem__(self, index: int) -> Window:
        return self._windows[index]

    def add(self, window: Window) -> None:
        index = bisect_right(self._starts, window.start)
        self._starts.insert(index, window.start)
        self._windows.insert(index, window)

    def find(self, address: int) -> Window | None:
        """The window that contains `address`."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._windows[index].end:
            return self._windows[index]
        return None

    def of_host(self, address: int) -> Window | None:
        """The window that has this host address."""
        return next((window for window in self._windows if window.start <= address - window.delta < window.end), None)

    def pieces(self, start: int, end: int) -> Iterator[tuple[Window, int, int]]:
        """The range as parts that lie in one window each. It must be covered."""
        while start < end:
            window = self.find(start)
            assert window is not None
            stop = min(end, window.end)
            yield window, start, stop
            start = stop

    def ensure(self, start: int, end: int, added: Callable[[Window], None]) -> None:
        """Makes windows where the range has none, and tells of each. Raises OSError (ENOMEM) if the host has no room."""
        while start < end:
            index = bisect_right(self._starts, start)
            if index and start < self._windows[index - 1].end:
                start = self._windows[index - 1].end
                continue
            floor = self._windows[index - 1].end if index else 0
            ceiling = self._starts[index] if index < len(self._starts) else 1 << 64
            if len(self._windows) < NEAR:
                low, high = start & -WINDOW_UNIT, (end + WINDOW_UNIT - 1) & -WINDOW_UNIT
                window = Window.reserve(max(low, floor), min(high, ceiling))
            else:
                window = self._cut(start, min(end, ceiling))
            self.add(window)
            added(window)
            start = window.end

    def _cut(self, start: int, end: int) -> Window:
        if not self._reservations or self._reservations[-1].left < end - start:
            self._reservations.append(_reserve(end - start))
        return self._reservations[-1].cut(start, end)

    def release(self) -> None:
        """Gives all of it back to the host."""
        for window in self._windows:
            if window.reservation is None:
                window.release()
        for reservation in self._reservations:
            reservation.release()
        self._starts.clear()
        self._windows.clear()
        self._reservations.clear()


def _reserve(least: int) -> Reservation:
    """Raises OSError (ENOMEM)."""
    size = max(_TOGETHER, -(-least // PAGE) * PAGE)
    while True:
        try:
            return Reservation.reserve(size)
        except OSError as failure:
            if failure.errno != errno.ENOMEM or size <= least:
                raise
            size = max(size // 4, least)

"""SignalBoxes: what siginfo_t says of signals that are on their way from one process of the guest to another.

The host carries the signal's number, and Python's handlers get nothing else. So the sender first puts an entry into the box of the target:
code, process and user of the sender, value. Signals of the same number are taken in the order in which they were put. A standard signal has
one entry at most, the latest, since it is not queued twice. Boxes lie in memory that all processes of the run share. A sender holds a record
lock, which ends with its process. The receiver frees an entry by one store and needs no lock.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct

from uselib.linker.quick_dataclass import NamedTuple

_ROOM = 64  # entries of one box
_ENTRY = struct.Struct("<IiIIQQ")  # signal (0: free), then an Origin and the entry's number
_NUMBER = struct.Struct("<I")
_REAL_TIME = 32  # the first signal that is queued as often as it is sent
_SHARED_MEMORY = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE: most of it is never touched
_LOCKS = 1 << 20  # where the locks of the boxes begin in the file of the locks


class Origin(NamedTuple):
    """What siginfo_t says of a signal that a process has sent."""

    code: int
    pid: int
    uid: int
    value: int


class SignalBoxes:
    """count: boxes; locks: a file for record locks."""

    def __init__(self, count: int, locks: int) -> None:
        self._memory = mmap.mmap(-1, count * _ROOM * _ENTRY.size, _SHARED_MEMORY)
        self._locks = locks

    def put(self, box: int, signal: int, origin: Origin) -> bool:
        """Puts an entry into the target's box. Returns False if the box is full."""
        lock = _LOCKS + box
        fcntl.lockf(self._locks, fcntl.LOCK_EX, 1, lock, os.SEEK_SET)
        try:
            free, last = None, 0
            for at, (found, *_, number) in self._entries(box):
                last = max(last, number)
                if found == signal and signal < _REAL_TIME:
                    free = at
                    break
                if not found and free is None:
                    free = at
            if free is None:
                return False
            _NUMBER.pack_into(self._memory, free, 0)
            _ENTRY.pack_into(self._memory, free, 0, *origin, last + 1)
            _NUMBER.pack_into(self._memory, free, signal)
            return True
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, lock, os.SEEK_SET)

    def take(self, box: int, signal: int, most: int = _ROOM) -> list[Origin]:
        """Takes the first entries of a signal out of the box."""
        found = sorted((entry[-1], at, Origin(*entry[1:5])) for at, entry in self._entries(box) if entry[0] == signal)[
            :most
        ]
        for _, at, _ in found:
            _NUMBER.pack_into(self._memory, at, 0)
        return [origin for _, _, origin in found]

    def _entries(self, box: int) -> list[tuple[int, tuple[int, ...]]]:
        """All entries with their places in the box."""
        start = box * _ROOM * _ENTRY.size
        data = self._memory[start : start + _ROOM * _ENTRY.size]
        return [(start + at * _ENTRY.size, entry) for at, entry in enumerate(_ENTRY.iter_unpack(data))]

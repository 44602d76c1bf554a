"""/dev/shm: named files in memory, for the processes of one run (shm_open(3), sem_open(3)). They exist until the run ends.

A file is a memory file of the host (memfd) in the run's store. Several names may refer to one file. There are no directories.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from contextlib import suppress

from uselib.emulator.kernel.shared import run
from uselib.emulator.kernel.shared.run import RunShared

_NAME_MOST = 255
_NUMBERS = 1 << 61  # the numbers of these files in the run's store begin here


class _Name(ctypes.Structure):
    _fields_ = [("number", ctypes.c_uint64), ("size", ctypes.c_uint32), ("text", ctypes.c_uint8 * 256)]
    number: int
    size: int


class _FilesHead(ctypes.Structure):
    _fields_ = [("last", ctypes.c_uint64)]
    last: int


_PLACE, _SIZE = run.FILES
_FIRST = 64
_COUNT = (_SIZE - _FIRST) // ctypes.sizeof(_Name)


def _fail(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class MemoryFiles:
    """The files in /dev/shm of one run."""

    def __init__(self, shared: RunShared) -> None:
        self._lock, self._store = shared.lock, shared.store
        self._head = _FilesHead.from_buffer(shared.memory, _PLACE)
        self._names = (_Name * _COUNT).from_buffer(shared.memory, _PLACE + _FIRST)

    def _find(self, name: bytes) -> _Name | None:
        for entry in self._names:
            if not entry.number:
                if not entry.size:
                    return None  # none after it has ever been used
                continue
            if bytes(entry.text[: entry.size]) == name:
                return entry
        return None

    def _enter(self, name: bytes, number: int) -> None:
        """Raises OSError."""
        if len(name) > _NAME_MOST:
            raise _fail(errno.ENAMETOOLONG)
        if self._find(name) is not None:
            raise _fail(errno.EEXIST)
        entry = next((entry for entry in self._names if not entry.number), None)
        if entry is None:
            raise _fail(errno.ENOSPC)
        entry.text[: len(name)] = list(name)
        entry.size, entry.number = len(name), number

    def names(self) -> Sequence[bytes]:
        with self._lock:
            return [bytes(entry.text[: entry.size]) for entry in self._names if entry.number]

    def open(self, name: bytes) -> int | None:
        """A host descriptor for the file, or None if there is no such file."""
        with self._lock:
            entry = self._find(name)
            return None if entry is None else self._store.copy(_NUMBERS + entry.number)

    def create(self, name: bytes, mode: int) -> int:
        """Makes a new file. Raises OSError: EEXIST, ENOSPC."""
        fd = os.memfd_create("shm", os.MFD_CLOEXEC)
        try:
            with suppress(PermissionError):  # where the sandbox refuses this, the mode shows as 0777
                os.fchmod(fd, mode)
            with self._lock:
                self._head.last += 1
                number = self._head.last
                self._enter(name, number)
                self._store.put(_NUMBERS + number, fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def remove(self, name: bytes) -> None:
        """unlink(2). Raises OSError."""
        with self._lock:
            entry = self._find(name)
            if entry is None:
                raise _fail(errno.ENOENT)
            self._drop(entry)

    def _drop(self, entry: _Name) -> None:
        number, entry.number = entry.number, 0
        if all(other.number != number for other in self._names):
            self._store.remove(_NUMBERS + number)

    def link(self, old: bytes, new: bytes) -> None:
        """Raises OSError."""
        with self._lock:
            entry = self._find(old)
            if entry is None:
                raise _fail(errno.ENOENT)
            self._enter(new, entry.number)

    def rename(self, old: bytes, new: bytes, replace: bool) -> None:
        """Raises OSError."""
        with self._lock:
            entry, target = self._find(old), self._find(new)
            if entry is None:
                raise _fail(errno.ENOENT)
            if old == new:
                return
            if target is not None:
                if not replace:
                    raise _fail(errno.EEXIST)
                self._drop(target)
            self._enter(new, entry.number)
            entry.number = 0

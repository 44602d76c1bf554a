"""ProcessRows: the shared memory behind the process numbers (pids.py), a row for each process.

The memory is inherited by every process of the guest. A pipe with one byte in it is the lock: the process that holds the byte may change
fields that others change too.

A host pid alone does not say whether its process runs: when a process has ended and has been waited for, the host gives the number to
another one. So each process holds a record lock (fcntl(2), F_SETLK) on its own byte of an inherited file. The host's kernel releases the
lock when the process ends, however it ends, and F_GETLK tells who holds it.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from uselib.emulator.kernel.shared.signal_boxes import SignalBoxes

ROOM = 32768  # processes in one run
RUNNING, SLEEPING, STOPPED = b"RST"  # states of proc(5)
HAS_EXECUTED, HOST_ACTS, SUBREAPER = (
    1,
    2,
    3,
)  # flags: has called execve; the host acts on the signals NOTIFIED as it would; looks after orphans
FACTS = 2046  # bytes of facts that a process may publish
_ROW = struct.Struct("<IIII")  # host pid, guest pid of the parent, process group, session
_WAITS = struct.Struct("<I")
_FACTS = FACTS + 2  # with two bytes that say how many
_STATE = 4  # bytes: the letter of proc(5), and the flags
_LOCK = struct.Struct("<hh4xqqi4x")  # struct flock of a 64-bit host: type, whence, start, length, pid
_SHARED_MEMORY = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE: most of it is never touched


class ProcessRows:
    """Rows 1, 2, ... boxes: of the signals that processes send each other. A host pid of 0 means: ended and waited for."""

    def __init__(self) -> None:
        self._take, self._give = os.pipe2(os.O_CLOEXEC)
        self._locks = os.memfd_create("processes", os.MFD_CLOEXEC)
        sizes = _ROW.size, _FACTS, _STATE, _WAITS.size
        self._rows, self._facts, self._states, self._waits = (
            mmap.mmap(-1, size * (ROOM + 1), _SHARED_MEMORY) for size in sizes
        )
        self.boxes = SignalBoxes(ROOM + 1, self._locks)
        os.write(self._give, b"x")

    def close(self) -> None:
        for fd in (self._take, self._give, self._locks):
            os.close(fd)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """No other process changes anything meanwhile."""
        os.read(self._take, 1)
        try:
            yield
        finally:
            os.write(self._give, b"x")

    @property
    def count(self) -> int:
        """How many rows are in use, those of ended processes too."""
        count: int = _ROW.unpack_from(self._rows, 0)[0]
        return count

    @count.setter
    def count(self, count: int) -> None:
        _ROW.pack_into(self._rows, 0, count, 0, 0, 0)

    def row(self, index: int) -> tuple[int, int, int, int]:
        """Host pid, parent, group, session."""
        return _ROW.unpack_from(self._rows, _ROW.size * index)

    def set_row(self, index: int, host: int, parent: int, group: int, session: int) -> None:
        _ROW.pack_into(self._rows, _ROW.size * index, host, parent, group, session)

    def hold(self, index: int) -> None:
        """The calling process takes the lock of a row, which is its own from now on."""
        fcntl.fcntl(self._locks, fcntl.F_SETLK, _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, index, 1, 0))
        self._states[_STATE * index : _STATE * (index + 1)] = bytes((RUNNING, 0, 0, 0))

    def holder(self, index: int) -> int:
        """The host's pid of the process that holds the lock of a row; 0: nobody."""
        question = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, index, 1, 0)
        kind, *_, pid = _LOCK.unpack(fcntl.fcntl(self._locks, fcntl.F_GETLK, question))
        if kind == fcntl.F_UNLCK:
            return (
                os.getpid() if self.row(index)[0] == os.getpid() else 0
            )  # F_GETLK does not report the caller's own lock
        return int(pid)

    def letter(self, index: int) -> int:
        """The state, as proc(5) has it."""
        return self._states[_STATE * index]

    def set_letter(self, index: int, letter: int) -> None:
        self._states[_STATE * index] = letter

    def letter_address(self, index: int) -> int:
        """The host's address of the letter."""
        return ctypes.addressof(ctypes.c_char.from_buffer(self._states, _STATE * index))

    def flag(self, index: int, which: int) -> bool:
        """which: HAS_EXECUTED, HOST_ACTS, SUBREAPER."""
        return bool(self._states[_STATE * index + which])

    def set_flag(self, index: int, which: int, value: bool) -> None:
        self._states[_STATE * index + which] = value

    def facts(self, index: int) -> bytes:
        """The facts that a process has published."""
        at = _FACTS * index
        size = int.from_bytes(self._facts[at : at + 2], "little")
        return self._facts[at + 2 : at + 2 + size]

    def set_facts(self, index: int, facts: bytes) -> None:
        """At most FACTS bytes."""
        at = _FACTS * index
        self._facts[at : at + 2 + len(facts)] = len(facts).to_bytes(2, "little") + facts

    def waits_for(self, index: int) -> int:
        """The guest's number of the process for whose record lock this one waits; 0: none."""
        holder: int = _WAITS.unpack_from(self._waits, _WAITS.size * index)[0]
        return holder

    def set_waits_for(self, index: int, holder: int) -> None:
        _WAITS.pack_into(self._waits, _WAITS.size * index, holder)

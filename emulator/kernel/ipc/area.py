"""The part of the run's shared memory that IPC objects lie in: holdings of processes, and how waiters are notified of a change.

A holding says that a process has a segment attached, or what is to be undone for it. When the process has ended, in whatever way, the next
call of any process removes its holdings.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
from collections.abc import Callable, Iterator
from typing import TypeVar

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.process import Process
from uselib.emulator.kernel.shared import run
from uselib.emulator.kernel.shared.run import RunShared
from uselib.emulator.kernel.threads import host_futex
from uselib.emulator.kernel.threads.wait import HostWord
from uselib.emulator.kernel.waiting import until

SEGMENT, UNDO = 1, 2  # Holding.kind
_HOLDINGS = 8192
_EVERYBODY = 2**31 - 1
_Result = TypeVar("_Result")


class Holding(ctypes.Structure):
    """kind: SEGMENT or UNDO, 0: free. identifier: of the object. index, amount: of UNDO, the semaphore and what is added to it."""

    _fields_ = [
        ("kind", ctypes.c_int32),
        ("pid", ctypes.c_int32),
        ("identifier", ctypes.c_int32),
        ("index", ctypes.c_int32),
        ("amount", ctypes.c_int32),
    ]
    kind: int
    pid: int
    identifier: int
    index: int
    amount: int


class _AreaHead(ctypes.Structure):
    _fields_ = [("changes", ctypes.c_uint32), ("holdings", ctypes.c_uint32)]
    changes: int
    holdings: int


PLACE, SIZE = run.IPC
_HOLDINGS_AT = PLACE + 64
FREE = (
    (64 + _HOLDINGS * ctypes.sizeof(Holding) + 4095) // 4096 * 4096
)  # where the kinds of objects may lie, from PLACE on


class Area:
    """The area of a run. The run's lock is held for changes."""

    def __init__(self, shared: RunShared) -> None:
        self.memory: mmap.mmap = shared.memory
        self.lock, self.store = shared.lock, shared.store
        self._head = _AreaHead.from_buffer(shared.memory, PLACE)
        self._rows = (Holding * _HOLDINGS).from_buffer(shared.memory, _HOLDINGS_AT)

    def changed(self) -> None:
        """Has waiters look again."""
        self._head.changes = (self._head.changes + 1) & 0xFFFF_FFFF
        host_futex.wake(ctypes.addressof(self._head), _EVERYBODY)

    def wait(
        self, process: Process, attempt: Callable[[], _Result | None], timeout: int | None = None
    ) -> _Result | None:
        """Waits until the attempt returns a value; None if the time (ns) is over. Raises GuestError(EINTR), and the errors of the attempt."""
        deadline = None if timeout is None else process.clock.now + timeout
        word = ctypes.addressof(self._head)
        while True:
            seen = self._head.changes

            def once(seen: int = seen) -> tuple[_Result | None] | None:
                found = attempt()
                if found is not None:
                    return (found,)
                return (None,) if self._head.changes != seen else None

            left = None if deadline is None else max(deadline - process.clock.now, 0)
            answer = until(process, once, timeout=left, word=HostWord(word, seen) if process.clock.sleeps else None)
            if answer is None:
                return None
            if answer[0] is not None:
                return answer[0]

    def holdings(self, kind: int) -> Iterator[Holding]:
        for number in range(self._head.holdings):
            if self._rows[number].kind == kind:
                yield self._rows[number]

    def hold(self, kind: int, pid: int, identifier: int, index: int = 0, amount: int = 0) -> Holding:
        """Raises GuestError(ENOSPC)."""
        used = self._head.holdings
        number = next((n for n in range(used) if not self._rows[n].kind), used)
        if number >= _HOLDINGS:
            raise GuestError(errno.ENOSPC)
        self._head.holdings = max(used, number + 1)
        row = self._rows[number]
        row.pid, row.identifier, row.index, row.amount, row.kind = pid, identifier, index, amount, kind
        return row

    def of_ended(self, process: Process, kind: int) -> list[Holding]:
        """The holdings of processes that have ended."""
        runs: dict[int, bool] = {process.identity.pid: True}
        found = []
        for row in self.holdings(kind):
            if row.pid not in runs:
                runs[row.pid] = process.pids.runs(row.pid)
            if not runs[row.pid]:
                found.append(row)
        return found

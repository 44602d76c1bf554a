"""Sets of System V semaphores.

Source: ipc/sem.c of Linux.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Sequence
from typing import NamedTuple

from uselib.emulator.kernel.errors import GuestError
from uselib.emulator.kernel.ipc.area import PLACE, UNDO, Area
from uselib.emulator.kernel.ipc.segments import AFTER as _START
from uselib.emulator.kernel.ipc.table import IPC_NOWAIT, READ, WRITE, Objects, Slot, permissions, seconds
from uselib.emulator.kernel.process import Process

SEM_UNDO = 0o10000
VALUE_MOST, ADJUST_MOST = 32767, 32767  # SEMVMX, SEMAEM
SETS, PER_SET, PER_CALL = 128, 1024, 500  # PER_CALL: SEMOPM
_LIMIT = 32000  # SEMMSL


class Semaphore(ctypes.Structure):
    """pid: of the last who has changed it; rising, zero: how many wait for more, or for 0."""

    _fields_ = [
        ("value", ctypes.c_int32),
        ("pid", ctypes.c_int32),
        ("rising", ctypes.c_int32),
        ("zero", ctypes.c_int32),
    ]
    value: int
    pid: int
    rising: int
    zero: int


class SemaphoreSet(Slot):
    """operated: the time of the last semop."""

    _fields_ = [("operated", ctypes.c_int64), ("size", ctypes.c_uint32), ("semaphores", Semaphore * PER_SET)]  # noqa: RUF012 (read once, when the class is made)
    operated: int
    size: int
    semaphores: ctypes.Array[Semaphore]


AFTER = _START + (ctypes.sizeof(SemaphoreSet) * SETS + 4095) // 4096 * 4096


class Operation(NamedTuple):
    """struct sembuf."""

    semaphore: int
    amount: int
    flags: int


class _Blocked(Exception):
    """An operation has to wait. change: it waits for more, and not for 0."""

    def __init__(self, operation: Operation) -> None:
        super().__init__()
        self.operation = operation


class Semaphores:
    """Those of a run."""

    def __init__(self, area: Area) -> None:
        self.area = area
        self.objects: Objects[SemaphoreSet] = Objects(SemaphoreSet, area.memory, PLACE + _START, SETS)

    def reap(self, process: Process) -> None:
        """Carries out the undo amounts of processes that have ended. The lock is held."""
        rows = self.area.of_ended(process, UNDO)
        for row in rows:
            row.kind = 0
            try:
                found = self.objects.at(self.objects.number(row.identifier))
            except GuestError:
                continue
            semaphore = found.semaphores[row.index]
            semaphore.value = min(max(semaphore.value + row.amount, 0), VALUE_MOST)
            semaphore.pid = row.pid
            found.operated = seconds(process)
        if rows:
            self.area.changed()

    def get(self, process: Process, key: int, count: int, flags: int) -> int:
        if not 0 <= count <= _LIMIT:
            raise GuestError(errno.EINVAL)
        with self.area.lock:
            self.reap(process)
            found = self.objects.find(process, key, flags)
            if found is not None:
                if count > found[1].size:
                    raise GuestError(errno.EINVAL)
                return self.objects.identifier(found[0])
            if not count:
                raise GuestError(errno.EINVAL)
            if count > PER_SET:
                raise GuestError(errno.ENOSPC)
            number, made = self.objects.make(process, key, flags)
            made.size = count
            return self.objects.identifier(number)

    def operate(self, process: Process, identifier: int, operations: Sequence[Operation], timeout: int | None) -> None:
        """semtimedop(2). Raises GuestError."""
        changes = any(operation.amount for operation in operations)
        waiting: list[tuple[SemaphoreSet, Operation]] = []

        def attempt() -> bool | None:
            with self.area.lock:
                self._stop_waiting(waiting)
                self.reap(process)
                try:
                    _, found = self.objects.get(process, identifier, WRITE if changes else READ)
                except GuestError as failure:
                    if waiting_once and failure.errno == errno.EINVAL:
                        raise GuestError(errno.EIDRM) from None
                    raise
                if max(operation.semaphore for operation in operations) >= found.size:
                    raise GuestError(errno.EFBIG)
                try:
                    self._carry_out(process, identifier, found, operations)
                except _Blocked as blocked:
                    operation = blocked.operation
                    if operation.flags & IPC_NOWAIT:
                        raise GuestError(errno.EAGAIN) from None
                    self._start_waiting(waiting, found, operation)
                    waiting_once.append(True)
                    return None
                return True

        waiting_once: list[bool] = []
        try:
            if self.area.wait(process, attempt, timeout) is None:
                raise GuestError(errno.EAGAIN)
        finally:
            if waiting:
                with self.area.lock:
                    self._stop_waiting(waiting)

    @staticmethod
    def _start_waiting(
        waiting: list[tuple[SemaphoreSet, Operation]], found: SemaphoreSet, operation: Operation
    ) -> None:
        semaphore = found.semaphores[operation.semaphore]
        if operation.amount:
            semaphore.rising += 1
        else:
            semaphore.zero += 1
        waiting.append((found, operation))

    @staticmethod
    def _stop_waiting(waiting: list[tuple[SemaphoreSet, Operation]]) -> None:
        for found, operation in waiting:
            semaphore = found.semaphores[operation.semaphore]
            if operation.amount:
                semaphore.rising = max(semaphore.rising - 1, 0)
            else:
                semaphore.zero = max(semaphore.zero - 1, 0)
        waiting.clear()

    def _carry_out(
        self, process: Process, identifier: int, found: SemaphoreSet, operations: Sequence[Operation]
    ) -> None:
        """All operations or none. Raises _Blocked, GuestError(ERANGE)."""
        pid = process.identity.pid
        values: dict[int, int] = {}
        undo: dict[int, int] = {}
        for operation in operations:
            index, amount = operation.semaphore, operation.amount
            value = values.get(index, found.semaphores[index].value)
            if (amount and value + amount < 0) or (not amount and value):
                raise _Blocked(operation)
            if value + amount > VALUE_MOST:
                raise GuestError(errno.ERANGE)
            values[index] = value + amount
            if operation.flags & SEM_UNDO and amount:
                undo[index] = undo.get(index, 0) - amount
        for index, amount in undo.items():
            self._note_undo(pid, identifier, index, amount)
        for index, value in values.items():
            found.semaphores[index].value = value
            found.semaphores[index].pid = pid
        found.operated = seconds(process)
        self.area.changed()

    def _note_undo(self, pid: int, identifier: int, index: int, amount: int) -> None:
        for row in self.area.holdings(UNDO):
            if (row.pid, row.identifier, row.index) == (pid, identifier, index):
                if not -ADJUST_MOST - 1 <= row.amount + amount <= ADJUST_MOST:
                    raise GuestError(errno.ERANGE)
                row.amount += amount
                if not row.amount:
                    row.kind = 0
                return
        self.area.hold(UNDO, pid, identifier, index, amount)

    def set_values(self, process: Process, number: int, values: dict[int, int]) -> None:
        """SETVAL, SETALL: pending undo amounts are dropped. The lock is held."""
        found, identifier = self.objects.at(number), self.objects.identifier(number)
        for row in self.area.holdings(UNDO):
            if row.identifier == identifier and row.index in values:
                row.kind = 0
        for index, value in values.items():
            found.semaphores[index].value, found.semaphores[index].pid = value, process.identity.pid
        found.changed = seconds(process)
        self.area.changed()

    def remove(self, number: int) -> None:
        """IPC_RMID: waiters get EIDRM. The lock is held."""
        identifier = self.objects.identifier(number)
        for row in self.area.holdings(UNDO):
            if row.identifier == identifier:
                row.kind = 0
        self.objects.free(number)
        self.area.changed()

    def status(self, number: int) -> dict[str, int | bytes]:
        """struct semid64_ds."""
        found = self.objects.at(number)
        return permissions(found) | {"otime": found.operated, "ctime": found.changed, "nsems": found.size}

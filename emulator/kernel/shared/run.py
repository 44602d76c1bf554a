"""RunShared: memory, lock and store of a run."""

from __future__ import annotations

import mmap
from collections.abc import Callable

from uselib.linker.quick_typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from uselib.emulator.kernel.shared.lock import RunLock
    from uselib.emulator.kernel.shared.store import DescriptorStore

SIZE = 64 << 20  # bytes; only pages that are used take memory
SOCKETS = (0, 16 << 20)  # offset and size of the tables of sockets.table
IPC = (16 << 20, 32 << 20)  # likewise of the System V IPC objects
FILES = (48 << 20, 1 << 20)  # of the names in /dev/shm
QUEUES = (49 << 20, 8 << 20)  # of the message queues of mq_open

REQUESTS = (57 << 20, 1 << 16)  # of what a process asks another one

_Part = TypeVar("_Part")


class RunShared:
    """It is made when it is first asked for, and at the latest before the first fork. parts: what the families of calls keep in it."""

    def __init__(self) -> None:
        self._memory: mmap.mmap | None = None
        self._parts: dict[object, Any] = {}
        # What the families of calls do, by their own keys: in the parent after a fork, in the child, and after an execve
        self.before_fork: dict[object, Callable[[], None]] = {}
        self.in_child: dict[object, Callable[[], None]] = {}
        self.after_exec: dict[object, Callable[[], None]] = {}

    def open(self) -> None:
        if self._memory is None:
            from uselib.emulator.kernel.shared.lock import RunLock
            from uselib.emulator.kernel.shared.store import DescriptorStore

            self._memory = mmap.mmap(-1, SIZE)
            self._lock, self._store = RunLock(), DescriptorStore()

    @property
    def memory(self) -> mmap.mmap:
        self.open()
        assert self._memory is not None
        return self._memory

    @property
    def lock(self) -> RunLock:
        self.open()
        return self._lock

    @property
    def store(self) -> DescriptorStore:
        self.open()
        return self._store

    def part(self, make: Callable[[RunShared], _Part]) -> _Part:
        """The object that `make` gives for this run. It is made once in each process."""
        found: _Part | None = self._parts.get(make)
        if found is None:
            found = self._parts[make] = make(self)
        return found

    def named(self, name: str, make: Callable[[RunShared], _Part]) -> _Part:
        """As `part`, by a name."""
        if name not in self._parts:
            self._parts[name] = make(self)
        found: _Part = self._parts[name]
        return found

    def close(self) -> None:
        """Frees everything. The process that made it calls this when the run is over."""
        self._parts.clear()
        if self._memory is not None:
            self._lock.close()
            self._store.close()
            self._memory = None

"""A lock between the processes of a run. It is a record lock (fcntl(2)), so the host releases it when its holder is killed."""

from __future__ import annotations

import fcntl
import os
from types import TracebackType


class RunLock:
    """A process must not take the lock twice, and must not hold it while the guest waits."""

    def __init__(self) -> None:
        self._fd = os.memfd_create("lock", os.MFD_CLOEXEC)

    def __enter__(self) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1)

    def __exit__(
        self, kind: type[BaseException] | None, what: BaseException | None, where: TracebackType | None
    ) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1)

    def close(self) -> None:
        os.close(self._fd)

"""Writing large pieces of a file on another core, while the program goes on: the kernel's copy of 64 bytes takes longer than
recording them. Small pieces are written at once."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Sequence

Part = bytes | bytearray | memoryview

_LARGE = 1 << 17  # bytes: less is not worth a thread
_PIECES = 4  # that may wait: the bound on memory


def write_all(fd: int, parts: Sequence[Part]) -> None:
    """One write to a descriptor in append mode; more only where the disk is full, and then it raises OSError."""
    size = sum(len(part) for part in parts)
    written = os.writev(fd, parts)
    while written < size:
        written += os.write(fd, b"".join(parts)[written:])


class BackgroundWriter:
    """Writes pieces to `fd` in their order. Errors (OSError) come from the next call of any method, and nothing is written
    after one. Of a process that forks, the child makes a new one after its parent's `flush`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._changed = threading.Condition()
        self._waiting: deque[tuple[bytearray, int]] = deque()  # buffer, bytes of it; the first is being written
        self._free: list[bytearray] = []
        self._failure: OSError | None = None
        self._thread: threading.Thread | None = None

    def write(self, *parts: Part) -> None:
        """The parts may be overwritten afterwards. Raises OSError."""
        size = sum(len(part) for part in parts)
        if size < _LARGE:
            self.flush()
            write_all(self._fd, parts)
            return
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < _PIECES or self._failure is not None)
            self._check()
            buffer = self._free.pop() if self._free else bytearray()
        if len(buffer) < size:
            buffer = bytearray(size)
        at = 0
        for part in parts:
            buffer[at : at + len(part)] = part
            at += len(part)
        with self._changed:
            self._waiting.append((buffer, size))
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="trace writer", daemon=True)
            self._thread.start()

    def flush(self) -> None:
        """Waits until everything is written. Raises OSError."""
        if self._thread is not None:
            with self._changed:
                self._changed.wait_for(lambda: not self._waiting or self._failure is not None)
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the guest's, and the main thread's
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                buffer, size = self._waiting[0]
            try:
                write_all(self._fd, (memoryview(buffer)[:size],))
            except OSError as failure:
                self._failure = failure
            with self._changed:
                self._waiting.popleft()
                self._free.append(buffer)
                self._changed.notify_all()
                if self._failure is not None:
                    return

"""Where a trace goes: a renderer and a file descriptor. To stderr line by line, so that it keeps its place among what the
program writes there; to a file in large pieces."""

from __future__ import annotations

import os
from collections.abc import Callable

from emulator.trace.events import Event

_BUFFER = 1 << 16


class Output:
    """sink and close for a Recorder. path: None for stderr. Raises OSError."""

    def __init__(self, render: Callable[[Event], str], path: str | None) -> None:
        self._render = render
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC  # children of a fork append too
        self._fd = 2 if path is None else os.open(path, flags, 0o666)
        self._limit = 0 if path is None else _BUFFER
        self._pending: list[str] = []
        self._size = 0

    def sink(self, event: Event) -> None:
        text = self._render(event)
        self._pending.append(text)
        self._size += len(text)
        if self._size > self._limit:
            self.flush()

    def flush(self) -> None:
        data = "".join(self._pending).encode("utf-8", "backslashreplace")
        self._pending.clear()
        self._size = 0
        while data:
            data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        self.flush()
        if self._fd != 2:
            os.close(self._fd)
            self._fd = 2

"""Where the text of a live trace goes: a file descriptor. To stderr at once, so that it keeps its place among what the program
writes there; to a file in large pieces."""

from __future__ import annotations

import os

_BUFFER = 1 << 16


class Output:
    """path: None for stderr. Raises OSError."""

    def __init__(self, path: str | None) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC  # children of a fork append too
        self._fd = 2 if path is None else os.open(path, flags, 0o666)
        self.immediate = path is None
        self._pending: list[str] = []
        self._size = 0

    def write(self, text: str) -> None:
        """Kept until `flush`, or until there is much of it."""
        self._pending.append(text)
        self._size += len(text)
        if self._size > _BUFFER:
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

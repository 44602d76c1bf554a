"""ProcessOutput: what one process of a trace writes to the sink that all of them share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from uselib.emulator.trace.store.format import Batch, ChunkKind
from uselib.emulator.trace.store.sinks import ProcessNumbers, TraceSink


class ProcessOutput:
    """index: the number of the process in the trace; failed: nothing more is written. An error of the sink ends the trace and not the
    program: it is said once, what has been written stays readable, and `on_failure` is called."""

    def __init__(self, sink: TraceSink, on_failure: Callable[[], None]) -> None:
        self._sink, self._on_failure = sink, on_failure
        self._numbers = ProcessNumbers()
        self.failed = False
        self._child = 0
        self.index = 0

    @property
    def incomplete(self) -> bool:
        """Whether this process or one that it has forked could not write everything."""
        return self._numbers.failed

    @property
    def live(self) -> bool:
        """Whether events come out before the program goes on with a system call."""
        return self._sink.live

    def next_process(self) -> None:
        """What follows is of another process."""
        self.index = self._numbers.next()

    def describe(self, kind: ChunkKind, value: dict[str, Any]) -> None:
        self._write(lambda: self._sink.describe(kind, value, self.index))

    def batch(self, batch: Batch) -> None:
        self._write(lambda: self._sink.batch(batch, self.index))

    def before_fork(self) -> None:
        self._child = self._numbers.next()
        self._write(self._sink.flush)

    def forked(self) -> None:
        """This is the child."""
        self.index = self._child
        self._sink.forked()

    def close(self) -> None:
        try:
            self._sink.close()
        except OSError as failure:
            self._cannot_write(failure)

    def _write(self, write: Callable[[], None]) -> None:
        if self.failed:
            return
        try:
            write()
        except OSError as failure:
            self._cannot_write(failure)

    def _cannot_write(self, failure: OSError) -> None:
        self._numbers.failed = True
        if not self.failed:
            reason = failure.strerror or str(failure)
            print(f"uselib: trace: {reason}: nothing more is recorded", file=sys.stderr, flush=True)
        self.failed = True
        self._on_failure()

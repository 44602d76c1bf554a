"""`uselib run --schedules N`: the program in N orders of its threads, each in a run of its own, until one ends in another way.

The first run has the order that a run without an option has; the others have the seeds 1 to N (kernel/threads/order.py). What is
compared is how the program ends: its status, or the signal that kills it (a deadlock counts as SIGKILL). Output is not shown.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

DIFFERENT = 4  # exit status, as of `uselib abi run`
_KILLED = 128


class RunEnding(NamedTuple):
    """How a run has ended. seed: None for the order without an option; line: the last line of its standard error."""

    seed: int | None
    status: int
    line: str

    @property
    def words(self) -> str:
        """`status 3`, `status 134 (SIGABRT)`."""
        number = self.status - _KILLED
        name = signal.Signals(number).name if number in set(signal.Signals) else ""
        return f"status {self.status}" + (f" ({name})" if name else "")


def _command(words: Sequence[str], seed: int | None) -> list[str]:
    return ["uselib", "run", *([] if seed is None else ["--schedule", str(seed)]), *words]


def _run(words: Sequence[str], seed: int | None, given: bytes) -> RunEnding:
    command = [sys.executable, "-m", "uselib.cli", *_command(words, seed)[1:]]
    done = subprocess.run(command, input=given, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    status = done.returncode if done.returncode >= 0 else _KILLED - done.returncode
    return RunEnding(seed, status, lines[-1] if lines else "")


def _endings(words: Sequence[str], count: int, given: bytes, jobs: int) -> Iterator[RunEnding]:
    """In the order of the seeds. As many runs at a time as `jobs`."""
    seeds = [None, *range(1, count + 1)]
    with ThreadPoolExecutor(jobs) as pool:
        for first in range(0, len(seeds), jobs):
            yield from pool.map(lambda seed: _run(words, seed, given), seeds[first : first + jobs])


def explore(words: Sequence[str], count: int, *, alone: bool) -> int:
    """words: of `uselib run`, without --schedules. alone: one run at a time, since they write to the same files. Returns the exit status:
    that of all runs if they end alike, else DIFFERENT."""
    given = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
    first: RunEnding | None = None
    for ending in _endings(words, count, given, 1 if alone else os.cpu_count() or 1):
        first = first or ending
        if ending.status == first.status:
            continue
        print(f"--schedule {ending.seed} ends with {ending.words}, the order without --schedule with {first.words}")
        if ending.line:
            print(f"  {ending.line}")
        print(f"repeat it: {shlex.join(_command(words, ending.seed))}")
        return DIFFERENT
    assert first is not None
    print(f"{count} schedules: all end with {first.words}")
    return first.status

"""The job of one side of a comparison (SideJob), and the finished run on disk (SideRun): the contract between side.py and comparisons."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uselib.abi.dynamic.run.data_watch import Watched
from uselib.abi.dynamic.run.digest import KEPT, ComparedWordsAt
from uselib.emulator.process.run_options import RunOptions
from uselib.emulator.trace.record.backend import Want

GUEST_DIRECTORY = "/.uselib-abi"
MOST_CALLS = 1 << 23  # recorded of one process; 64 bytes each, and as much for returns

_LIMITS = ("--max-instructions", "--max-seconds", "--max-memory")

NameWants = Callable[[str], tuple[int, tuple[Want, ...]]]


@dataclass(frozen=True)
class SideJob:
    """The job of one side. names: file names of the library, for its directory. bound: slot address -> the function that the program is bound
    to. wants: function -> argument words and what to copy.
    """

    directory: str
    library: str
    names: tuple[str, ...]
    base: int
    end: int
    options: RunOptions
    bound: dict[int, str]
    wants: NameWants
    watched: Watched  # exported data
    shape: ComparedWordsAt
    kept: int = KEPT  # records of a process in the trace file
    calls: int = MOST_CALLS  # calls of a process that are recorded at all


@dataclass(frozen=True)
class SideEnd:
    """How the main process ended. reason: what ended it, if no signal of its own did. error: why it could not be started."""

    status: int = 0
    signal: int = 0
    reason: str = ""
    error: str = ""


@dataclass
class SideRun:
    """A finished side, still on disk."""

    job: SideJob
    end: SideEnd
    stdout: bytes
    stderr: bytes
    files: dict[str, str]

    @property
    def trace(self) -> str:
        return os.path.join(self.job.directory, "trace")

    @property
    def limit(self) -> str:
        """The option whose limit ended it, or empty."""
        reason = self.end.reason
        return next((option for option in _LIMITS if reason and option in reason), "")

    def effects(self, process: int) -> tuple[dict[str, int], list[tuple[int, str]]]:
        """The system calls of a process by name, and those that change something: (latest event before it, text)."""
        found = self._load("effects", process)
        return (found["counts"], found["effects"]) if found else ({}, [])

    def data(self, process: int) -> dict[str, Any]:
        """The uses of exported data by a process: `rows` and `log` (data_watch.py)."""
        return self._load("data", process) or {"rows": [], "log": [], "lost": 0, "maps": []}

    def summary(self, process: int) -> dict[str, Any]:
        """Digests and counts of the events of a process (digest.py)."""
        return self._load("summary", process) or {"digests": [], "counts": [], "events": 0, "whole": True}

    def _load(self, kind: str, process: int) -> dict[str, Any]:
        try:
            with open(os.path.join(self.job.directory, f"{kind}-{process}.json")) as file:
                found: dict[str, Any] = json.load(file)
                return found
        except (OSError, ValueError):
            return {}

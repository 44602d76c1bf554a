"""`uselib` as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.paths import ROOT

Ran = subprocess.CompletedProcess[str]


def environment() -> dict[str, str]:
    """This process's, with the project's modules and without a path of libraries."""
    outer = os.environ | {"PYTHONPATH": str(ROOT)}
    outer.pop("LD_LIBRARY_PATH", None)
    return outer


def uselib(*words: str | Path, cwd: Path | None = None, timeout: float = 60) -> Ran:
    """Runs the command; standard input is empty."""
    return subprocess.run(
        [sys.executable, "-m", "uselib.cli", *map(str, words)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=timeout,
    )


def printed(*words: str | Path, cwd: Path | None = None, timeout: float = 120) -> str:
    """Runs the command, which must succeed; what it prints."""
    done = uselib(*words, cwd=cwd, timeout=timeout)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    return done.stdout

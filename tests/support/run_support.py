"""`uselib run` as a user starts it, and small C programs built once per test run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.paths import ROOT


def environment() -> dict[str, str]:
    outer = os.environ | {"PYTHONPATH": str(ROOT)}
    outer.pop("LD_LIBRARY_PATH", None)
    return outer


def uselib(*words: str | Path, cwd: Path | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Runs the command; standard input is empty."""
    return subprocess.run(
        [sys.executable, "-m", "uselib.cli", *map(str, words)],
        cwd=cwd, env=environment(), capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
        timeout=timeout,
    )  # fmt: skip

"""Timing of commands, peers that may be absent, and Markdown tables.

A time is the best of several runs: on a shared machine the minimum is the least disturbed. Ratios are of times from the same run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

USELIB = [sys.executable, "-m", "emulator.cli"]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "uselib-benchmarks"

# spawns a command N times and prints the mean in microseconds: Python's own subprocess costs more than what we measure
SPAWN_C = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
extern char **environ;
int main(int argc, char **argv)
{
    int runs = atoi(argv[1]);
    double best = 1e9;
    for (int i = 0; i < runs; i++) {
        struct timespec a, b;
        int status;
        pid_t child;
        clock_gettime(CLOCK_MONOTONIC, &a);
        if (posix_spawn(&child, argv[2], 0, 0, argv + 2, environ)) return 1;
        waitpid(child, &status, 0);
        clock_gettime(CLOCK_MONOTONIC, &b);
        if (status) return 2;
        double t = (b.tv_sec - a.tv_sec) * 1e6 + (b.tv_nsec - a.tv_nsec) / 1e3;
        if (t < best) best = t;
    }
    printf("%f\n", best);
    return 0;
}
"""


@dataclass(frozen=True)
class Row:
    """One line of a table: what ran, its seconds (None: the peer is not here), and a note."""

    label: str
    seconds: float | None
    note: str = ""


def best(command: Sequence[str | Path], runs: int = 5, environment: dict[str, str] | None = None) -> float:
    """Wall-clock seconds of a command, the best of `runs`. Raises CalledProcessError with its output if it fails."""
    shortest = float("inf")
    for _ in range(runs):
        begin = time.perf_counter()
        subprocess.run(
            [str(word) for word in command], check=True, capture_output=True, env={**os.environ, **(environment or {})}
        )
        shortest = min(shortest, time.perf_counter() - begin)
    return shortest


def interleaved(commands: Sequence[Sequence[str | Path] | None], runs: int) -> list[float | None]:
    """best() of several commands, run in turns: a machine's slow spells then meet all of them alike. None stays None."""
    times: list[list[float]] = [[] for _ in commands]
    for _ in range(runs):
        for command, measured in zip(commands, times, strict=True):
            if command is not None:
                measured.append(best(command, 1))
    return [min(measured) if measured else None for measured in times]


def spawn_seconds(
    directory: Path, command: Sequence[str | Path], runs: int = 300, environment: dict[str, str] | None = None
) -> float:
    """Seconds to spawn a short command and wait for it, best of `runs`, measured by a small C program."""
    tool = directory / "spawn"
    if not tool.exists():
        source = directory / "spawn.c"
        source.write_text(SPAWN_C)
        subprocess.run(["gcc", "-O2", source, "-o", tool], check=True)
    ran = subprocess.run(
        [tool, str(runs), *map(str, command)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    return float(ran.stdout.splitlines()[-1]) / 1e6


def uselib(*arguments: str | Path) -> None:
    """Runs our own command line; its output is shown only if it fails."""
    ran = subprocess.run([*USELIB, *map(str, arguments)], capture_output=True, text=True)
    if ran.returncode:
        sys.exit(f"uselib {' '.join(map(str, arguments))}\n{ran.stdout}{ran.stderr}")


def sysroot(directory: Path, arch: str, libc: str) -> Path:
    """A sysroot in `directory`, made once."""
    path = directory / f"{libc}-{arch}"
    if not path.exists():
        uselib("sysroot", path, "--arch", arch, "--libc", libc)
    return path


def qiling_python() -> Path | None:
    """The interpreter of a virtual environment with Qiling 1.4.6 (made on first use), or None where it cannot be installed."""
    directory = CACHE / "qiling"
    python = directory / "bin" / "python"
    if not python.exists():
        venv.create(directory, with_pip=True)
        if subprocess.run([python, "-m", "pip", "install", "-q", "qiling==1.4.6"], capture_output=True).returncode:
            shutil.rmtree(directory)
            return None
    return python


def tool(name: str) -> str | None:
    """Path of a peer's command, or None."""
    return shutil.which(name)


def workspace() -> tempfile.TemporaryDirectory[str]:
    """A directory for the files of one benchmark."""
    return tempfile.TemporaryDirectory(prefix="uselib-bench-")


def table(title: str, rows: Sequence[Row], ours: str) -> None:
    """Prints a Markdown table of milliseconds and of ours divided by each peer's."""
    reference = next(row.seconds for row in rows if row.label == ours)
    print(f"\n### {title}\n\n| what | ms | ours / it | |\n|---|---:|---:|---|")
    for row in rows:
        if row.seconds is None:
            print(f"| {row.label} | - | - | not installed |")
        else:
            ratio = "" if row.label == ours or reference is None else f"{reference / row.seconds:.2f}"
            print(f"| {row.label} | {row.seconds * 1000:.2f} | {ratio} | {row.note} |")
    sys.stdout.flush()

"""Timing of commands, peers that may be absent, and Markdown tables.

A time is the best of several runs: on a shared machine the minimum is the least disturbed. Peers are run in turns, and ratios
are of times from the same run. Beside wall-clock time stands CPU time (user and system, of the command and its children, from
wait4(2)): what other processes do to the machine hardly shows in it.
Python's byte code is cached, as it is for a user, even if PYTHONDONTWRITEBYTECODE is set here.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

USELIB = [sys.executable, "-m", "uselib.cli"]
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
    """One line of a table: what ran, its wall-clock seconds (None: the peer is not here), a note, and its CPU seconds."""

    label: str
    seconds: float | None
    note: str = ""
    cpu: float | None = None


def _timed(command: Sequence[str | Path], environment: dict[str, str] | None) -> tuple[float, float]:
    """Wall-clock and CPU seconds of one run. Raises CalledProcessError with its output if it fails."""
    variables = {**os.environ, **(environment or {})}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([str(word) for word in command], check=True, capture_output=True, env=variables)
    end, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    return end - begin, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def consumed(command: Sequence[str | Path]) -> tuple[float, int]:
    """CPU seconds (user and system) of one run, and the most memory that it had resident, in bytes."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, env=variables)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def best(command: Sequence[str | Path], runs: int = 5, environment: dict[str, str] | None = None) -> float:
    """Wall-clock seconds of a command, the best of `runs`. Raises CalledProcessError with its output if it fails."""
    return min(_timed(command, environment)[0] for _ in range(runs))


def interleaved(labels: Sequence[str], commands: Sequence[Sequence[str | Path] | None], runs: int) -> list[Row]:
    """A row for each command, the best of `runs` in turns: a machine's slow spells then meet all of them alike. A first turn
    is not counted: it fills the caches of files. No command: a peer that is not here."""
    times: list[list[tuple[float, float]]] = [[] for _ in commands]
    for _ in range(1 + runs):
        for command, measured in zip(commands, times, strict=True):
            if command is not None:
                measured.append(_timed(command, None))
    rows = []
    for label, measured in zip(labels, times, strict=True):
        wall, cpu = ([taken[index] for taken in measured[1:]] for index in (0, 1))
        rows.append(Row(label, min(wall), cpu=min(cpu)) if measured else Row(label, None))
    return rows


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
    """Prints a Markdown table of milliseconds and of ours divided by each peer's; of CPU time too, where it was measured."""
    reference = next(row for row in rows if row.label == ours)
    cpu = any(row.cpu is not None for row in rows)
    print(f"\n### {title}\n\n| what | ms | ours / it |{' CPU ms | ours / it |' if cpu else ''} |")
    print(f"|---|---:|---:|{'---:|---:|' if cpu else ''}---|")
    for row in rows:
        cells = _cells(row.seconds, reference.seconds, row is reference)
        if cpu:
            cells += _cells(row.cpu, reference.cpu, row is reference)
        print(f"| {row.label} | {' | '.join(cells)} | {row.note if row.seconds is not None else 'not installed'} |")
    sys.stdout.flush()


def _cells(seconds: float | None, reference: float | None, ours: bool) -> list[str]:
    if seconds is None or reference is None:
        return ["-", "-"]
    return [f"{seconds * 1000:.2f}", "" if ours or not seconds else f"{reference / seconds:.2f}"]

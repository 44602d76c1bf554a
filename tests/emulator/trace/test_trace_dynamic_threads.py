"""Traces of dynamic programs with threads: whose each event is, in every view that says it, and the same in every run."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.dynamic import SOURCES, build
from support.paths import ROOT


def uselib(*words: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "uselib.cli", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(
    params=[
        "pie",
        pytest.param("musl", marks=pytest.mark.slow),
        pytest.param("i386-pie", marks=pytest.mark.slow),
    ]
)
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return build(request.param, SOURCES / "debugged.c", tmp_path / "debugged", "-pthread")


def test_thread_numbers(program: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    uselib("trace", "record", "--returns", "--bindings", "-o", trace, "--root", "/", "--from", "debugged", program)
    rows = [json.loads(line) for line in uselib("trace", "export", "--format", "jsonl", trace).splitlines()]
    threads = {row["symbol"].partition("@")[0]: row.get("thread") for row in rows if row["event"] == "call"}
    assert (threads["qsort"], threads["pthread_join"], threads["pthread_mutex_lock"]) == (1000, 1000, 1001)
    ended = {
        (row["symbol"].partition("@")[0], row["thread"]) for row in rows if row["event"] == "return" and "thread" in row
    }
    assert ("pthread_mutex_lock", 1001) in ended and ("qsort", 1000) in ended
    shown = uselib("trace", "show", trace)
    assert re.search(r"^ *\[1001\] .*pthread_mutex_lock", shown, re.M)
    assert re.search(r"^ *\[1000\] .*qsort", shown, re.M)
    table = list(csv.DictReader(io.StringIO(uselib("trace", "export", "--format", "csv", trace), newline="")))
    assert any(row["symbol"].startswith("qsort") for row in table)


@pytest.mark.parametrize("options", [(), ("--schedule", "3")], ids=["default", "schedule"])
def test_the_same_in_every_run(program: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Byte for byte; and the recorder does not change the order of the threads."""
    found = []
    for recorder in ((), (), ("--recorder", "python")):
        words = ("--bindings", "--returns", *recorder, "-o", tmp_path / "trace", *options, "--root", "/", program)
        uselib("trace", "record", *words)
        found.append((tmp_path / "trace").read_bytes())
    assert found[0] == found[1]
    assert found[0] == found[2]

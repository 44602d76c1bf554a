"""Traces of dynamic programs with threads: whose each event is, in every view that says it, and the same in every run."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.command import printed
from support.dynamic import SOURCES, build
from support.paths import ROOT


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
    printed("trace", "record", "--returns", "--bindings", "-o", trace, "--root", "/", "--from", "debugged", program)
    rows = [json.loads(line) for line in printed("trace", "export", "--format", "jsonl", trace).splitlines()]
    threads = {row["symbol"].partition("@")[0]: row.get("thread") for row in rows if row["event"] == "call"}
    assert (threads["qsort"], threads["pthread_join"], threads["pthread_mutex_lock"]) == (1000, 1000, 1001)
    ended = {
        (row["symbol"].partition("@")[0], row["thread"]) for row in rows if row["event"] == "return" and "thread" in row
    }
    assert ("pthread_mutex_lock", 1001) in ended and ("qsort", 1000) in ended
    shown = printed("trace", "show", trace)
    assert re.search(r"^ *\[1001\] .*pthread_mutex_lock", shown, re.M)
    assert re.search(r"^ *\[1000\] .*qsort", shown, re.M)
    table = list(csv.DictReader(io.StringIO(printed("trace", "export", "--format", "csv", trace), newline="")))
    assert any(row["symbol"].startswith("qsort") for row in table)


@pytest.mark.parametrize("options", [(), ("--schedule", "3")], ids=["default", "schedule"])
def test_the_same_in_every_run(program: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Byte for byte; and the recorder does not change the order of the threads."""
    found = []
    for recorder in ((), (), ("--recorder", "python")):
        words = ("--bindings", "--returns", *recorder, "-o", tmp_path / "trace", *options, "--root", "/", program)
        printed("trace", "record", *words)
        found.append((tmp_path / "trace").read_bytes())
    assert found[0] == found[1]
    assert found[0] == found[2]


# -- calls of threads between each other: each thread has a tree of its own ------------------------------------------------


@pytest.fixture(scope="module")
def interleaved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace with two threads inside qsort at the same time, and a library that one of them maps."""
    folder = tmp_path_factory.mktemp("interleaved")
    shared = ("-shared", "-fPIC", "-fno-builtin", "-DPLUGIN=1")
    plugin = build("pie", SOURCES / "traced_library.c", folder / "plugin.so", *shared)
    options = ("-pthread", "-fno-builtin", "-Wl,-z,lazy")
    program = build("pie", SOURCES / "threaded.c", folder / "threaded", *options)
    trace = folder / "trace"
    printed("trace", "record", "--returns", "--bindings", "-o", trace, "--root", "/", program, plugin)
    return trace


def lines_of(trace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed("trace", "export", "--format", "jsonl", trace).splitlines()]


def paths(rows: list[dict[str, Any]]) -> Counter[tuple[str, ...]]:
    """How often each path of calls was taken, by a stack for each thread: the functions that have versions."""
    stacks: dict[int, list[tuple[int, str]]] = {}
    found: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        if row["event"] not in ("call", "return"):
            continue
        stack = stacks.setdefault(row["thread"], [])
        while stack and stack[-1][0] >= row["depth"]:
            stack.pop()
        if row["event"] == "call":
            stack.append((row["depth"], row["symbol"]))
            if "@" in row["symbol"]:
                found[tuple(name for _, name in stack if "@" in name)] += 1
    return found


def test_trees_of_threads(interleaved: Path) -> None:
    rows = lines_of(interleaved)
    calls = [(row["thread"], row["symbol"].partition("@")[0]) for row in rows if row["event"] == "call"]
    first, second = (calls.index((thread, "qsort")) for thread in (1000, 1001))
    assert first < second < calls.index((1000, "strcmp")), "the threads must be inside qsort at the same time"
    found: Counter[tuple[str, ...]] = Counter()
    for line in printed("trace", "export", "--format", "folded", "--weight", "calls", interleaved).splitlines():
        path, _, weight = line.rpartition(" ")
        names = [name.partition("!")[2] for name in path.split(";") if "@" in name]
        if "@" in path.split(";")[-1]:  # else a calling function that leaves no events, or one without a version
            found[tuple(names)] += int(weight)
    expected = paths(rows)
    assert found == expected
    plain = {tuple(name.partition("@")[0] for name in path): count for path, count in found.items()}
    assert plain["__libc_start_main", "qsort", "strcmp"] == plain["qsort", "strcmp"] == 1


def test_summary_and_graph_of_threads(interleaved: Path) -> None:
    rows = lines_of(interleaved)
    summary = json.loads(printed("trace", "summary", "--json", interleaved))
    returned = [row for row in rows if row["event"] == "return" and row["symbol"].startswith("qsort")]
    qsort = next(row for row in summary["functions"] if row["symbol"].startswith("qsort"))
    assert (qsort["calls"], qsort["unfinished"]) == (2, 0)
    assert qsort["total"] == sum(row["duration"] for row in returned)
    text = printed("trace", "graph", "--function", "strcmp*", "--callers", interleaved)
    assert re.search(r"2 .*strcmp", text) and re.search(r"2 .*compare", text) and re.search(r"2 .*qsort", text)
    assert "barrier" not in text


def test_show_of_threads(interleaved: Path) -> None:
    text = printed("trace", "show", "--from", "threaded", interleaved)
    assert re.search(r"^\[1000\] +compare -> \S*pthread_barrier_wait\S*\(.*\) \.\.\.$", text, re.M)
    assert re.search(r"^\[1000\] +\.\.\. = -?\d+ <\d+>  \S*pthread_barrier_wait", text, re.M)
    only = printed("trace", "show", "--thread", "1001", interleaved).splitlines()
    assert only and all(line.startswith("[1001] ") for line in only)
    assert any("plugin.so!plugin_step(" in line for line in only)
    bound = [line for line in only if " binds pthread_barrier_wait" in line]
    assert not bound, "the first thread called it first"


def test_no_such_thread(interleaved: Path) -> None:
    command = [sys.executable, "-m", "uselib.cli", "trace", "show", "--thread", "7", str(interleaved)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2 and "there is no thread 7 in it; there are 1000, 1001" in done.stderr


def test_export_of_threads(interleaved: Path) -> None:
    """csv: a column; chrome: each thread's slices are nested by themselves."""
    table = list(csv.DictReader(io.StringIO(printed("trace", "export", "--format", "csv", interleaved), newline="")))
    rows = [row for row in lines_of(interleaved) if row["event"] not in ("trace", "process", "end")]
    assert [row["thread"] for row in table] == [str(row["thread"]) for row in rows]
    assert {row["thread"] for row in table if row["event"] == "binding"} == {"1000", "1001"}
    document = json.loads(printed("trace", "export", "--format", "chrome", interleaved))
    stacks: dict[int, list[str]] = {}
    nested = set()
    for event in document["traceEvents"]:
        stack = stacks.setdefault(event["tid"], [])
        if event["ph"] == "B":
            stack.append(event["name"].partition("@")[0])
            nested.add((event["tid"], *stack))
        elif event["ph"] == "E":
            stack.pop()
    assert all(not stack for stack in stacks.values())
    assert {(1000, "__libc_start_main", "qsort", "strcmp"), (1001, "qsort", "strcmp")} <= nested
    names = {event["args"]["name"] for event in document["traceEvents"] if event.get("name") == "thread_name"}
    assert names == {"thread 1000", "thread 1001"}


def difference(*words: str | Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "uselib.cli", "trace", "diff", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert not done.stderr
    return done.returncode, done.stdout


def test_diff_of_threads(interleaved: Path, tmp_path: Path) -> None:
    """Another order of threads is no difference; another call in one of them is, in that thread."""
    program = Path(lines_of(interleaved)[1]["program"])
    one, other, fewer = (tmp_path / name for name in ("one", "other", "fewer"))

    def record(trace: Path, symbols: str, *options: str) -> None:
        words = ("--returns", "--from", "threaded", "--symbol", symbols, *options)
        printed("trace", "record", *words, "-o", trace, "--root", "/", program, program.parent / "plugin.so")

    record(one, "[!_]*")
    record(other, "[!_]*", "--schedule", "3")
    assert lines_of(one) != lines_of(other)
    assert difference("--values", "none", one, other) == (0, "")
    record(fewer, "[!_d]*")  # without dlopen and dlsym, which only one thread calls
    status, said = difference("--json", one, fewer)
    assert status == 1
    rows = [(row["thread"], row["only_a"], row["only_b"]) for row in json.loads(said)["processes"]]
    assert rows == [(1000, 0, 0), (1001, 2, 0)]
    assert "threaded (1000), thread 1001: " in difference(one, fewer)[1]


def test_versions_are_those_that_are_bound(interleaved: Path) -> None:
    """Of two versions at one address (pthread_create@GLIBC_2.34, and @GLIBC_2.2.5 for old programs), and by the thread that called."""
    rows = [row for row in lines_of(interleaved) if "threaded" in (row.get("referrer"), row.get("caller_file"))]
    bound = {row["symbol"]: row["thread"] for row in rows if row["event"] == "binding" and row["when"] == "first call"}
    calls = [(row["symbol"], row["thread"]) for row in rows if row["event"] == "call"]
    first = {name: thread for name, thread in reversed(calls) if name in bound}
    assert first == bound and {"pthread_create@GLIBC_2.34", "dlopen@GLIBC_2.34"} <= bound.keys()

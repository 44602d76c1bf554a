"""`uselib trace diff`: alignment against a brute-force oracle, found differences in made ones, exit statuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.command import uselib
from support.trace_writer import NAMES, TraceBuilder, caller_of, random_tree, repeated, small
from uselib.trace.reading.align import Budget, align
from uselib.trace.reading.diff import all_bits, compare
from uselib.trace.reading.flow import differences, equal_runs
from uselib.trace.reading.flow_reading import Flow
from uselib.trace.reading.model import TracedProcess, TraceFile

sequences = st.lists(st.integers(0, 5), max_size=60)


def common_subsequence(a: list[int], b: list[int]) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        previous = 0
        for j, y in enumerate(b):
            previous, row[j + 1] = row[j + 1], previous + 1 if x == y else max(row[j + 1], row[j])
    return row[-1]


@given(sequences, sequences)
def test_alignment_is_a_shortest_one(a: list[int], b: list[int]) -> None:
    matches = align(np.array(a, np.uint32), np.array(b, np.uint32), Budget())
    i = j = total = 0
    for match in matches:
        assert match.i >= i and match.j >= j and match.count > 0
        i, j = match.i + match.count, match.j + match.count
        assert a[match.i : i] == b[match.j : j]
        total += match.count
    assert i <= len(a) and j <= len(b)
    if len(a) + len(b) - 2 * total <= 60:
        # the common beginning and end are in some longest common subsequence, so cutting them off loses nothing
        assert total == common_subsequence(a, b)


def test_alignment_finds_scattered_edits_in_a_million() -> None:
    random = np.random.default_rng(7)
    a = random.integers(0, 4, 1_000_000).astype(np.uint32)  # few different functions: no element is unique
    cut = np.sort(random.choice(len(a), 500, replace=False))
    b = np.delete(a, cut)
    matches = align(a, b, Budget())
    assert sum(m.count for m in matches) >= len(b) - 3000


def test_alignment_of_nothing_alike_gives_up() -> None:
    a, b = np.arange(100_000, dtype=np.uint32), np.arange(100_000, 200_000, dtype=np.uint32)
    assert align(a, b, Budget()) == []


# -- trees ------------------------------------------------------------------------------------------------------------


def flow_of(rows: list[tuple[int, int]]) -> Flow:
    token = np.array([r[0] for r in rows], np.uint32)
    level = np.array([r[1] for r in rows], np.uint16)
    zero = np.zeros(len(rows), np.uint64)
    return Flow(TracedProcess(0), token, level, np.arange(1, len(rows) + 1, dtype=np.uint64), zero, zero)


@st.composite
def trees(draw: st.DrawFn) -> list[tuple[int, int]]:
    rows, level = [], 0
    for step in draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=40)):
        level = min(level + 1, step[1]) if rows else 0
        rows.append((step[0], level))
    return rows


@given(trees(), trees())
def test_any_two_trees_align(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    x, y = flow_of(a), flow_of(b)
    hunks = differences(x, y)
    assert (not hunks) == (a == b)
    for i, j, count in equal_runs(x, y, hunks):
        assert [r[0] for r in a[i : i + count]] == [r[0] for r in b[j : j + count]]
        assert [r[1] for r in a[i : i + count]] == [r[1] for r in b[j : j + count]]


@given(trees(), st.data())
@settings(max_examples=60)
def test_a_removed_subtree_is_all_that_differs(a: list[tuple[int, int]], data: st.DataObject) -> None:
    if not a:
        return
    at = data.draw(st.integers(0, len(a) - 1))
    end = next((n for n in range(at + 1, len(a)) if a[n][1] <= a[at][1]), len(a))
    hunks = differences(flow_of(a), flow_of(a[:at] + a[end:]))
    assert sum(h.a1 - h.a0 for h in hunks) == end - at
    assert sum(h.b1 - h.b0 for h in hunks) == 0


# -- traces -----------------------------------------------------------------------------------------------------------


def save(tmp_path: Path, name: str, builder: TraceBuilder) -> str:
    return builder.save(tmp_path / name)


def drawing(extra: bool = False, value: int = 1, **options: object) -> TraceBuilder:
    """Three frames; `extra`: one more call deep in the second. value: an argument."""
    b = TraceBuilder(**options)  # type: ignore[arg-type]
    b.process()
    for frame in range(3):
        b.call("refresh", caller="run", words=(frame,))
        for side in range(4):
            b.call("line", caller="step", words=(side, value if frame == 2 and side == 3 else 1))
            b.leaf("malloc", 0x700000, words=(16,))
            if extra and frame == 1 and side == 2:
                b.leaf("free", words=(0x700000,))
            b.back()
        b.back()
    b.end()
    return b


def test_the_same_run_twice(tmp_path: Path) -> None:
    a, b = save(tmp_path, "a", small()), save(tmp_path, "b", small())
    ran = uselib("trace", "diff", a, b)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_an_extra_call_deep_inside(tmp_path: Path) -> None:
    a, b = save(tmp_path, "a", drawing()), save(tmp_path, "b", drawing(extra=True))
    ran = uselib("trace", "diff", a, b)
    assert ran.returncode == 1 and ran.stderr == ""
    lines = ran.stdout.splitlines()
    assert "1 difference of flow (0 calls only in A, 1 only in B)" in ran.stdout
    assert "@@ call 17 of A, 17 of B, inside libdraw_s!refresh > libdraw_s!line: other calls" in lines
    assert [line for line in lines if line.startswith("  + ")] == ["  +   main -> libc_s!free[2](0x700000)"]
    assert not [line for line in lines if line.startswith("  - ")]
    assert "           0            1  libc_s!free  only in B" in lines


def test_values_are_compared_on_request(tmp_path: Path) -> None:
    a, b = save(tmp_path, "a", drawing()), save(tmp_path, "b", drawing(value=9))
    assert uselib("trace", "diff", a, b).returncode == 0  # nothing tells what the arguments of `line` are
    ran = uselib("trace", "diff", "--values", "words", a, b)
    assert ran.returncode == 1
    assert "inside libdraw_s!refresh: other arguments or result" in ran.stdout
    assert "  - step -> libdraw_s!line[1](0x3, 0x1, 0x0, 0x0) = 0x0" in ran.stdout
    assert "  + step -> libdraw_s!line[1](0x3, 0x9, 0x0, 0x0) = 0x0" in ran.stdout


def test_values_that_prototypes_know_are_compared(tmp_path: Path) -> None:
    paths = []
    for name, left_over, size in (("a", 1, 16), ("b", 2, 16), ("c", 1, 17)):
        b = TraceBuilder()
        b.process()
        b.leaf("malloc", 0x700000, words=(size, left_over))
        b.end()
        paths.append(save(tmp_path, name, b))
    assert uselib("trace", "diff", paths[0], paths[1]).returncode == 0  # malloc has one argument
    ran = uselib("trace", "diff", paths[0], paths[2])
    assert ran.returncode == 1 and "malloc[1](17) = 0x700000" in ran.stdout
    assert uselib("trace", "diff", "--values", "none", paths[0], paths[2]).returncode == 0
    (tmp_path / "line.h").write_text("void *malloc(unsigned char);")
    assert uselib("trace", "diff", "--prototypes", tmp_path / "line.h", paths[0], paths[2]).returncode == 1


def test_a_library_at_another_address_makes_no_difference(tmp_path: Path) -> None:
    paths = []
    for base in (0x60000000, 0x68000000):
        b = TraceBuilder(libc_base=base)
        b.process()
        b.leaf(
            "qsort", base + 0x800 + 8 * 3, words=(0x7FFF0010, base + 0x2000 + 0x200 * 3 + 4, caller_of("compare", 0))
        )
        b.end()
        paths.append(save(tmp_path, f"{base:x}", b))
    assert uselib("trace", "diff", "--values", "words", *paths).returncode == 0


def test_json_tells_the_first_difference(tmp_path: Path) -> None:
    a, b = save(tmp_path, "a", drawing()), save(tmp_path, "b", drawing(extra=True))
    ran = uselib("trace", "diff", "--json", b, a)
    result = json.loads(ran.stdout)
    assert ran.returncode == 1 and result["same"] is False
    assert result["processes"][0]["first"] == {
        "kind": "flow",
        "a": {"call": 17, "calls": 1},
        "b": {"call": 17, "calls": 0},
    }
    assert result["counts"] == [{"function": "libc_s!free", "a": 1, "b": 0}]


def test_a_process_more(tmp_path: Path) -> None:
    alone = TraceBuilder()
    alone.process()
    alone.end()
    both = TraceBuilder()
    both.process()
    both.process(1, 1001, 0)
    both.end()
    both.end(1)
    ran = uselib("trace", "diff", save(tmp_path, "a", alone), save(tmp_path, "b", both))
    assert ran.returncode == 1 and "process only in B: hello (1001)" in ran.stdout


def test_another_exit_status(tmp_path: Path) -> None:
    paths = []
    for status in (0, 3):
        b = TraceBuilder()
        b.process()
        b.end(status=status)
        paths.append(save(tmp_path, str(status), b))
    ran = uselib("trace", "diff", *paths)
    assert ran.returncode == 1 and "ended with status 0 in A, status 3 in B" in ran.stdout


def test_trouble_is_status_2(tmp_path: Path) -> None:
    good = save(tmp_path, "good", small())
    (tmp_path / "bad").write_bytes(b"no trace at all, just text")
    ran = uselib("trace", "diff", good, tmp_path / "bad")
    assert ran.returncode == 2 and ran.stderr.count("\n") == 1 and "this is not a trace file" in ran.stderr
    ran = uselib("trace", "diff", good, tmp_path / "missing")
    assert ran.returncode == 2 and "missing" in ran.stderr
    assert uselib("trace", "diff", good).returncode == 2


@pytest.mark.parametrize("seed", range(4))
def test_random_programs_with_a_call_left_out(tmp_path: Path, seed: int) -> None:
    """One leaf call less, somewhere in 4000 events: that and nothing else is found."""
    a = random_tree(seed, 4000)
    b = TraceBuilder()
    lines = uselib("trace", "show", "--sequence", save(tmp_path, "a", a)).stdout.splitlines()
    assert len(lines) > 1000
    left_out = 0
    b.process()
    with TraceFile(str(tmp_path / "a")) as trace:
        from uselib.trace.reading.events import events

        rows = list(events(trace))
    for n, event in enumerate(rows):
        leaf = n + 1 < len(rows) and event.is_call and rows[n + 1].is_return and rows[n + 1].caller == event.sequence
        if not left_out and n > 2000 and leaf:
            left_out = event.sequence
            continue
        if event.is_return and event.caller == left_out:
            continue
        if event.is_call:
            assert event.function is not None
            b.call(event.function.name, caller=event.caller, words=event.words)
        else:
            b.back(event.words[0])
    b.end()
    with TraceFile(str(tmp_path / "a")) as x, TraceFile(save(tmp_path, "b", b)) as y:
        result = compare(x, y, all_bits)
        assert [h.a1 - h.a0 for h in result.processes[0].hunks] == [1]
        assert [h.b1 - h.b0 for h in result.processes[0].hunks] == [0]
        assert result.processes[0].changed_count == 0
        assert len(result.counts) == 1 and result.counts[0][0].split("!")[1] in NAMES


@pytest.mark.slow
def test_millions_of_events(tmp_path: Path) -> None:
    tree = random_tree(1, 5000)
    while tree.stack[0]:
        tree.back()
    tree.flush(0)
    a, b = repeated(tmp_path / "a", tree, 400), repeated(tmp_path / "b", tree, 401)
    ran = uselib("trace", "diff", a, b)
    assert ran.returncode == 1
    assert "1 difference of flow (0 calls only in A, 2,504 only in B)" in ran.stdout

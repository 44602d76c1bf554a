"""Views of traces with threads, against plain loops over the events of each thread."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.command import uselib
from support.trace_writer import TraceBuilder, small, threaded_tree
from uselib.trace.reading.calltree import build
from uselib.trace.reading.diff import compare
from uselib.trace.reading.events import Event, events
from uselib.trace.reading.model import TraceFile
from uselib.trace.reading.slices import slices
from uselib.trace.tui.index import Index
from uselib.trace.tui.view import Filter, View
from uselib.trace.tui.walk import Walk

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def mixed(tmp_path: Path) -> TraceFile:
    return TraceFile(threaded_tree(5, 1500, 4, order=1).save(tmp_path / "t"))


def stacks_of(trace: TraceFile) -> list[tuple[Event, tuple[Event, ...]]]:
    """Each call with the calls that are open around it in its thread."""
    found: list[tuple[Event, tuple[Event, ...]]] = []
    stacks: dict[int, list[Event]] = {}
    for event in events(trace):
        stack = stacks.setdefault(event.thread, [])
        while stack and stack[-1].depth >= event.depth:
            stack.pop()
        if event.is_call:
            found.append((event, tuple(stack)))
            stack.append(event)
    return found


def name_of(event: Event) -> str:
    assert event.function is not None
    return event.function.name


@QUICK
@given(st.integers(0, 1000), st.integers(1, 5))
def test_call_trees(tmp_path: Path, seed: int, threads: int) -> None:
    with TraceFile(threaded_tree(seed, 400, threads, order=seed).save(tmp_path / "t")) as trace:
        expected = Counter((*(name_of(e) for e in above), name_of(call)) for call, above in stacks_of(trace))
        tree = build(trace)
        found: Counter[tuple[str, ...]] = Counter()
        for node, calls in enumerate(tree.calls.tolist()):
            if calls:
                path = [tree.function[n] for n in tree.path(node) if not tree.site[n]]
                found[tuple(trace.functions[n].name for n in path)] += calls
    assert found == expected


@QUICK
@given(st.integers(0, 1000), st.integers(2, 4))
def test_slices_are_balanced_in_each_thread(tmp_path: Path, seed: int, threads: int) -> None:
    with TraceFile(threaded_tree(seed, 300, threads, order=seed).save(tmp_path / "t")) as trace:
        open_: dict[int, list[Event]] = {}
        around = {call.sequence: [e.sequence for e in above] for call, above in stacks_of(trace)}
        for piece in slices(trace, trace.processes[0]):
            stack = open_.setdefault(piece.thread, [])
            if piece.begin:
                assert piece.event is not None and piece.event.thread == piece.thread
                assert [e.sequence for e in stack] == around[piece.event.sequence]
                stack.append(piece.event)
            else:
                call = stack.pop()
                assert piece.event is None or piece.event.caller == call.sequence
        assert not any(open_.values())


@QUICK
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(0, 50), st.integers(0, 50))
def test_another_order_of_threads_is_no_difference(
    tmp_path: Path, seed: int, threads: int, one: int, other: int
) -> None:
    paths = [threaded_tree(seed, 300, threads, n).save(tmp_path / str(n)) for n in (one, other)]
    with TraceFile(paths[0]) as a, TraceFile(paths[1]) as b:
        found = compare(a, b, None)
        assert found.same and [diff.a.thread for diff in found.processes] == [
            number if threads > 1 else 0 for number in a.processes[0].threads
        ]
        assert sum(len(diff.a) for diff in found.processes) == sum(event.is_call for event in events(a))


def test_walks_and_folds(mixed: TraceFile) -> None:
    index = Index(mixed)
    for _ in index.build():
        pass
    all_ = list(events(mixed))
    walk, view = Walk(index), View(index)
    view.update()
    above = {call.sequence: stack for call, stack in stacks_of(mixed)}
    for row in range(0, len(all_), 5):
        event = all_[row]
        same = [r for r, other in enumerate(all_) if other.thread == event.thread]
        calls = [r for r in same if all_[r].is_call]
        assert walk.parent(row) == max((r for r in calls if r < row and all_[r].depth < event.depth), default=None)
        if not event.is_call:
            continue
        assert [all_[r].sequence for r in [walk.parent(row)] if r is not None] == [
            e.sequence for e in above[event.sequence][-1:]
        ]
        end = min((r for r in same if r > row and all_[r].depth <= event.depth), default=len(all_))
        extent = walk.extent(row)
        inside = [r for r in same if row < r < end]
        assert (extent.end, walk.inside(row, extent)) == (end, len(inside))
        assert walk.has_children(row) == bool(inside)
        assert walk.children(row, extent)[1] == sum(all_[r].is_call for r in inside)
        assert extent.closing is None or all_[extent.closing].caller == event.sequence
        if inside:
            assert view.toggle(row)
            gone = {*inside, *([] if extent.closing is None else [extent.closing])}
            assert view.rows.tolist() == [r for r in range(len(all_)) if not index.joined[r] and r not in gone]
            assert view.toggle(row)
    view.set_filter(Filter(thread=1002))
    assert {all_[row].thread for row in view.rows.tolist()} == {1002}
    index.close()


FILTERS = (
    (),
    ("--symbol", "strcmp"),
    ("--library", "libdraw*", "--depth", "3"),
    ("--caller", "compare"),
    ("--symbol", "no*"),
)


@pytest.mark.parametrize("words", FILTERS, ids=lambda words: " ".join(words) or "all")
@pytest.mark.parametrize("threads", [1, 3])
def test_last_lines_are_those_of_the_whole(tmp_path: Path, threads: int, words: tuple[str, ...]) -> None:
    """Without reading what comes before. Whether a call was interrupted by another thread is not known of calls before the first line."""
    path = threaded_tree(3, 3000, threads, order=2).save(tmp_path / "t")
    whole = [line for line in uselib("trace", "show", "--sequence", *words, path).stdout.splitlines() if line]

    def plain(lines: list[str]) -> list[str]:
        return [re.sub(r"^((?:\[\d+\] )? *\d+ +)(?:\.\.\.|})", r"\1}", line) for line in lines]

    for count in (1, 7, 100, 10_000):
        found = uselib("trace", "show", "--sequence", *words, "--last", str(count), path).stdout.splitlines()
        assert plain(found) == plain(whole[-count:])
        assert threads > 1 or found == whole[-count:]


def test_last_lines_of_several_processes(tmp_path: Path) -> None:
    path = small().save(tmp_path / "t")
    whole = uselib("trace", "show", path).stdout.splitlines()
    for count in range(1, len(whole) + 2):
        assert uselib("trace", "show", "--last", str(count), path).stdout.splitlines() == whole[-count:]


@pytest.mark.parametrize("inside", [30, 33, 100, 1000])
def test_last_lines_join_calls_that_begin_before_them(tmp_path: Path, inside: int) -> None:
    """A call and its return are one line where what lies between them is not shown, however far apart they are."""
    b = TraceBuilder()
    b.process()
    b.leaf("puts", 1)
    b.call("qsort", words=(0x700000, 3, 8, 0))
    for number in range(inside):
        b.leaf("strcmp", number, caller="compare", words=(0x401000, 0x401010), strings={0: "abc"})
    b.back(5)
    b.end(0)
    path = b.save(tmp_path / "t")
    whole = uselib("trace", "show", "--symbol", "qsort", path).stdout.splitlines()
    assert len(whole) == 1 and "qsort" in whole[0] and "}" not in whole[0]
    assert uselib("trace", "show", "--symbol", "qsort", "--last", "1", path).stdout.splitlines() == whole

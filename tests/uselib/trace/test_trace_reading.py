"""Trace files read: events, damage, the call tree against one made with a stack, show, summary and graph."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.command import uselib
from support.tools import require
from support.trace_writer import TraceBuilder, caller_of, random_tree, repeated, small
from uselib.emulator.trace.store.format import EventKind
from uselib.linker.errors import ToolError
from uselib.trace.reading.calltree import build
from uselib.trace.reading.events import Event, events, events_from
from uselib.trace.reading.model import TraceFile

SHOWN = """\
 1000 main -> libc_s!malloc[1](64) = 0x700000 <1>
 1000 main -> libc_s!qsort[3](0x700000, 3, 8, 0x401100 <compare>) {
 1000   compare -> libc_s!strcmp[4]("abc", "a\\"b\\n") = 1 <1>
 1000   compare -> libc_s!strcmp[4]("abc", "a\\"b\\n") = 0 <1>
 1000   compare -> libc_s!strcmp[4]("abc", "a\\"b\\n") = -1 <1>
 1000 } <7>  libc_s!qsort
 1000 run -> libdraw_s!refresh[3](0x0, 0x0, 0x0, 0x0) {
 1000   refresh -> libdraw_s!line[1](0x1, 0x2, 0x3, 0x4) {
 1000     line -> libc_s!malloc[1](16) = 0x700040 <1>
 1000   } = 0x0 <3>  libdraw_s!line
 1000 } = 0x0 <5>  libdraw_s!refresh
 1000 main -> libc_s!printf[5]("%d items\\n", 7) = 12 <1>
 1000 main -> libc_s!exit[7](0)
 1001 main -> libc_s!puts[6]("child") = 6 <1>
 1001 main -> libc_s!exit[7](0)
"""


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small().save(tmp_path_factory.mktemp("traces") / "small.trace")


# -- the model --------------------------------------------------------------------------------------------------------


def test_a_fork_inherits_functions_and_files(trace: str) -> None:
    with TraceFile(trace) as file:
        child = file.processes[1]
        assert (child.pid, child.parent) == (1001, 0)
        calls = [e.function.label for e in events(file, [child]) if e.is_call and e.function is not None]
        assert calls == ["libc_s!puts", "libc_s!exit"]
        assert str(child.places.caller(caller_of("main"))) == "main+0x10"
        assert file.complete and not file.warnings


def test_an_exec_inherits_nothing(tmp_path: Path) -> None:
    b = TraceBuilder()
    b.process()
    b.process(1, 1000, 0)
    b.end()
    b.end(1)
    with TraceFile(b.save(tmp_path / "t")) as file:
        assert file.processes[0].functions and not file.processes[1].functions


def test_words_beyond_the_fourth_and_payloads(trace: str) -> None:
    with TraceFile(trace) as file:
        by_name: dict[str, Event] = {e.function.name: e for e in events(file) if e.is_call and e.function is not None}
        assert by_name["line"].words == (1, 2, 3, 4, 5, 6)
        assert by_name["puts"].payload == {0: (b"child", False)}


def test_reading_may_begin_anywhere(tmp_path: Path) -> None:
    path = random_tree(3, 3000, builder=TraceBuilder(chunk=100)).save(tmp_path / "t")
    with TraceFile(path) as file:
        all_ = [(e.sequence, e.time, e.kind) for e in events(file)]
        assert [row[0] for row in all_] == list(range(1, len(all_) + 1))
        for first in (1, 2, 777, len(all_)):
            found = [(e.sequence, e.time, e.kind) for e in events_from(file, file.processes[0], first)]
            assert found == all_[found[0][0] - 1 :] and first - found[0][0] < 200


@pytest.mark.parametrize("cut", [16, 17, 31, 40, 500, 1500, -1, -20, -64, -100])
def test_a_file_cut_short_gives_what_is_whole(tmp_path: Path, cut: int) -> None:
    data = small().out.getvalue()
    (tmp_path / "t").write_bytes(data[:cut])
    with TraceFile(str(tmp_path / "t")) as file:
        count = sum(1 for _ in events(file))
        assert not file.complete or not file.processes
        assert count <= 22 and (count > 15 or cut >= 0)
        build(file)
    ran = uselib("trace", "show", tmp_path / "t")
    assert ran.returncode == 0 and "Traceback" not in ran.stderr


@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bit_flips_raise_nothing_but_tool_errors(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 3))):
        bit = data.draw(st.integers(0, 8 * len(content) - 1))
        content[bit // 8] ^= 1 << bit % 8
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    (tmp_path / "t").write_bytes(content)
    try:
        with TraceFile(str(tmp_path / "t")) as file:
            assert sum(1 for _ in events(file)) <= 30
            build(file).children()
    except ToolError as failure:
        assert len(failure.diagnostics) == 1


SMALL = small().out.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "this is not a trace file; make one with `uselib trace record -o FILE PROG`"),
        (b"\x7fELF" + bytes(100), "this is not a trace file; make one with `uselib trace record -o FILE PROG`"),
        (SMALL[:8] + b"\x09\0\0\0" + SMALL[12:], "trace format 9; this version reads format 1"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "t"
    path.write_bytes(content)
    for word in ("show", "summary", "graph"):
        ran = uselib("trace", word, path)
        assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", f"uselib: {path}: {message}\n")


# -- the call tree ----------------------------------------------------------------------------------------------------


def naive(path: str) -> dict[tuple[str, ...], list[int]]:
    """Path of functions -> calls, total, self: with a stack, one event at a time."""
    found: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    with TraceFile(path) as file:
        for process in file.processes:
            stack: list[tuple[int, tuple[str, ...], int]] = []  # depth, path, time
            last = 0

            def leave(now: int, stack: list[tuple[int, tuple[str, ...], int]] = stack) -> None:
                _, at, start = stack.pop()
                found[at][1] += now - start
                found[at][2] += now - start
                if stack:
                    found[stack[-1][1]][2] -= now - start

            for event in events(file, [process]):
                last = event.time
                while stack and (stack[-1][0] > event.depth or (event.is_call and stack[-1][0] == event.depth)):
                    leave(event.time)
                if event.is_call:
                    assert event.function is not None
                    above = stack[-1][1] if stack else ()
                    place = process.places.caller(event.caller)
                    assert place is not None
                    library = process.libraries.get(place.file.path, "")
                    site = (f"{library}!" if library else "") + place.symbol.removesuffix("$impl")
                    at = above if above and above[-1] == site else (*above, site)
                    at = (*at, event.function.label)
                    found[at][0] += 1
                    stack.append((event.depth, at, event.time))
                elif stack and stack[-1][0] == event.depth:
                    leave(event.time)
            while stack:
                leave(last)
    return {path: row for path, row in found.items() if row[0]}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("returns", "lost"), [(True, 0.0), (True, 0.2), (False, 0.0)])
@pytest.mark.parametrize("block", [64, 1 << 18])
def test_the_call_tree_is_that_of_a_stack(
    tmp_path: Path, seed: int, returns: bool, lost: float, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import uselib.trace.reading.blocks as blocks

    monkeypatch.setattr(blocks, "BLOCK", block)  # many small blocks: calls are carried over
    path = random_tree(seed, 3000, returns=returns, lost=lost, builder=TraceBuilder(chunk=50)).save(tmp_path / "t")
    with TraceFile(path) as file:
        tree = build(file)
        found = {
            tuple(file.functions[tree.function[n]].label for n in tree.path(node)): [
                int(tree.calls[node]),
                int(tree.total[node]),
                int(tree.self_time[node]),
            ]
            for node in range(len(tree))
            if tree.calls[node]
        }
    assert found == naive(path)


def test_depths_with_gaps_and_deep_recursion(tmp_path: Path) -> None:
    b = TraceBuilder()
    b.process()
    for depth in (3, 5, 9, 4, 3, 0, 2):  # as a filter leaves them
        b.record(EventKind.CALL, 0, depth, caller_of("main"))
    for depth in range(1000):
        b.record(EventKind.CALL, 1, depth, caller_of("run"))
    for depth in reversed(range(1000)):
        b.record(EventKind.RETURN, 1, depth, 0, (0, 0, 0, 1))
    b.end()
    with TraceFile(b.save(tmp_path / "t")) as file:
        tree = build(file)
        assert int(tree.calls.sum()) == 1007
        assert len(tree) < 400
        names = Counter(file.functions[f].name for f in tree.function if f >= 0)
        assert names["free"] > 100  # levels one below the other, then side by side


def test_too_many_paths_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import uselib.trace.reading.calltree as calltree

    monkeypatch.setattr(calltree, "MAXIMUM_NODES", 200)
    path = random_tree(1, 5000).save(tmp_path / "t")
    with TraceFile(path) as file:
        tree = build(file)
        assert tree.truncated and len(tree) < 300
        assert int(tree.calls.sum()) == sum(1 for e in events(file) if e.is_call)


@pytest.mark.slow
def test_millions_of_events_are_counted(tmp_path: Path) -> None:
    tree = random_tree(1, 5000)
    while tree.stack[0]:
        tree.back()
    tree.flush(0)
    path = repeated(tmp_path / "big", tree, 400)
    with TraceFile(path) as file:
        assert int(build(file).calls.sum()) == 400 * 2504
    ran = uselib("trace", "summary", "--json", path)
    assert sum(row["calls"] for row in json.loads(ran.stdout)["functions"]) == 400 * 2504


# -- show -------------------------------------------------------------------------------------------------------------


def test_show(trace: str) -> None:
    ran = uselib("trace", "show", trace)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, SHOWN, "")


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (["--symbol", "m*"], [0, 8]),
        (["--caller", "compare"], [2, 3, 4]),
        (["--first", "2"], [0, 1]),
        (["--last=2"], [13, 14]),
        (["--process", "1001"], [13, 14]),
    ],
)
def test_show_filters(trace: str, options: list[str], lines: list[int]) -> None:
    ran = uselib("trace", "show", *options, trace)
    assert ran.stdout.splitlines() == [SHOWN.splitlines()[n] for n in lines]


def test_show_by_library_joins_calls_around_what_is_left_out(trace: str) -> None:
    assert uselib("trace", "show", "--library", "libdraw_s", trace).stdout.splitlines() == [
        SHOWN.splitlines()[6],
        " 1000   refresh -> libdraw_s!line[1](0x1, 0x2, 0x3, 0x4) = 0x0 <3>",
        SHOWN.splitlines()[10],
    ]


def test_show_by_depth_joins_a_call_with_its_return(trace: str) -> None:
    ran = uselib("trace", "show", "--depth", "1", trace)
    assert " 1000 main -> libc_s!qsort[3](0x700000, 3, 8, 0x401100 <compare>) <7>" in ran.stdout.splitlines()


def test_show_usage_errors(trace: str) -> None:
    for words, message in (
        (["--process", "7", trace], "there is no process 7 in it; there are 1000, 1001"),
        (["--colour", trace], "--colour: no such option"),
        (["--first", "x", trace], "`x` is not a value for N"),
        ([], "0 files given, one trace file wanted"),
    ):
        ran = uselib("trace", "show", *words)
        assert ran.returncode == 2 and message in ran.stderr and ran.stderr.count("\n") == 1


def test_show_system_calls_and_signals(tmp_path: Path) -> None:
    b = TraceBuilder()
    b.process()
    b.call("puts", words=(0x402000,), strings={0: "hi"})
    b.record(EventKind.SYSCALL, 1, 1, 0x401000, (1, 0x402000, 2))
    b.record(EventKind.SYSCALL_RESULT, 1, 1, 0x401000, (2**64 - 14,))
    b.record(EventKind.SIGNAL, 0, 1, 0x401000, (11, 0x10))
    b.back(-1 & 2**64 - 1, flags=2)
    b.end()
    ran = uselib("trace", "show", b.save(tmp_path / "t"))
    assert ran.stdout.splitlines() == [
        'main -> libc_s!puts[6]("hi") {',
        "  syscall write(0x1, 0x402000, 0x2) = -EFAULT",
        "  signal SIGSEGV at 0x401000, address 0x10",
        "} = -1 <4> (late)  libc_s!puts",
    ]


def test_show_source_lines(tmp_path: Path) -> None:
    """The line of a call, in a program built with debugging information, at the address objdump gives for it."""
    require("gcc")
    source = "int f(void);\nint main(void) {\n  int x = 1;\n  return x +\n    f();\n}\nint f(void) { return 0; }\n"
    (tmp_path / "a.c").write_text(source)
    subprocess.run(["gcc", "-g", "-O0", "-no-pie", "-o", "prog", "a.c"], cwd=tmp_path, check=True)
    listing = subprocess.run(["objdump", "-d", "prog"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    lines = listing.splitlines()
    at = next(n for n, line in enumerate(lines) if "call" in line and "<f>" in line)
    back = int(lines[at + 1].split(":")[0], 16)
    b = TraceBuilder()
    b.sequence[0] = 0
    b.process()
    b.file(0, str(tmp_path / "prog"), back & ~0xFFF, 0x1000, [back - 20], [100], ["main"])
    b.leaf("puts", caller=back)
    b.end()
    ran = uselib("trace", "show", "--lines", b.save(tmp_path / "t"))
    assert ran.stdout.startswith("main a.c:5 -> libc_s!puts[6]")


# -- summary and graph ------------------------------------------------------------------------------------------------


def test_summary(trace: str) -> None:
    out = uselib("trace", "summary", trace).stdout
    assert "         1              7              4          7.0  libc_s!qsort[3]\n" in out
    assert "         2              0              0          0.0  libc_s!exit[7]  2 without return\n" in out
    assert "12 calls of 8 functions in 2 libraries, 2 processes\n" in out
    assert "libc_s 1.0.0: 6 of 7 slots used; never: free[2]\n" in out
    assert "libdraw_s 1.0.0: 2 of 4 slots used; never: circle[2] unused[4]\n" in out


def test_summary_sorted_limited_and_by_library(trace: str) -> None:
    lines = uselib("trace", "summary", "--sort", "calls", "--limit", "1", trace).stdout.splitlines()
    assert "libc_s!strcmp[4]" in lines[1] and "7 more" in lines[2]
    lines = uselib("trace", "summary", "--by", "library", trace).stdout.splitlines()
    assert lines[1].split() == ["10", "11", "11", "1.1", "libc_s", "2", "without", "return"]


def test_summary_of_recursion_counts_the_outermost(tmp_path: Path) -> None:
    b = TraceBuilder()
    b.process()
    for _ in range(3):
        b.call("qsort")
    for _ in range(3):
        b.back()
    b.end()
    rows = json.loads(uselib("trace", "summary", "--json", b.save(tmp_path / "t")).stdout)["functions"]
    assert rows == [
        {
            "library": "libc_s",
            "symbol": "qsort",
            "slot": 3,
            "calls": 3,
            "total": 5,
            "self": 5,
            "average": 1.667,
            "unfinished": 0,
        }
    ]


def test_graph_in_both_directions(trace: str) -> None:
    out = uselib("trace", "graph", "--function", "line", trace).stdout
    assert out == (
        "# callers of libdraw_s!line\n"
        "         1  libdraw_s!line  <3>\n"
        "         1  └─ libdraw_s!refresh  <3>\n"
        "         1     └─ run  <3>\n"
        "# calls from libdraw_s!line\n"
        "         1  libdraw_s!line  <3>\n"
        "         1  └─ libc_s!malloc  <1>\n"
    )
    ran = uselib("trace", "graph", "--function", "nothing", trace)
    assert ran.returncode == 2 and "no call of or from `nothing`" in ran.stderr


def test_graph_as_dot_and_mermaid(trace: str) -> None:
    dot = uselib("trace", "graph", "--format", "dot", trace).stdout
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg"], input=dot, text=True, check=True, stdout=subprocess.DEVNULL)
    assert dot.startswith("digraph calls {") and '[label="libc_s!qsort"]' in dot and "[label=3, penwidth=5.00]" in dot
    mermaid = uselib("trace", "graph", "--format", "mermaid", "--function", "qsort", trace).stdout
    assert mermaid.startswith("flowchart LR\n") and '["libc_s!qsort"]' in mermaid and "-->|3|" in mermaid

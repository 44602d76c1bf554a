"""`uselib trace tui`: index, walks and view against plain loops over the events; the application by Textual's pilot."""

from __future__ import annotations

import asyncio
import os
import pty
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.trace_writer import TraceBuilder, caller_of, random_tree, small
from uselib.commands.trace import run as trace_command
from uselib.emulator.trace.store.format import EventKind
from uselib.linker.errors import FormatError, ToolError
from uselib.trace.reading.decoding import decoder_for
from uselib.trace.reading.events import Event, events
from uselib.trace.reading.model import TraceFile
from uselib.trace.tui.index import Index
from uselib.trace.tui.pages import Pages
from uselib.trace.tui.view import Filter, View
from uselib.trace.tui.walk import Walk

pytest.importorskip("textual", reason="the extra `tui` is not installed")

from textual.widgets import Input, Static

from uselib.trace.tui.app import TraceApp
from uselib.trace.tui.keys import Help
from uselib.trace.tui.summary_tab import SummaryTable


def opened(path: str) -> tuple[TraceFile, Index]:
    trace = TraceFile(path)
    index = Index(trace)
    for _ in index.build():
        pass
    return trace, index


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Index, list[Event]]:
    """Some thousand events in small chunks, a tenth of the returns lost, some calls with MORE records, a second process."""
    builder = random_tree(11, 3000, lost=0.1, builder=TraceBuilder(chunk=37))
    builder.process(1, 1001, 0, describe=False)
    for turn in range(90):
        builder.call("refresh", process=1, words=range(turn % 9))
        builder.leaf("puts", 7, process=1, words=(5,), strings={0: f"line {turn}"})
        builder.leaf("printf", turn, process=1, words=range(6, 13))
        builder.back(process=1)
        builder.record(EventKind.SYSCALL, 4, 0, caller_of("step"), (1, 2, 3), process=1)
        if turn % 3:
            builder.record(EventKind.SYSCALL_RESULT, 4, 0, 0, (turn,), process=1)
        else:
            builder.record(EventKind.SIGNAL, 0, 0, caller_of("step"), (11, 0xDEAD), process=1)
    builder.end(1)
    trace, index = opened(builder.save(tmp_path / "t"))
    return index, list(events(trace))


# -- index, pages, walks: against loops over all events ---------------------------------------------------------------


def test_pages_give_the_events_of_the_stream(tree: tuple[Index, list[Event]]) -> None:
    index, expected = tree
    pages = Pages(index)
    assert index.count == len(expected) and index.complete
    for row in random.Random(1).sample(range(len(expected)), len(expected)):
        assert pages.event(row) == expected[row]
    assert [index.depth[r] for r in range(index.count)] == [e.depth for e in expected]
    assert [index.function[r] for r in range(index.count)] == [
        e.function.number if e.function else -1 for e in expected
    ]


def test_joined_returns_are_those_right_after_their_call(tree: tuple[Index, list[Event]]) -> None:
    index, all_ = tree
    for row, event in enumerate(all_):
        before = all_[row - 1] if row else None
        own = before is not None and before.is_call and event.is_return and event.process is before.process
        own = own and before is not None and event.caller == before.sequence
        result = event.kind == EventKind.SYSCALL_RESULT and before is not None and before.kind == EventKind.SYSCALL
        assert bool(index.joined[row]) == (own or result)


def test_walks_agree_with_plain_loops(tree: tuple[Index, list[Event]]) -> None:
    index, all_ = tree
    walk = Walk(index)
    for row in range(0, len(all_), 7):
        event = all_[row]
        same = [r for r, e in enumerate(all_) if e.process is event.process]
        calls = [r for r in same if all_[r].is_call]
        parent = max((r for r in calls if r < row and all_[r].depth < event.depth), default=None)
        assert walk.parent(row) == parent
        if event.is_call:
            check_extent(walk, all_, row, same)
            check_siblings(walk, all_, row, [r for r in calls if walk.parent(r) == parent])


def check_extent(walk: Walk, all_: list[Event], row: int, same: list[int]) -> None:
    """Where the call at `row` ends, and what it has inside. same: the rows of its process."""
    event = all_[row]
    end = min((r for r in same if r > row and all_[r].depth <= event.depth), default=same[-1] + 1)
    extent = walk.extent(row)
    assert extent.end == end
    if extent.closing is not None:
        assert all_[extent.closing].is_return
        assert all_[extent.closing].caller == event.sequence
        assert walk.opening(extent.closing) == row
    assert walk.children(row, extent)[1] == sum(all_[r].is_call for r in same if row < r < end)


def check_siblings(walk: Walk, all_: list[Event], row: int, family: list[int]) -> None:
    """The next call of the same depth, and back. family: the calls with the same parent."""
    following = min((r for r in family if all_[r].depth == all_[row].depth and r > row), default=None)
    assert walk.sibling(row, True) == following
    assert following is None or walk.sibling(following, False) == row


def test_filters_and_folds_agree_with_plain_loops(tree: tuple[Index, list[Event]]) -> None:
    index, all_ = tree
    view = View(index, Filter(library=("libc*",), depth=4))
    view.update()
    rows = [(r, e) for r, e in enumerate(all_) if not index.joined[r] and e.function is not None and e.depth < 4]
    assert view.rows.tolist() == [r for r, e in rows if e.function and e.function.library == "libc_s"]
    view.set_filter(Filter())
    whole = view.rows.tolist()
    folded = [r for r in whole if all_[r].is_call and view.walk.has_children(r)][::3]
    hidden: set[int] = set()
    for row in folded:
        assert view.toggle(row)
        hidden.update(range(*view.hidden(row)))
    assert view.rows.tolist() == [r for r in whole if r not in hidden]
    view.unfold_all()
    assert view.rows.tolist() == whole


@pytest.mark.parametrize("pattern", ["str*", "*mal*", "libdraw*!*e*"])
def test_search_agrees_with_plain_loops(tree: tuple[Index, list[Event]], pattern: str) -> None:
    index, all_ = tree
    view = View(index)
    view.update()
    calls = [(r, e.function) for r, e in enumerate(all_) if e.is_call and e.function]
    hits = [r for r, f in calls if fnmatchcase(f.label if "!" in pattern else f.name, pattern)]
    assert view.matching(pattern) == len(hits) > 3
    assert view.search(pattern, -1) == hits[0] == view.search(pattern, hits[-1])
    assert view.search(pattern, hits[2]) == hits[3]
    assert view.search(pattern, hits[2], forward=False) == hits[1]
    assert view.search(pattern, hits[0], forward=False) == hits[-1]
    assert view.search("nothing_like_it", 5) is None


def test_reveal_unfolds_what_hides_a_row(tmp_path: Path) -> None:
    _, index = opened(small().save(tmp_path / "t"))
    view = View(index)
    view.update()
    line = next(r for r in range(index.count) if index.depth[r] == 1 and view.walk.has_children(r))
    refresh = view.walk.parent(line)
    assert refresh is not None
    view.toggle(line)
    view.toggle(refresh)
    assert view.position(line + 1) == view.position(refresh)
    at = view.reveal(line + 1)
    assert at is not None and view.rows[at] == line + 1 and not view.folds


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files_are_shown_as_far_as_they_go(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    body = bytearray(small().out.getvalue())
    if data.draw(st.booleans()):
        body = body[: data.draw(st.integers(0, len(body)))]
    else:
        for _ in range(data.draw(st.integers(1, 8))):
            body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("d") / "t"
    path.write_bytes(body)
    try:
        trace, index = opened(str(path))
    except ToolError:
        return
    from uselib.trace.tui.text import Lines, Shape

    pages, view = Pages(index), View(index)
    view.update()
    lines = Lines(index, pages, decoder_for(trace))
    for row in view.rows.tolist():
        lines.line(row, False, Shape())
        lines.details(row)
        view.toggle(row)
    index.close()
    trace.close()


# -- the application --------------------------------------------------------------------------------------------------

Act = Callable[[TraceApp, Any], Awaitable[None]]


def drive(path: str, act: Act, size: tuple[int, int] = (80, 24), chosen: Filter | None = None) -> TraceApp:
    """Runs the application without a terminal until `act` is done."""

    async def go(app: TraceApp) -> None:
        async with app.run_test(size=size) as pilot:
            while not (app.index.complete and app.lines.decoder is app._decoder):
                await pilot.pause(0.01)
            app._grow()
            await settle(pilot)
            await act(app, pilot)

    with TraceFile(path) as trace:
        app = TraceApp(trace, trace.processes, chosen or Filter(), decoder_for(trace))
        try:
            asyncio.run(go(app))
        finally:
            app.index.close()
    return app


async def settle(pilot: Any) -> None:
    await pilot.pause(0.08)  # details wait for the cursor to rest
    await pilot.pause()


def screen(app: TraceApp) -> list[str]:
    """The list as it is drawn."""
    height = app.listing.size.height
    return [app.listing.render_line(y).text.rstrip() for y in range(height)]


def text_of(app: TraceApp, selector: str) -> str:
    return str(app.query_one(selector, Static).render())


def current(app: TraceApp) -> str:
    row = app.listing.row
    assert row is not None
    event = app.lines.pages.event(row)
    assert event is not None and event.function is not None
    return f"{'return ' if event.is_return else ''}{event.function.name}@{event.sequence}"


@pytest.fixture
def trace_path(tmp_path: Path) -> str:
    return small().save(tmp_path / "small.trace")


def test_listing_and_details(trace_path: str) -> None:
    async def act(app: TraceApp, pilot: Any) -> None:
        assert screen(app)[:4] == [
            " 1000   main -> libc_s!malloc[1](64) = 0x700000 <1>",
            " 1000 ▾ main -> libc_s!qsort[3](0x700000, 3, 8, 0x401100 <compare>) {",
            ' 1000     compare -> libc_s!strcmp[4]("abc", "a\\"b\\n") = 1 <1>',
            ' 1000     compare -> libc_s!strcmp[4]("abc", "a\\"b\\n") = 0 <1>',
        ]
        await pilot.press("down", "down")
        await settle(pilot)
        details = text_of(app, "#details-text")
        for part in (
            "libc_s!strcmp[4]",
            "compare+0x10",
            '*word 0   "abc" 3 bytes',
            "return    1 after 1 block",
            "event 4",
        ):
            assert part in details, details
        await pilot.press("up")
        await settle(pilot)
        assert "made      3 calls" in text_of(app, "#details-text")
        assert "line 2/15" in text_of(app, "#status")

    drive(trace_path, act)


def test_folding_and_jumping(trace_path: str) -> None:
    async def act(app: TraceApp, pilot: Any) -> None:
        await pilot.press("down", "down", "c")
        assert current(app) == "qsort@3"
        await pilot.press("enter")
        assert screen(app)[1].endswith("{ 6 events }") or "{ 6 events } " in screen(app)[1]
        assert "refresh" in screen(app)[2]
        await pilot.press("r")  # the return is hidden: unfolds
        assert current(app) == "return qsort@10"
        await pilot.press("r")
        assert current(app) == "qsort@3"
        await pilot.press("right_square_bracket")
        assert current(app) == "refresh@11"
        await pilot.press("left_square_bracket", "left_square_bracket")
        assert current(app) == "malloc@1"
        await pilot.press("r")
        assert "same line" in text_of(app, "#status")
        await pilot.press("space")
        assert "nothing to fold" in text_of(app, "#status")
        await pilot.press("end")
        assert current(app) == "exit@3"  # of the child
        await pilot.press("c")
        assert "nothing recorded around" in text_of(app, "#status")
        await pilot.press("home")
        assert app.listing.cursor == 0

    drive(trace_path, act)


async def answer(app: TraceApp, pilot: Any, key: str, text: str) -> None:
    await pilot.press(key)
    app.query_one("#prompt", Input).value = text
    await pilot.press("enter")
    await settle(pilot)


def test_search_and_filters(trace_path: str) -> None:
    async def act(app: TraceApp, pilot: Any) -> None:
        await pilot.press("n")
        assert "press /" in text_of(app, "#status")
        await answer(app, pilot, "slash", "strc")
        assert current(app) == "strcmp@4" and "3 calls of strc" in text_of(app, "#status")
        await pilot.press("n")
        assert current(app) == "strcmp@6"
        await pilot.press("N", "N")
        assert current(app) == "strcmp@8" and "other end" in text_of(app, "#status")
        await answer(app, pilot, "f", "libdraw*")
        assert all("libdraw_s!" in line for line in screen(app) if line) and len(app.view.rows) == 4
        await pilot.press("n")
        assert "the filters leave out 3" in text_of(app, "#status")
        await answer(app, pilot, "d", "1")
        assert len(app.view.rows) == 2 and "only library libdraw*, depth < 1" in text_of(app, "#status")
        await answer(app, pilot, "d", "x")
        assert "`x` is not a depth" in text_of(app, "#status")
        await pilot.press("plus")
        assert app.view.filter.depth == 2
        await answer(app, pilot, "F", "none*")
        assert "no event passes" in text_of(app, "#details-text") and not len(app.view.rows)
        await pilot.press("c", "r", "enter", "n", "down", "x")
        assert len(app.view.rows) == 15
        await answer(app, pilot, "slash", "nowhere")
        assert "no call of nowhere" in text_of(app, "#status")

    drive(trace_path, act)


def test_summary_sorts_and_leads_to_calls(trace_path: str) -> None:
    async def act(app: TraceApp, pilot: Any) -> None:
        await pilot.press("2")
        await app.workers.wait_for_complete()
        await settle(pilot)
        table = app.query_one("#summary", SummaryTable)
        assert [row.symbol for row in table.rows_shown[:2]] == ["qsort", "refresh"]
        assert "12 calls of 8 functions" in text_of(app, "#status")
        while table.order != "calls":
            await pilot.press("o")
        assert table.rows_shown[0].symbol == "strcmp" and table.row_count == 8
        await pilot.press("enter")
        await settle(pilot)
        assert app.on_events and current(app) == "strcmp@4"

    drive(trace_path, act)


def test_help_and_focus_by_keyboard(trace_path: str) -> None:
    async def act(app: TraceApp, pilot: Any) -> None:
        await pilot.press("question_mark")
        assert isinstance(app.screen, Help)
        await pilot.press("escape")
        await pilot.press("tab")
        assert app.focused is not None and app.focused.id == "details"
        await pilot.press("tab")
        assert app.focused is app.listing
        await pilot.press("slash", "escape")
        assert app.focused is app.listing and not app.query_one("#prompt").display
        await pilot.press("t", "greater_than_sign", "U", "minus")
        await pilot.resize_terminal(40, 10)
        await settle(pilot)
        await pilot.resize_terminal(200, 60)
        await settle(pilot)
        await pilot.press("q")

    assert drive(trace_path, act).failure is None


def test_only_what_is_shown_is_read(tmp_path: Path) -> None:
    path = random_tree(2, 20000).save(tmp_path / "t")

    async def act(app: TraceApp, pilot: Any) -> None:
        await pilot.press("end")
        await settle(pilot)
        assert app.listing.row is not None and app.listing.row >= app.index.count - 2
        assert len(app.lines.pages._pages) < 8

    drive(path, act)


def test_truncated_file(tmp_path: Path) -> None:
    data = random_tree(5, 5000).out.getvalue()
    path = tmp_path / "cut"
    path.write_bytes(data[: len(data) // 2 + 7])

    async def act(app: TraceApp, pilot: Any) -> None:
        assert len(app.view.rows) > 1000
        assert "cut short" in text_of(app, "#status")

    drive(str(path), act)


def test_system_calls_with_their_results(tmp_path: Path) -> None:
    builder = TraceBuilder()
    builder.process()
    builder.record(EventKind.SYSCALL, 1, 0, caller_of("step"), (1, 2, 3))
    builder.record(EventKind.SYSCALL_RESULT, 1, 0, 0, ((1 << 64) - 9,))
    builder.record(EventKind.SIGNAL, 0, 0, caller_of("step"), (11, 0xDEAD))
    builder.end()

    async def act(app: TraceApp, pilot: Any) -> None:
        assert screen(app)[:2] == [
            "  syscall write(0x1, 0x2, 0x3, 0x0) = -9",
            "  signal SIGSEGV at 0x401310, address 0xdead",
        ]
        assert "step+0x10" in text_of(app, "#details-text")

    drive(builder.save(tmp_path / "t"), act)


def test_trace_without_events(tmp_path: Path) -> None:
    builder = TraceBuilder()
    builder.process()
    builder.end()

    async def act(app: TraceApp, pilot: Any) -> None:
        await pilot.press("down", "enter", "c", "r", "left_square_bracket", "n", "minus", "U", "end", "2", "enter", "1")
        await settle(pilot)
        assert text_of(app, "#details-text") == "no events"

    assert drive(builder.save(tmp_path / "t"), act).failure is None


def test_file_that_shrinks_while_it_is_shown(tmp_path: Path) -> None:
    path = random_tree(5, 5000).save(tmp_path / "t")

    async def act(app: TraceApp, pilot: Any) -> None:
        os.truncate(path, 20000)
        await pilot.press("end", "enter", "r", "c", "2")
        await settle(pilot)
        await pilot.press("1", "end")
        assert "gone" in "".join(screen(app))

    assert drive(path, act).failure is None


def test_a_defect_is_one_line(trace_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(app: TraceApp, pilot: Any) -> None:
        monkeypatch.setattr(app.view, "toggle", lambda row: 1 // 0)
        await pilot.press("enter")
        await settle(pilot)

    with pytest.raises(ZeroDivisionError):  # the pilot raises it again
        drive(trace_path, act)


# -- the command ------------------------------------------------------------------------------------------------------


def test_not_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("hello")
    with pytest.raises(FormatError, match="this is not a trace file"):
        trace_command(["tui", str(path)])
    with pytest.raises(FileNotFoundError):
        trace_command(["tui", str(tmp_path / "none")])


def test_not_a_terminal(trace_path: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uselib.cli", "trace", "tui", trace_path],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"uselib: trace tui: standard input is not a terminal; use `uselib trace show {trace_path}`\n"
    )


def test_without_textual(trace_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual", None)
    with pytest.raises(ToolError) as failure:
        trace_command(["tui", trace_path])
    assert str(failure.value) == ("trace tui: Textual is not installed; install the extra: pip install 'uselib[tui]'")


@pytest.mark.parametrize("colours", [True, False])
def test_on_a_terminal(trace_path: str, colours: bool) -> None:
    """The real thing on a pseudo-terminal: something is drawn, `q` ends it, NO_COLOR leaves no colour sequences."""
    main, other = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {
        "TERM": "xterm-256color",
        "COLUMNS": "80",
        "LINES": "24",
    }
    if not colours:
        environment["NO_COLOR"] = "1"
    program = subprocess.Popen(
        [sys.executable, "-m", "uselib.cli", "trace", "tui", trace_path],
        stdin=other,
        stdout=other,
        stderr=other,
        env=environment,
    )
    os.close(other)
    seen = b""
    asked = False
    try:
        while True:
            try:
                data = os.read(main, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            seen += data
            if not asked and b"line 1/15" in seen:
                os.write(main, b"q")
                asked = True
        assert program.wait(60) == 0
    finally:
        program.kill()
        os.close(main)
    assert b"malloc" in seen and b"Traceback" not in seen
    import re

    coloured = re.findall(rb"\x1b\[[0-9;]*\b(?:[34]8;[25]|[349][0-7]|10[0-7])[0-9;]*m", seen)
    assert bool(coloured) == colours, coloured[:5]


def test_what_is_typed_ahead_goes_where_the_keys_before_it_lead(trace_path: str) -> None:
    """All keys in one go, on a real terminal: into the prompt, to the call that is found, and the search's next."""
    main, other = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "24", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "uselib.cli", "trace", "tui", trace_path]
    program = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=environment)
    os.close(other)
    seen = b""
    steps = [(b"line 1/15", b"/strcmp\rn"), (b"3 calls of strcmp", b"f\x15libdraw*\r"), (b"line 1/4", b"xq")]
    try:
        while True:
            try:
                seen += os.read(main, 65536)
            except OSError:  # the other end is closed
                break
            if steps and steps[0][0] in seen:
                os.write(main, steps.pop(0)[1])
        assert program.wait(60) == 0 and not steps
    finally:
        program.kill()
        os.close(main)
    assert b"is not a depth" not in seen and b"nothing to fold" not in seen

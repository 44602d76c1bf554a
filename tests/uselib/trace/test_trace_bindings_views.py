"""Symbol bindings in the views: graph, report, terminal; on a trace of a dynamic program with threads that opens a library."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support import chromium
from support.command import uselib
from support.dynamic import SOURCES, build
from support.trace_writer import small
from uselib.trace.reading.decoding import decoder_for
from uselib.trace.reading.model import TraceFile

Rows = list[dict[str, Any]]
READY = "document.documentElement?.dataset.ready === 'yes'"


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bound")
    shared = ("-shared", "-fPIC", "-fno-builtin", "-DPLUGIN=1", "-Wl,-z,lazy")
    plugin = build("pie", SOURCES / "traced_library.c", folder / "plugin.so", *shared)
    program = build("pie", SOURCES / "threaded.c", folder / "threaded", "-pthread", "-fno-builtin", "-Wl,-z,lazy")
    path = folder / "trace"
    run("record", "--returns", "--bindings", "-o", path, "--root", "/", program, plugin)
    return path


def run(*words: str | Path) -> str:
    done = uselib("trace", *words)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def rows(trace: Path) -> Rows:
    events = [json.loads(line) for line in run("export", "--format", "jsonl", trace).splitlines()]
    return [event for event in events if event["event"] == "binding"]


def pairs(rows: Rows) -> Counter[tuple[str, str]]:
    return Counter((row["referrer"], row["definer"] or "(nothing)") for row in rows)


def test_graph_of_objects(trace: Path, rows: Rows) -> None:
    found: Counter[tuple[str, str]] = Counter()
    referrer = ""
    for line in run("graph", "--bindings", trace).splitlines():
        if of := re.match(r" +(\d+) {2}(\S+)$", line):
            referrer = of[2]
            assert int(of[1]) == sum(row["referrer"] == referrer for row in rows)
        elif to := re.match(r" +(\d+) {4}-> (\S+) {2}(.*?):", line):
            found[referrer, to[2]] = int(to[1])
            assert sum(int(number) for number in re.findall(r"\d+", to[3])) == int(to[1])
    assert found == pairs(rows) and found["threaded", "plugin.so"] == 1
    dot = run("graph", "--bindings", "--format", "dot", trace)
    names = dict(re.findall(r'^  (n\d+) \[label="([^"]+)"', dot, re.M))
    edges = {(names[a], names[b]): label for a, b, label in re.findall(r'(n\d+) -> (n\d+) \[label="([^"]+)"', dot)}
    assert edges.keys() == found.keys() and edges["threaded", "plugin.so"] == "1 dlsym"
    mermaid = run("graph", "--bindings", "--format", "mermaid", "--function", "plugin_step", trace).splitlines()
    assert mermaid == ["flowchart LR", '  n0["threaded"]', '  n1["plugin.so"]', '  n0 -->|"1 dlsym"| n1']


def test_graph_without_bindings(tmp_path: Path) -> None:
    ran = uselib("trace", "graph", "--bindings", small().save(tmp_path / "t"))
    assert ran.returncode == 2 and "no bindings in it; record with `uselib trace record --bindings`" in ran.stderr


def test_csv_has_bindings_and_threads(trace: Path, rows: Rows) -> None:
    table = list(csv.DictReader(io.StringIO(run("export", "--format", "csv", trace), newline="")))
    found = [row for row in table if row["event"] == "binding"]
    assert [(row["symbol"], row["library"], row["thread"]) for row in found] == [
        (row["symbol"], row["definer"], str(row["thread"])) for row in rows
    ]


def facts_of(trace: Path, out: Path) -> dict[str, Any]:
    run("report", "-o", out, trace)
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', out.read_text(), re.S)
    assert found is not None
    return dict(json.loads(found[1]))


def test_report(trace: Path, rows: Rows, tmp_path: Path) -> None:
    facts = facts_of(trace, tmp_path / "r.html")
    bound, names = facts["bindings"], facts["bindings"]["names"]
    assert [(names[row[2]], names[row[3]], names[row[4]], names[row[5]], row[9]) for row in bound["rows"]] == [
        (row["referrer"], row["symbol"], row["definer"], row["when"], row["asked"]) for row in rows
    ]
    assert [row[1] for row in bound["rows"]] == [row["thread"] for row in rows]
    assert {(a, b): sum(counts) for a, b, *counts in bound["pairs"]} == pairs(rows)
    functions = {row["name"]: row for row in facts["slots"]}
    assert functions["qsort@GLIBC_2.2.5"]["calls"] == 2 and functions["plugin_step"]["calls"] == 1
    code = functions["plugin_step"]["code"]  # of a position-independent file, at the addresses of the process
    assert code[0][0] == functions["plugin_step"]["address"]
    assert any("call" in text or "jmp" in text for _, _, text in code)


@pytest.mark.skipif(chromium.BINARY is None, reason="no Chromium here (Debian package chromium)")
def test_report_in_a_browser(trace: Path, rows: Rows, tmp_path: Path) -> None:
    facts_of(trace, tmp_path / "r.html")
    with chromium.Page(tmp_path / "profile") as page:
        page.open(tmp_path / "r.html", READY)
        assert page.run("document.querySelector('#slots-title').textContent") == "Functions"
        count = "document.querySelectorAll('#binding-table tbody tr').length"
        assert page.run(count) == len(rows)
        page.run(
            "const f = document.querySelector('#binding-filter'); f.value = 'plugin'; f.dispatchEvent(new Event('input'))"
        )
        narrowed = [r for r in rows if any("plugin" in r[key] for key in ("referrer", "symbol", "definer"))]
        assert page.run(count) == len(narrowed)
        page.run("f.value = ''; f.dispatchEvent(new Event('input'))")
        button = "[...document.querySelectorAll('#pair-table button')].find(b => b.textContent === 'plugin.so')"
        page.run(f"{button}.click()")
        first = next(key for key in pairs(rows) if key[0] == "plugin.so")
        assert page.run(count) in (pairs(rows)["plugin.so", "libc.so.6"], pairs(rows)[first])
        page.run("document.querySelector('#every-pair').click()")
        assert page.run(count) == len(rows)
        assert page.errors == []
        page.open(_plain(tmp_path), READY)
        assert page.run("document.querySelector('#bindings').hidden") is True
        assert page.run("document.querySelector('#slots-title').textContent") == "Slots"


def _plain(folder: Path) -> Path:
    """The report of a trace without bindings."""
    facts_of(Path(small().save(folder / "t")), folder / "plain.html")
    return folder / "plain.html"


def test_terminal(trace: Path, rows: Rows) -> None:
    """Threads in the lines, the table of bindings, a search in it, and from a binding to the event after it."""
    pytest.importorskip("textual", reason="the extra `tui` is not installed")
    from textual.widgets import Static

    from uselib.trace.tui.app import TraceApp
    from uselib.trace.tui.bindings_tab import BindingTable
    from uselib.trace.tui.view import Filter

    async def act(app: TraceApp) -> None:
        async with app.run_test(size=(140, 40)) as pilot:
            while not (app.index.complete and app.lines.decoder is app._decoder):
                await pilot.pause(0.01)
            app._grow()
            await pilot.pause(0.1)
            text = "\n".join(app.listing.render_line(y).text for y in range(app.listing.size.height))
            assert "[1000] " in text
            await pilot.press("3", *"/abs", "enter")
            await pilot.pause(0.2)
            table = app.query_one("#bindings", BindingTable)
            assert [row.binding.plain_symbol for row in table.rows_shown] == ["abs"]
            assert "1 binding of" in str(app.query_one("#status", Static).render())
            await pilot.press("enter")
            await pilot.pause(0.2)
            row = app.listing.row
            assert app.on_events and row is not None
            event = app.lines.pages.event(row)
            assert event is not None and event.function is not None
            assert (event.function.name.partition("@")[0], event.thread) == ("abs", 1001)
            await pilot.press("T", *"1001", "enter")
            await pilot.pause(0.2)
            assert {app.lines.pages.event(row).thread for row in app.view.rows.tolist()} == {1001}  # type: ignore[union-attr]

    with TraceFile(str(trace)) as opened:
        app = TraceApp(opened, opened.processes, Filter(), decoder_for(opened))
        try:
            asyncio.run(act(app))
        finally:
            app.index.close()
    assert app.failure is None and len(rows) > 100

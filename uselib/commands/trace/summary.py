"""`uselib trace summary FILE`: calls and time of each function and library (uselib/trace/reading/summary.py)."""

from __future__ import annotations

import sys

from uselib.commands.trace.reader import SELECTION, Given, Reader, choice, chosen_processes, count
from uselib.emulator.option_table import Option
from uselib.trace.reading.calltree import build
from uselib.trace.reading.model import TraceFile
from uselib.trace.reading.summary import SORTS, summary_of
from uselib.trace.reading.summary_text import as_json, as_text
from uselib.trace.reading.text import Colours


def show(given: Given, trace: TraceFile) -> None:
    tree = build(trace, chosen_processes(trace, given))
    sort = given.get("sort", "calls" if trace.clock == "calls" else "total")
    summary = summary_of(trace, tree, given.get("library", ()), given.get("symbol", ()), sort)
    if given.get("json"):
        print(as_json(summary))
        return
    by_library = given.get("by") == "library"
    for line in as_text(summary, Colours(sys.stdout), by_library, given.get("limit", 40), given.get("unused", False)):
        print(line)
    if tree.truncated:
        print(f"uselib: {trace.path}: too many different call paths; deep totals are approximate", file=sys.stderr)


run = Reader(
    usage="uselib trace summary [OPTIONS] FILE",
    about="""\
Counts the calls of a trace. Total time is with, self time without the recorded calls made from within; a recursive function's
total counts its outermost calls. A call whose return is not in the trace lasts until the next call at its depth.""",
    options={
        "--sort": Option("KEY", f"{', '.join(SORTS)} (default total; calls if the clock counts calls)", choice(*SORTS)),
        "--by": Option("WHAT", "function (default) or library", choice("function", "library")),
        "--limit": Option("N", "at most N rows (default 40; 0: all)", count),
        "--unused": Option("", "list every slot that was never used", None),
        "--json": Option("", "for programs: everything, unsorted by --limit", None),
        **{name: SELECTION[name] for name in ("--library", "--symbol", "--process")},
    },
    show=show,
).run

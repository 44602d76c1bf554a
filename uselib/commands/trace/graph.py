"""`uselib trace graph FILE`: who calls whom (uselib/trace/reading/graph.py)."""

from __future__ import annotations

import sys

from uselib.commands.trace.reader import SELECTION, Given, Reader, choice, chosen_processes, count
from uselib.emulator.option_table import Option
from uselib.linker.errors import Diagnostic, UsageError
from uselib.trace.reading import binding_graph
from uselib.trace.reading.calltree import CallTree, build
from uselib.trace.reading.graph import around, callees, callers, edges, named
from uselib.trace.reading.graph_text import FORMATS, as_tree
from uselib.trace.reading.model import TraceFile
from uselib.trace.reading.text import Colours


def show(given: Given, trace: TraceFile) -> None:
    if given.get("bindings"):
        _show_bindings(given, trace)
        return
    tree = build(trace, chosen_processes(trace, given))
    marked = _marked(trace, tree, given.get("function", ()))
    up, down = not given.get("callees"), not given.get("callers")
    if given.get("format", "text") == "text":
        _show_trees(trace, tree, marked, (up, down), given.get("depth", 12))
        return
    found = edges(tree, around(tree, marked, up, down) if marked else None)
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    limit = given.get("limit", 300) or len(ranked)
    for line in FORMATS[given["format"]](trace, dict(ranked[:limit]), marked):
        print(line)
    if len(ranked) > limit:
        print(f"uselib: {len(ranked) - limit} rarer edges left out; --limit 0 has all", file=sys.stderr)


def _show_bindings(given: Given, trace: TraceFile) -> None:
    patterns = given.get("function", ())
    rows = (row for process in chosen_processes(trace, given) for row in process.bindings)
    pairs = binding_graph.bound_pairs(rows, patterns)
    if not pairs:
        what = f"no binding of `{', '.join(patterns)}`" if patterns else "no bindings in it"
        remedy = "record with `uselib trace record --bindings`, and a dynamic program"
        raise UsageError(Diagnostic(trace.path, what, remedy=remedy))
    name = given.get("format", "text")
    lines = binding_graph.as_table(pairs, Colours(sys.stdout)) if name == "text" else binding_graph.FORMATS[name](pairs)
    for line in lines:
        print(line)


def _marked(trace: TraceFile, tree: CallTree, patterns: tuple[str, ...]) -> set[int]:
    """The functions of --function. Raises UsageError if the trace has none of them."""
    found = named(trace, tree, patterns) if patterns else set()
    if patterns and not found:
        message = f"no call of or from `{', '.join(patterns)}`"
        raise UsageError(Diagnostic(trace.path, message, remedy="`uselib trace summary` lists functions"))
    return found


def _show_trees(trace: TraceFile, tree: CallTree, marked: set[int], directions: tuple[bool, bool], depth: int) -> None:
    up, down = directions
    colour = Colours(sys.stdout)
    parts = []
    if marked and up:
        parts.append(("callers of", callers(tree, marked)))
    if down:
        parts.append(("calls from" if marked else "calls", callees(tree, marked or {-1})))
    for title, trees in parts:
        for number, top in sorted(trees.items(), key=lambda item: -item[1].calls):
            name = trace.functions[number].label if number >= 0 else trace.path
            print(colour("bold", f"# {title} {name}"))
            for line in as_tree(trace, top, depth, colour):
                print(line)


run = Reader(
    usage="uselib trace graph [OPTIONS] FILE",
    about="""\
Call graph with counts. With --function both directions: who calls it, and what it calls. Functions of the program
that call through a slot are shown although they are not recorded themselves. With --bindings the graph is that of objects:
which binds how many symbols to which, and when.""",
    options={
        "--function": Option("GLOB", "of these functions (SYMBOL or LIBRARY!SYMBOL)", many=True),
        "--callers": Option("", "only who calls it", None),
        "--callees": Option("", "only what it calls", None),
        "--bindings": Option(
            "", "which object binds to which (of `trace record --bindings`); --function: these symbols", None
        ),
        "--format": Option("FORMAT", "text, dot, mermaid (default text)", choice("text", *FORMATS)),
        "--depth": Option("N", "at most N levels (default 12)", count),
        "--limit": Option("N", "dot, mermaid: the N most frequent edges (default 300; 0: all)", count),
        "--process": SELECTION["--process"],
    },
    show=show,
).run

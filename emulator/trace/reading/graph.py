"""`uselib trace graph FILE`: who calls whom, from one function in both directions or of the whole program, as a tree in text or as
a graph for Graphviz and Mermaid."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from uselib.emulator.trace.reading.calltree import CallTree, build
from uselib.emulator.trace.reading.model import TraceFile
from uselib.emulator.trace.reading.options import (
    SELECTION,
    Colours,
    Option,
    choice,
    chosen_processes,
    count,
    matches,
    parse,
    warn,
)
from uselib.linker.errors import Diagnostic, UsageError

USAGE = "uselib trace graph [OPTIONS] FILE"
ABOUT = """Call graph with counts. With --function both directions: who calls it, and what it calls. Functions of the program
that call through a slot are shown although they are not recorded themselves."""
FORMATS = ("text", "dot", "mermaid")
OPTIONS = {
    "--function": Option("GLOB", "of these functions (SYMBOL or LIBRARY!SYMBOL)", many=True),
    "--callers": Option("", "only who calls it", None),
    "--callees": Option("", "only what it calls", None),
    "--format": Option("FORMAT", f"{', '.join(FORMATS)} (default text)", choice(*FORMATS)),
    "--depth": Option("N", "at most N levels (default 12)", count),
    "--limit": Option("N", "dot, mermaid: the N most frequent edges (default 300; 0: all)", count),
    "--process": SELECTION["--process"],
}


@dataclass
class Merged:
    """A node of a merged tree: calls and total time of everything that came here."""

    function: int
    calls: int = 0
    total: int = 0
    children: dict[int, Merged] = field(default_factory=dict)

    def child(self, function: int) -> Merged:
        found = self.children.get(function)
        if found is None:
            found = self.children[function] = Merged(function)
        return found

    def ordered(self) -> list[Merged]:
        return sorted(self.children.values(), key=lambda n: (-n.calls, -n.total, n.function))


def weights(tree: CallTree) -> list[int]:
    """Calls of each node; of a site and a root: of the calls made from it."""
    found: list[int] = tree.calls.tolist()
    for node in range(len(tree) - 1, -1, -1):
        parent = tree.parent[node]
        if parent >= 0 and (tree.site[parent] or tree.parent[parent] < 0):
            found[parent] += found[node]
    return found


def callees(tree: CallTree, functions: set[int]) -> dict[int, Merged]:
    """What was called below each of the functions; -1 stands for the processes' roots."""
    calls, total = weights(tree), tree.total.tolist()
    trees: dict[int, Merged] = {}
    places: list[Merged | None] = []
    for node, (parent, function) in enumerate(zip(tree.parent, tree.function, strict=True)):
        above = places[parent] if parent >= 0 else None
        place = above.child(function) if above is not None else None
        if place is None and function in functions:
            place = trees.setdefault(function, Merged(function))
        if place is not None:
            place.calls += calls[node]
            place.total += total[node]
        places.append(place)
    return trees


def callers(tree: CallTree, functions: set[int]) -> dict[int, Merged]:
    """Upside down: who called each of the functions, and who called that."""
    calls, total = weights(tree), tree.total.tolist()
    trees: dict[int, Merged] = {}
    for node, function in enumerate(tree.function):
        if function not in functions or not calls[node]:
            continue
        place = trees.setdefault(function, Merged(function))
        at = node
        while True:
            place.calls += calls[node]
            place.total += total[node]
            at = tree.parent[at]
            if at < 0 or tree.parent[at] < 0:
                break
            place = place.child(tree.function[at])
    return trees


def edges(tree: CallTree, kept: set[int] | None = None) -> dict[tuple[int, int], int]:
    """(caller, callee) -> calls. kept: only among these nodes of the tree."""
    calls = weights(tree)
    found: dict[tuple[int, int], int] = defaultdict(int)
    for node, parent in enumerate(tree.parent):
        if parent >= 0 and tree.parent[parent] >= 0 and (kept is None or (node in kept and parent in kept)):
            found[tree.function[parent], tree.function[node]] += calls[node]
    return dict(found)


def _around(tree: CallTree, functions: set[int], up: bool, down: bool) -> set[int]:
    """Nodes above and below those of the functions."""
    kept: set[int] = set()
    for node, function in enumerate(tree.function):
        if function in functions:
            kept.add(node)
            at = tree.parent[node]
            while up and at >= 0 and at not in kept:
                kept.add(at)
                at = tree.parent[at]
    if down:
        below: set[int] = set()
        for node, parent in enumerate(tree.parent):
            if tree.function[node] in functions or parent in below:
                below.add(node)
        kept |= below
    return kept


def _text(trace: TraceFile, top: Merged, depth: int, colour: Colours) -> Iterator[str]:
    """A tree with box-drawing branches."""
    stack: list[tuple[Merged, str, str, int]] = [(top, "", "", 0)]
    while stack:
        node, branch, indent, level = stack.pop()
        name = trace.functions[node.function].label if node.function >= 0 else "(all)"
        time = colour("dim", f"  <{node.total:,}>") if node.total else ""
        yield f"{node.calls:>10,}  {colour('dim', branch)}{colour('cyan', name)}{time}"
        rows = node.ordered()
        if level + 1 >= depth and rows:
            yield f"{'':>10}  {indent}└─ ... {len(rows)} more below"
            continue
        for number, row in reversed(list(enumerate(rows))):
            last = number == len(rows) - 1
            stack.append((row, indent + ("└─ " if last else "├─ "), indent + ("   " if last else "│  "), level + 1))


def _label(trace: TraceFile, number: int) -> str:
    return trace.functions[number].label


def _dot(trace: TraceFile, found: dict[tuple[int, int], int], marked: set[int]) -> Iterator[str]:
    def quote(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    yield "digraph calls {"
    yield "  rankdir=LR; node [shape=box, fontname=monospace];"
    for number in sorted({n for edge in found for n in edge} | marked):
        style = (
            ", style=filled" if number in marked else (", style=rounded" if not trace.functions[number].slot else "")
        )
        yield f"  n{number} [label={quote(_label(trace, number))}{style}];"
    most = max(found.values(), default=1)
    for (a, b), calls in found.items():
        yield f"  n{a} -> n{b} [label={calls}, penwidth={1 + 4 * calls / most:.2f}];"
    yield "}"


def _mermaid(trace: TraceFile, found: dict[tuple[int, int], int], marked: set[int]) -> Iterator[str]:
    yield "flowchart LR"
    for number in sorted({n for edge in found for n in edge} | marked):
        label = "".join(c if c.isalnum() or c in "_!.@+-() " else f"#{ord(c)};" for c in _label(trace, number))
        yield f'  n{number}["{label}"]' if trace.functions[number].slot else f'  n{number}(["{label}"])'
    for (a, b), calls in found.items():
        yield f"  n{a} -->|{calls}| n{b}"
    for number in sorted(marked):
        yield f"  style n{number} stroke-width:3px"


def wanted(trace: TraceFile, tree: CallTree, patterns: tuple[str, ...]) -> set[int]:
    """Numbers of the functions in the tree that the globs name. Raises UsageError if there are none."""
    seen = {function for function in tree.function if function >= 0}
    found = {
        n for n in seen if matches(trace.functions[n].label, patterns) or matches(trace.functions[n].name, patterns)
    }
    if not found:
        raise UsageError(
            Diagnostic(
                trace.path,
                f"no call of or from `{', '.join(patterns)}`",
                remedy="`uselib trace summary` lists functions",
            )
        )
    return found


def run(arguments: list[str]) -> int:
    """Returns 0. Raises ToolError, OSError."""
    parsed = parse(USAGE, ABOUT, arguments, OPTIONS)
    if parsed is None:
        return 0
    (path,), values = parsed
    with TraceFile(path) as trace:
        tree = build(trace, chosen_processes(trace, values))
        patterns = values.get("function", ())
        marked = wanted(trace, tree, patterns) if patterns else set()
        up, down = not values.get("callees"), not values.get("callers")
        warn(trace)
        if values.get("format", "text") == "text":
            colour, depth = Colours(sys.stdout), values.get("depth", 12)
            parts = []
            if marked and up:
                parts.append(("callers of", callers(tree, marked)))
            if down:
                parts.append(("calls from" if marked else "calls", callees(tree, marked or {-1})))
            for title, trees in parts:
                for number, top in sorted(trees.items(), key=lambda item: -item[1].calls):
                    name = trace.functions[number].label if number >= 0 else path
                    print(colour("bold", f"# {title} {name}"))
                    for line in _text(trace, top, depth, colour):
                        print(line)
            return 0
        found = edges(tree, _around(tree, marked, up, down) if marked else None)
        ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        limit = values.get("limit", 300) or len(ranked)
        for line in {"dot": _dot, "mermaid": _mermaid}[values["format"]](trace, dict(ranked[:limit]), marked):
            print(line)
        if len(ranked) > limit:
            print(f"uselib: {len(ranked) - limit} rarer edges left out; --limit 0 has all", file=sys.stderr)
    return 0

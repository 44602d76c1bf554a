"""Who calls whom: from one function in both directions, or of the whole program. graph_text.py shows it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from uselib.trace.reading.calltree import CallTree
from uselib.trace.reading.model import TraceFile
from uselib.trace.reading.text import matches


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
    """The tree inverted: who called each of the functions, and who called those."""
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


def around(tree: CallTree, functions: set[int], up: bool, down: bool) -> set[int]:
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


def named(trace: TraceFile, tree: CallTree, patterns: tuple[str, ...]) -> set[int]:
    """Numbers of the functions in the tree that the globs name; empty if there are none."""
    seen = {function for function in tree.function if function >= 0}
    functions = trace.functions
    return {n for n in seen if matches(functions[n].label, patterns) or matches(functions[n].name, patterns)}

"""A call graph as a tree in text, and as a graph for Graphviz (dot) and Mermaid."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from uselib.trace.reading.graph import Merged
from uselib.trace.reading.model import TraceFile
from uselib.trace.reading.text import Colours

Edges = dict[tuple[int, int], int]  # (caller, callee) -> calls


def as_tree(trace: TraceFile, top: Merged, depth: int, colour: Colours) -> Iterator[str]:
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


def _dot(trace: TraceFile, found: Edges, marked: set[int]) -> Iterator[str]:
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


def _mermaid(trace: TraceFile, found: Edges, marked: set[int]) -> Iterator[str]:
    yield "flowchart LR"
    for number in sorted({n for edge in found for n in edge} | marked):
        label = "".join(c if c.isalnum() or c in "_!.@+-() " else f"#{ord(c)};" for c in _label(trace, number))
        yield f'  n{number}["{label}"]' if trace.functions[number].slot else f'  n{number}(["{label}"])'
    for (a, b), calls in found.items():
        yield f"  n{a} -->|{calls}| n{b}"
    for number in sorted(marked):
        yield f"  style n{number} stroke-width:3px"


FORMATS: dict[str, Callable[[TraceFile, Edges, set[int]], Iterator[str]]] = {"dot": _dot, "mermaid": _mermaid}

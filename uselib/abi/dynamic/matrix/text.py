"""A matrix for a terminal: an aligned table, then what differed, a few lines for each cell."""

from __future__ import annotations

from collections.abc import Iterator

from uselib.abi.dynamic.matrix.spec import Cell, MatrixResult
from uselib.linker.errors import printable

_COLOURS = {"identical on this run": "32", "diverged": "31;1", "not comparable": "33", "baseline": "2"}
_WORDS = {"identical on this run": "identical", "diverged": "DIVERGED", "not comparable": "n/c", "baseline": "baseline"}
_WIDEST = 48  # columns of a program's label


def short(cell: Cell) -> str:
    """A cell in a word or two."""
    word = _WORDS[cell.verdict]
    if cell.result is None:
        return word
    if cell.result.divergence is not None:
        return f"{word}: {cell.result.divergence.kind}"
    covered = cell.result.coverage
    if cell.result.verdict == "identical on this run" and covered is not None and covered.bindings_unused:
        return f"{word} {len(covered.bindings_used)}/{covered.bindings}"
    return word


def legend(result: MatrixResult) -> list[str]:
    """Explanations for cells that are identical in the part that ran."""
    if not any("/" in short(cell) for cell in result.cells if cell.verdict == "identical on this run"):
        return []
    return [
        "identical N/M: the run used N of the M names that the program takes from the library; nothing is known about the others"
    ]


def details(cell: Cell) -> list[str]:
    """Why a cell is not `identical`: its first divergence with both sides, or its reason."""
    result = cell.result
    if result is None or result.verdict == "identical on this run":
        return []
    if result.divergence is None:
        return [result.reason or "no reason given"]
    found = result.divergence
    lines = [found.message, f"{cell.baseline}: {found.old}", f"{cell.version}: {found.new}"]
    if found.explanation:
        lines.append(f"because {found.explanation}" + (f" [{found.finding}]" if found.finding else ""))
    return [line for line in lines if line.strip()]


def summary(result: MatrixResult) -> str:
    """One line: how many cells, and what they are."""
    counts = result.counts
    compared = sum(counts.values()) - counts["baseline"]
    cached = sum(cell.cached for cell in result.cells)
    parts = [
        f"{counts[name]} {name}" for name in ("identical on this run", "diverged", "not comparable") if counts[name]
    ]
    return f"{compared} {'cell' if compared == 1 else 'cells'}: {', '.join(parts) or 'nothing compared'}" + (
        f" ({cached} from the cache)" if cached else ""
    )


def _cut(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."


def render(result: MatrixResult, colour: bool = False) -> Iterator[str]:
    """Lines. colour: with ANSI sequences."""

    def painted(text: str, verdict: str) -> str:
        return f"\033[{_COLOURS[verdict]}m{text}\033[0m" if colour else text

    rows = result.rows()
    first = max(len(_cut(name)) for name, _ in rows)
    widths = [
        max([len(printable(version)), *(len(short(cells[n])) for _, cells in rows)])
        for n, version in enumerate(result.versions)
    ]
    titles = [f"{printable(version):<{width}}" for version, width in zip(result.versions, widths, strict=True)]
    yield f"{'':<{first}}  {'  '.join(titles)}".rstrip()
    for name, cells in rows:
        columns = []
        for cell, width in zip(cells, widths, strict=True):
            text = short(cell)
            columns.append(painted(text, cell.verdict) + " " * (width - len(text)))
        yield f"{_cut(name):<{first}}  {'  '.join(columns)}".rstrip()
    for cell in result.cells:
        lines = details(cell)
        if lines:
            yield ""
            yield painted(f"{_cut(cell.program)} on {printable(cell.version)}: {cell.verdict}", cell.verdict)
            yield from (f"  {printable(line)}" for text in lines for line in text.splitlines())
    yield ""
    yield summary(result)
    yield from legend(result)
    yield from (f"note: {printable(note)}" for note in result.notes)

"""A matrix as one HTML page that loads nothing from the network. Everything that came from files is escaped."""

from __future__ import annotations

from html import escape

from uselib.abi.dynamic.matrix.spec import Cell, MatrixResult
from uselib.abi.dynamic.matrix.text import details, legend, short, summary
from uselib.linker.errors import printable

_CLASSES = {
    "identical on this run": "same",
    "diverged": "diverged",
    "not comparable": "unknown",
    "baseline": "baseline",
}
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem; } table { border-collapse: collapse; }
th, td { padding: .35rem .8rem; border: 1px solid #8886; text-align: left; vertical-align: top; }
th[scope=row] { font-family: ui-monospace, monospace; font-weight: normal; }
.same { background: #2a92; } .diverged { background: #d335; font-weight: bold; } .unknown { background: #da25; }
.baseline { color: #888; } section { margin-top: 1.2rem; } pre { margin: .3rem 0 0 1rem; white-space: pre-wrap; }
"""


def _text(text: str) -> str:
    return escape("\n".join(printable(line) for line in text.splitlines()).encode("utf-8", "backslashreplace").decode())


def _cell(cell: Cell, number: int) -> str:
    inner = _text(short(cell))
    if details(cell):
        inner = f'<a href="#c{number}">{inner}</a>'
    return f'<td class="{_CLASSES[cell.verdict]}">{inner}</td>'


def page(result: MatrixResult) -> str:
    """The whole document."""
    numbers = {id(cell): number for number, cell in enumerate(result.cells)}
    heads = "".join(f'<th scope="col">{_text(version)}</th>' for version in result.versions)
    rows = "\n".join(
        f'<tr><th scope="row">{_text(name)}</th>{"".join(_cell(cell, numbers[id(cell)]) for cell in cells)}</tr>'
        for name, cells in result.rows()
    )
    sections = "\n".join(
        f'<section id="c{number}"><h2>{_text(cell.program)} on {_text(cell.version)}: {_text(cell.verdict)}</h2>'
        f"<pre>{_text(chr(10).join(details(cell)))}</pre></section>"
        for number, cell in enumerate(result.cells)
        if details(cell)
    )
    notes = "".join(f"<p>{_text(note)}</p>" for note in (*legend(result), *result.notes))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>uselib abi matrix</title><style>{_STYLE}</style></head>
<body><h1>Programs x versions</h1>
<p>{_text(summary(result))}</p>
<table><thead><tr><td></td>{heads}</tr></thead>
<tbody>
{rows}
</tbody></table>
{sections}{notes}</body></html>
"""

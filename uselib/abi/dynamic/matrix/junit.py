"""A matrix as JUnit XML, as CI servers read it: a suite for each version, a case for each program. A divergence is a failure, a cell
that is not comparable an error, the baseline is left out."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from uselib.abi.dynamic.matrix.spec import Cell, MatrixResult
from uselib.abi.dynamic.matrix.text import details, short
from uselib.linker.errors import printable

# XML 1.0, production 2: what no document may contain, not even as a reference
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("?", "\n".join(printable(line) for line in text.splitlines()))


def _attribute(text: str) -> str:
    return quoteattr(_clean(text))


def _case(cell: Cell) -> str:
    head = f"<testcase classname={_attribute(f'abi.{cell.version}')} name={_attribute(cell.program)}"
    tag = {"diverged": "failure", "not comparable": "error"}.get(cell.verdict)
    if tag is None:
        return f"    {head}/>"
    text = escape(_clean("\n".join(details(cell))))
    return f"    {head}>\n      <{tag} message={_attribute(short(cell))}>{text}</{tag}>\n    </testcase>"


def document(result: MatrixResult) -> str:
    """The whole document."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    counts = result.counts
    total = sum(counts.values()) - counts["baseline"]
    lines.append(
        f'<testsuites name="uselib abi matrix" tests="{total}" failures="{counts["diverged"]}" errors="{counts["not comparable"]}">'
    )
    for number, version in enumerate(result.versions):
        cells = [cells[number] for _, cells in result.rows() if cells[number].result is not None]
        failures = sum(cell.verdict == "diverged" for cell in cells)
        errors = sum(cell.verdict == "not comparable" for cell in cells)
        lines.append(
            f'  <testsuite name={_attribute(version)} tests="{len(cells)}" failures="{failures}" errors="{errors}">'
        )
        lines += map(_case, cells)
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])

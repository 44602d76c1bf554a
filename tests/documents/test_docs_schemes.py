"""docs/schemes.md: every cell of its tables has a test that exists, or says "not done"."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from support.paths import ROOT

DOCUMENT = ROOT / "docs" / "schemes.md"
LINK = re.compile(r"\[[^]]+\]\(\.\./tests/((?:\w+/)*test_\w+\.py)#(test_\w+)\)")
TRAITS = [
    *("system", "who maps", "when", "table", "slot", "data", "versions"),
    *("malloc of the program", "errno of the program"),
    "errors",
]
NOT_DONE = "not done"


@cache
def functions(file: str) -> frozenset[str]:
    """The test functions of a file; none if there is no such file."""
    path = ROOT / "tests" / file
    if not path.exists():
        return frozenset()
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def tables() -> list[list[list[str]]]:
    """Rows of cells; the first row of each table is its head."""
    found = []
    for block in re.findall(r"(?:^\|.*\n?)+", DOCUMENT.read_text(), re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]
        found.append([rows[0], *rows[2:]])
    return found


def problems(cell: str, extra: str = "") -> list[str]:
    links = LINK.findall(cell)
    if not links and cell != extra:
        return [f"without a test: {cell}"]
    return [f"no {name} in tests/{file}" for file, name in links if name not in functions(file)]


def test_every_trait_is_shown_by_a_test() -> None:
    head, *rows = tables()[0]
    assert head == TRAITS and len(rows) >= 10
    assert [problem for row in rows for cell in row[1:] for problem in problems(cell, NOT_DONE)] == []
    assert all(len(row) == len(head) for row in rows)


def test_every_check_has_a_test() -> None:
    head, *rows = tables()[1]
    assert head == ["where", "what is wrong", "what happens", "tests"] and len(rows) >= 40
    assert [problem for row in rows for problem in problems(row[3], NOT_DONE)] == []


def test_every_test_of_bad_input_is_listed() -> None:
    """The other direction: what test_historical_errors*.py provoke stands in the document."""
    listed = set(LINK.findall(DOCUMENT.read_text()))
    files = sorted((ROOT / "tests" / "historical").glob("test_historical_errors*.py"))
    paths = [str(path.relative_to(ROOT / "tests")) for path in files]
    assert paths
    unlisted = [
        (path, name)
        for path in paths
        for name in sorted(functions(path))
        if name.startswith("test_") and (path, name) not in listed
    ]
    assert unlisted == []


@pytest.mark.parametrize(
    "cell", ["words only", "[x](../tests/test_none.py#test_x)", "[x](../tests/test_docs_schemes.py#test_none)"]
)
def test_a_cell_that_is_not_true_is_found(cell: str) -> None:
    assert problems(cell, NOT_DONE)


def test_other_documents_that_are_named_exist() -> None:
    for name in re.findall(r"docs/([\w-]+\.md)", DOCUMENT.read_text()):
        assert (ROOT / "docs" / name).exists(), name

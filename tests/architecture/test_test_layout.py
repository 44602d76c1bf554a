"""The tests' own order: they import from support/, never from each other, and the formatter lays all of them out."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from support.paths import ROOT

TESTS = sorted((ROOT / "tests").rglob("*.py"))
FOLDERS = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()} - {"support", "uselib", "programs"}
"""`uselib` is the package itself: tests/uselib is behind it on the path."""
SKIPS_ALLOWED = 8


def imported(path: Path) -> set[str]:
    """Modules, also those imported in functions."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def is_test(module: str) -> bool:
    return module.split(".")[0] in FOLDERS or any(part.startswith("test_") for part in module.split("."))


def test_tests_import_no_tests() -> None:
    assert TESTS
    found = [f"{path.name}: {module}" for path in TESTS for module in imported(path) if is_test(module)]
    assert not found


def test_no_file_name_twice() -> None:
    """pytest imports a test file by its name alone."""
    names = Counter(path.name for path in TESTS if path.name.startswith("test_"))
    assert [name for name, times in names.items() if times > 1] == []


def test_the_formatter_is_rarely_switched_off() -> None:
    mark = "# fmt: " + "skip"
    files = [*TESTS, *(ROOT / "benchmarks").glob("*.py")]
    found = [
        f"{path.name}:{n}" for path in files for n, line in enumerate(path.read_text().splitlines(), 1) if mark in line
    ]
    assert len(found) <= SKIPS_ALLOWED, found


def test_the_check_would_notice() -> None:
    assert is_test("historical.test_coff") and is_test("test_imports") and not is_test("support.coff")

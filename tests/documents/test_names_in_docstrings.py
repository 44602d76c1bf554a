"""Docstrings and comments name files of the project that exist: a module that moves takes its name along."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.paths import ROOT

FOLDERS = ("linker", "loader", "runtime", "emulator", "uselib", "tests", "benchmarks", "scripts")
MODULE = re.compile(r"(?<![\w/.<*{}-])[\w/]+\.py\b")
PATH = re.compile(rf"(?<![\w/.<*-])(?:{'|'.join(FOLDERS)})/[\w./-]*\w\.(?:py|c|h|S|md|toml|txt)\b")
PLACEHOLDERS = re.compile(r"\b(NAME|ID|FILE|N)\b")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def sources(*endings: str) -> list[Path]:
    """Files of the project by their endings, each once (`uselib/linker` and the like are links)."""
    found = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.suffix in endings)
    return [path for path in found if not any(parent.is_symlink() for parent in path.parents)]


NAMES = {
    "setup.py",
    *(str(path.relative_to(ROOT)) for path in sources(".py", ".c", ".h", ".S", ".md", ".toml", ".txt")),
}


def docstrings(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node, clean=False) or ""


def prose(path: Path) -> str:
    text = path.read_text()
    if path.suffix != ".py":
        return "\n".join(COMMENT.findall(text))
    comments = [] if "tests" in path.parts else re.findall(r"(?:^|\s)# .*", text)
    return "\n".join([*docstrings(text), *comments])


def missing(text: str) -> set[str]:
    """The named files that the project does not have. A name may leave out the folders in front."""
    found = {name for pattern in (MODULE, PATH) for name in pattern.findall(text) if not PLACEHOLDERS.search(name)}
    return {name for name in found if name not in NAMES and not any(known.endswith(f"/{name}") for known in NAMES)}


@pytest.mark.parametrize("folder", FOLDERS)
def test_files_that_are_named_exist(folder: str) -> None:
    files = [path for path in sources(".py", ".c", ".h", ".S") if path.relative_to(ROOT).parts[0] == folder]
    found = {str(path.relative_to(ROOT)): names for path in files if (names := missing(prose(path)))}
    assert not found


def test_the_check_would_notice() -> None:
    text = "See scheduler.py, gone.py, emulator/machine/native/core/core.h, linker/native/gone.c and rules/ID.py."
    assert missing(text) == {"gone.py", "linker/native/gone.c"}

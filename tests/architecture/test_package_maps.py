"""The docstring of a package is a map: it names every module of a package with more than four, and no module that is gone."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from support.paths import ROOT

PACKAGES = [
    path
    for top in ("linker", "loader", "runtime", "emulator", "uselib")
    for path in sorted((ROOT / top).rglob("__init__.py"))
    if not any(parent.is_symlink() for parent in path.parents if parent != ROOT and ROOT in parent.parents)
]
# a module for each command, named as the command is
COMMANDS = {"uselib/commands", "uselib/commands/trace"}


def test_packages_are_found() -> None:
    assert len(PACKAGES) > 40


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_map_of_package(package: Path) -> None:
    folder = package.parent
    text = ast.get_docstring(ast.parse(package.read_text())) or ""
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    named = set(re.findall(r"\b(\w+)(?:\.py)?\b", text))
    if len(modules) > 4 and str(folder.relative_to(ROOT)) not in COMMANDS:
        assert not modules - named, "modules that the package's docstring does not name"
    for name in re.findall(r"^(\w+\.py)\b", text, re.MULTILINE):
        assert (folder / name).exists(), f"the docstring names {name}, which is gone"
    for name in re.findall(r"^(\w+)/ ", text, re.MULTILINE):
        assert (folder / name).is_dir(), f"the docstring names {name}/, which is gone"

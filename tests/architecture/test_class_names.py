"""A class has its name for itself: whoever reads `Machine` knows which one it is, and a search for a name finds one thing."""

from __future__ import annotations

import ast
from collections import defaultdict

from support.paths import ROOT

PACKAGES = ("linker", "loader", "runtime", "emulator", "uselib")


def test_no_class_name_is_used_twice() -> None:
    places = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if any(parent.is_symlink() for parent in path.parents if parent.is_relative_to(ROOT) and parent != ROOT):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert len(places) > 500
    assert {name: found for name, found in places.items() if len(found) > 1} == {}

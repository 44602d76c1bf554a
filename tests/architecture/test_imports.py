"""The direction of imports between the packages, and that there are no circles, read with ast (ARCHITECTURE.md).

Imports within functions and under TYPE_CHECKING count like any other.
"""

import ast
import functools
from collections.abc import Iterator

import pytest

from support.paths import ROOT

# package -> what it may import of the project, by the longest prefix
MAY_IMPORT = {
    "uselib.linker": {"uselib.linker"},
    "uselib.loader": {"uselib.loader", "uselib.linker"},
    "uselib.runtime": {"uselib.runtime", "uselib.linker"},
    "uselib.emulator": {"uselib.emulator", "uselib.linker", "uselib.loader", "uselib.runtime"},
    "uselib.abi.static": {"uselib.abi.static", "uselib.linker", "uselib.loader"},
    "uselib.trace": {"uselib.trace", "uselib.emulator", "uselib.linker", "uselib.loader"},
    "uselib.abi": {"uselib.abi", "uselib.trace", "uselib.emulator", "uselib.linker", "uselib.loader", "uselib.runtime"},
    "uselib": {"uselib"},
}
FOLDERS = ("linker", "loader", "runtime", "emulator", "uselib")


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Module name -> its syntax tree, of the whole project. The links in uselib/ are not followed: their targets are read."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts if parts[0] == "uselib" else ("uselib", *parts)
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.setdefault(name, ast.parse(path.read_text()))
    return found


def imported(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """Every module of `known` that the tree imports, and every name that it passes to import_module with a constant beginning."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else node.module
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            argument = node.args[0]
            head = argument.values[0] if isinstance(argument, ast.JoinedStr) else argument
            if isinstance(head, ast.Constant):
                yield str(head.value).rstrip(".")


def owner(module: str) -> str:
    """The package of MAY_IMPORT that a module belongs to."""
    return max((p for p in MAY_IMPORT if f"{module}.".startswith(f"{p}.")), key=len, default="")


def wrong(module: str, tree: ast.AST, known: set[str]) -> list[str]:
    """What the module imports against the direction."""
    allowed = MAY_IMPORT[owner(module)]
    ours = [name for name in imported(tree, known) if name == "uselib" or name.startswith("uselib.")]
    return [name for name in ours if not any(f"{name}.".startswith(f"{package}.") for package in allowed)]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package: str) -> None:
    known = set(modules())
    checked = 0
    for module, tree in modules().items():
        if owner(module) == package:
            checked += 1
            assert not (found := wrong(module, tree, known)), f"{module} imports {', '.join(sorted(found))}"
    assert checked


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one module (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(edges.get(node, ())):
            if target not in index:
                visit(target)
            if target in stack:
                low[node] = min(low[node], low[target])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def test_no_circles() -> None:
    known = set(modules())
    edges = {
        module: {name for name in imported(tree, known) if name in known} - {module}
        for module, tree in modules().items()
    }
    assert circles(edges) == []


def test_linker_and_loader_know_nothing_of_unicorn() -> None:
    for module, tree in modules().items():
        if owner(module) in ("uselib.linker", "uselib.loader", "uselib.runtime"):
            assert not [name for name in imported(tree, set()) if name.split(".")[0] == "unicorn"], module


def test_the_readers_of_imports_see_each_form() -> None:
    source = (
        "import uselib.loader.exec\nfrom uselib.linker import image\ndef f():\n    from uselib import abi\n"
        "if TYPE_CHECKING:\n    import uselib.runtime\nimportlib.import_module(f'uselib.commands.{x}')\n"
    )
    found = set(imported(ast.parse(source), {"uselib.linker.image", "uselib.abi"}))
    assert found == {"uselib.loader.exec", "uselib.linker.image", "uselib.abi", "uselib.runtime", "uselib.commands"}
    assert wrong("uselib.linker.x", ast.parse(source), {"uselib.abi"}) != []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_no_package_is_most_of_the_code() -> None:
    lines = dict.fromkeys(FOLDERS, 0)
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            lines[folder] += len(path.read_text().splitlines())
    assert max(lines.values()) < 0.4 * sum(lines.values()), lines

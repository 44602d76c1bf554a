"""The direction of imports between the four packages, read with ast (ARCHITECTURE.md)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "linker": {"linker"},
    "loader": {"loader", "linker"},
    "runtime": {"runtime", "linker"},
    "emulator": {"emulator", "linker", "loader", "runtime"},
}


def imported_packages(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
            argument = node.args[0]
            head = argument.values[0] if isinstance(argument, ast.JoinedStr) else argument
            if isinstance(head, ast.Constant):
                found.add(str(head.value).split(".")[0])
    return found & MAY_IMPORT.keys()


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package: str) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        wrong = imported_packages(path.read_text()) - MAY_IMPORT[package]
        assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(sorted(wrong))}"


def test_linker_and_loader_know_nothing_of_unicorn() -> None:
    for package in ("linker", "loader", "runtime"):
        for path in (ROOT / package).rglob("*.py"):
            assert "import unicorn" not in path.read_text(), path


def test_reader_of_imports_sees_each_form() -> None:
    source = "import loader.exec\nfrom linker import image\nimportlib.import_module(f'emulator.commands.{x}')\n"
    assert imported_packages(source) == {"loader", "linker", "emulator"}

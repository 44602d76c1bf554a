"""ARCHITECTURE.md is short, and every path that it and the other documents name is there."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from support.paths import ROOT

DOCUMENTS = sorted(
    [*ROOT.glob("docs/*.md"), *ROOT.glob("*.md"), ROOT / "runtime" / "README.md", *ROOT.glob("samples/*/README.md")]
)
FOLDERS = "linker|loader|runtime|emulator|uselib|tests|samples|docs|benchmarks|scripts"
NAMED = re.compile(rf"(?<![\w/.$-])(?:{FOLDERS})/[\w./{{}},*-]*")
LINK = re.compile(r"\]\(([^)#:]+)(#[^)]*)?\)")
PLACEHOLDERS = re.compile(r"\b(NAME|ID|FILE)\b|\*")


def prose(text: str) -> str:
    """The text without examples: what a console shows is about the reader's own files."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def spelled_out(path: str) -> list[str]:
    """`{a,b}.md` is a.md and b.md."""
    parts = re.split(r"\{([^}]*)\}", path)
    choices = [part.split(",") if number % 2 else [part] for number, part in enumerate(parts)]
    return ["".join(words) for words in product(*choices)]


def named_paths(text: str) -> set[str]:
    found = (path for match in NAMED.finditer(prose(text)) for path in spelled_out(match[0].rstrip(".,-")))
    return {path for path in found if "{" not in path and "}" not in path}


def exists(path: str, folder: Path = ROOT) -> bool:
    """In the project, or in the document's own folder (a sample is a project of its own)."""
    if PLACEHOLDERS.search(path):
        return any(ROOT.glob(PLACEHOLDERS.sub("*", path).rstrip("/")))
    return (ROOT / path).exists() or (folder / path).exists()


def test_the_guided_tour_is_short() -> None:
    lines = (ROOT / "ARCHITECTURE.md").read_text().splitlines()
    assert len(lines) <= 250
    assert not [line for line in lines if len(line) > 120]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_that_are_named_exist(document: Path) -> None:
    missing = [path for path in named_paths(document.read_text()) if not exists(path, document.parent)]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = {match[1] for match in LINK.finditer(prose(document.read_text()))}
    assert not [target for target in targets if not (document.parent / target).exists()]


def test_the_check_would_notice() -> None:
    text = "See `linker/nothing.py`, emulator/kernel/{table,absent}.py and uselib/abi/static/rules/ID.toml.\n"
    assert {path for path in named_paths(text) if not exists(path)} == {
        "linker/nothing.py",
        "emulator/kernel/absent.py",
    }

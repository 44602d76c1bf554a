"""docs/exercises.md, aout.md, svr3.md and textbook.md are made of what really happens: files written, commands run, output compared.

`python tests/documents/test_docs_historical.py` writes the outputs into the documents anew (with USELIB_SLS=DIR those of genuine programs too).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from support import documents
from support.documents import CONSOLE
from support.paths import ROOT
from support.tools import needs

DOCS = ROOT / "docs"
NAMES = ("exercises", "textbook", "svr3", "aout")
GENUINE = re.compile(r"^```console with the tree\n(.*?)^```", re.MULTILINE | re.DOTALL)
SLS = Path(os.environ.get("USELIB_SLS", "/nonexistent"))


def prepared(folder: Path, text: str) -> dict[str, str]:
    tools = {"uselib": "-m uselib.cli ", "python3": ""}
    dropped = ("COLUMNS", "NO_COLOR", "PYTHONPATH", "LD_LIBRARY_PATH", "USELIB_VERSION_RULE")
    more = {"LC_ALL": "C", "SLS": str(SLS), "USELIB": str(ROOT)}
    return documents.prepared(folder, GENUINE.sub("", text), tools, dropped, more)


def session(block: str, folder: Path, environment: dict[str, str]) -> str:
    """The block as it comes out now: each command (a line that ends with a backslash goes on), then what it prints."""
    shown = []
    for command in re.findall(r"^\$ ((?:.*\\\n)*.*)", block, re.MULTILINE):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said = done.stdout.replace(str(folder), "/home/me/demo").replace(str(SLS), "sls")
        shown.append(f"$ {command}\n{said}")
    return "".join(shown)


@pytest.mark.slow
@needs("gcc")
@pytest.mark.parametrize("name", NAMES)
def test_the_document_shows_what_happens(name: str, tmp_path: Path) -> None:
    text = (DOCS / f"{name}.md").read_text()
    folder = tmp_path.resolve()
    environment = prepared(folder, text)
    blocks = CONSOLE.findall(text)
    assert blocks
    for block in blocks:
        assert session(block, folder, environment) == block
    if (SLS / "lib" / "libc.so.4.3.3").exists():
        for block in GENUINE.findall(text):
            assert session(block, folder, environment) == block


def test_every_question_has_a_demonstration() -> None:
    parts = (DOCS / "exercises.md").read_text().split("\n## ")[1:]
    assert len(parts) >= 11
    for part in parts:
        assert "```console" in part, part.splitlines()[0]


def rewrite(name: str) -> None:
    path = DOCS / f"{name}.md"
    text = path.read_text()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve()
        environment = prepared(folder, text)
        kinds = [(CONSOLE, "console")]
        if (SLS / "lib" / "libc.so.4.3.3").exists():
            kinds.append((GENUINE, "console with the tree"))
        for pattern, kind in kinds:
            text = pattern.sub(lambda m: f"```{kind}\n{session(m[1], folder, environment)}```", text)  # noqa: B023
    path.write_text(text)


if __name__ == "__main__":
    for given in sys.argv[1:] or NAMES:
        rewrite(given)

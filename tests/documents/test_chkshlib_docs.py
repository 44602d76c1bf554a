"""docs/chkshlib.md is made of what really happens: its files are written, its commands run, their output compared.

`python tests/documents/test_chkshlib_docs.py` writes the outputs into the document anew.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support import documents
from support.documents import CONSOLE
from support.paths import ROOT
from support.tools import needs

DOCUMENT = ROOT / "docs" / "chkshlib.md"
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = needs("gcc")


def prepared(folder: Path) -> dict[str, str]:
    dropped = ("COLUMNS", "NO_COLOR", "PYTHONPATH")
    return documents.prepared(folder, DOCUMENT.read_text(), {"uselib": "-m uselib.cli "}, dropped, {})


def session(block: str, folder: Path, environment: dict[str, str]) -> str:
    """The block as it comes out now: each command, then what it prints."""
    shown = []
    for line in block.splitlines():
        if line.startswith("$ "):
            done = subprocess.run(["bash", "-c", line[2:]], cwd=folder, env=environment, capture_output=True, text=True)
            shown.append(f"{line}\n{done.stdout}{done.stderr}")
    return "".join(shown)


@pytest.mark.slow
def test_the_document_shows_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = prepared(tmp_path)
    text = DOCUMENT.read_text()
    blocks = CONSOLE.findall(text)
    assert len(blocks) >= 6
    for block in blocks:
        assert session(block, tmp_path, environment) == block, (
            "if this is meant: python tests/documents/test_chkshlib_docs.py"
        )
    monkeypatch.chdir(tmp_path)
    for example in PYTHON.findall(text):
        exec(compile(example, "docs/chkshlib.md", "exec"), {})


def test_exit_statuses_are_documented() -> None:
    rows = re.findall(r"^\| (\d+) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert rows == ["0", "4", "16", "2", "1"]


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        where = prepared(Path(name))
        made = CONSOLE.sub(lambda m: f"```console\n{session(m[1], Path(name), where)}```", DOCUMENT.read_text())
    DOCUMENT.write_text(made)

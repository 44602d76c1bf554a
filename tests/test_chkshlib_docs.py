"""docs/chkshlib.md is made of what really happens: its files are written, its commands run, their output compared.

`python tests/test_chkshlib_docs.py` writes the outputs into the document anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parent.parent / "docs" / "chkshlib.md"
FILES = re.compile(r"^```\w+ (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SCRIPT = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")


def prepared(folder: Path) -> dict[str, str]:
    """Writes the files, runs the script; gives the environment for commands."""
    text = DOCUMENT.read_text()
    for name, content in FILES.findall(text):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    tools = folder / "bin"
    tools.mkdir()
    root = Path(__file__).parent.parent
    (tools / "uselib").write_text(f'#!/bin/sh\nPYTHONPATH={root} exec {sys.executable} -m emulator.cli "$@"\n')
    (tools / "uselib").chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "PYTHONPATH")}
    environment["PATH"] = f"{tools}:{environment['PATH']}"
    for script in SCRIPT.findall(text):
        done = subprocess.run(["bash", "-ec", script], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return environment


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
        assert session(block, tmp_path, environment) == block, "if this is meant: python tests/test_chkshlib_docs.py"
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

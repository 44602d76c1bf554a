"""The commands in docs/abi-matrix.md and docs/abi-probe.md print what is written there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_COMMAND = re.compile(r"\$ (.*)\n((?:(?!\$ ).*\n)*)")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The example project, built, and an environment in which `uselib` is the one under test."""
    folder = tmp_path_factory.mktemp("docs")
    script = folder / "bin" / "uselib"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m uselib.cli "$@"\n')
    script.chmod(0o755)
    outer = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    outer |= {
        "PATH": f"{script.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    shutil.copytree(
        ROOT / "samples" / "abi-project", folder / "project", ignore=shutil.ignore_patterns("build", "__pycache__")
    )
    subprocess.run(["sh", "make.sh"], cwd=folder / "project", env=outer, check=True, timeout=240)
    return folder / "project", outer


def plain(text: str) -> str:
    """The number of examples until a difference was found is hypothesis's affair."""
    return re.sub(r"after \d+ examples", "after N examples", text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["abi-matrix", "abi-probe"])
def test_documents(project: tuple[Path, dict[str, str]], name: str) -> None:
    folder, environment = project
    commands = [
        match
        for block in _BLOCK.findall((ROOT / "docs" / f"{name}.md").read_text())
        for match in _COMMAND.findall(block)
    ]
    assert len(commands) >= 3
    for command, expected in commands:
        done = subprocess.run(
            command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=240
        )
        assert plain(done.stdout) == plain(expected), (command, done.stderr)

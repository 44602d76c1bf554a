"""Programs that exercise the system calls: the same bytes come out natively and in the emulator, on both machines."""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import paths
from support.paths import ROOT
from support.programs import musl_program

PROGRAMS = paths.PROGRAMS / "kernel_programs"


def outputs(program: Path, directory: Path, *arguments: str) -> tuple[str, str]:
    """(native, emulated), each run in a new directory."""
    found = []
    for name, command in (
        ("native", []),
        ("emulated", [sys.executable, "-m", "uselib.cli", "run", "--writable", "."]),
    ):
        work = directory / name
        work.mkdir()
        done = subprocess.run(
            [*command, str(program), *arguments],
            cwd=work,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        found.append(
            done.stdout.decode("utf-8", "replace")
            + done.stderr.decode("utf-8", "replace")
            + f"exit {done.returncode}\n"
        )
    return found[0], found[1]


@pytest.mark.parametrize("name", sorted(path.stem for path in PROGRAMS.glob("*.c")))
def test_same_natively_and_emulated(name: str, arch: str, tmp_path: Path) -> None:
    program = musl_program((PROGRAMS / f"{name}.c").read_text(), arch, tmp_path)
    native, emulated = outputs(program, tmp_path)
    difference = "\n".join(
        difflib.unified_diff(native.splitlines(), emulated.splitlines(), "native", "emulated", n=0, lineterm="")
    )
    assert not difference, difference

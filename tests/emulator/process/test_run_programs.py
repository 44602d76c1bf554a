"""Signals, memory, processes and arithmetic: the same bytes and the same end natively and in the emulator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import paths
from support.paths import ROOT
from support.programs import musl_program
from uselib.emulator.machine import core
from uselib.emulator.machine.engine import library

PROGRAMS = paths.PROGRAMS / "run_programs"
NEEDS_CORE = {
    "privileged",
    "lock_prefix",
    "sse_exceptions",
    "x87_exceptions",
    "vex_and_cmpxchg",
    "alignment",
    "locked_between_processes",
    "end_of_memory",
    "families",
    "single_steps",
    "legacy_calls",
}
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "LANG": "C"}  # what `uselib run` gives a program


@pytest.mark.parametrize("name", sorted(path.stem for path in PROGRAMS.glob("*.c")))
def test_same_natively_and_emulated(name: str, arch: str, tmp_path: Path) -> None:
    if name in NEEDS_CORE and core.attach(library()) is None:
        pytest.skip("the CPU is as Unicorn has it: docs/instructions.md, Without the replaced parts")
    program = musl_program((PROGRAMS / f"{name}.c").read_text(), arch, tmp_path, name)
    (tmp_path / "data.txt").write_text("hello world " * 3 + "\n")
    arguments = [f"./{name}", *(["data.txt"] if name == "memory" else [])]
    emulator = [sys.executable, "-m", "uselib.cli", "run"]

    def run(command: list[str], environment: dict[str, str]) -> tuple[str, int]:
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, env=environment
        )
        status = done.returncode
        return done.stdout.decode("utf-8", "replace"), 128 - status if status < 0 else status

    native = run(arguments, ENVIRONMENT)
    emulated = run([*emulator, *arguments], os.environ | {"PYTHONPATH": str(ROOT)})
    assert emulated == native
    assert program.exists()

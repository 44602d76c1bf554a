"""`uselib run` imports nothing that is dear and that most runs do not need: what it imports is a third of the time of a short program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import environment
from support.paths import ROOT
from support.tools import require

DRIVER = """
import sys
from uselib import cli
status = cli._run(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
raise SystemExit(status)
"""
DEAR = {
    "argparse", "ast", "dataclasses", "hashlib", "inspect", "json", "logging", "pathlib", "random", "subprocess", "tempfile", "threading",
    "unicorn", "capstone", "numpy", "pycparser",
}  # fmt: skip
NOT_NEEDED = ("uselib.emulator.api", "uselib.emulator.gdb", "uselib.emulator.trace", "uselib.emulator.kernel.strace")
NOT_NEEDED += ("uselib.linker.formats.elf", "uselib.linker.passes", "uselib.abi", "uselib.emulator.process.reports")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imports")
    require("as", "ld")
    (folder / "a.s").write_text(".globl _start\n_start: mov $1, %eax\n xor %ebx, %ebx\n int $0x80\n")
    subprocess.run(["as", "--32", "a.s", "-o", "a.o"], cwd=folder, check=True)
    subprocess.run(["ld", "-m", "elf_i386", "a.o", "-o", "a"], cwd=folder, check=True)
    return folder / "a"


def test_modules_of_a_run(program: Path) -> None:
    packages = [path for path in sys.path if path.endswith("-packages")]
    command = [sys.executable, "-S", "-c", DRIVER, "run", str(program)]  # -S: what site imports is not ours
    variables = environment() | {"PYTHONPATH": os.pathsep.join([str(ROOT), *packages])}
    done = subprocess.run(command, capture_output=True, text=True, env=variables)
    assert done.returncode == 0, done.stderr
    modules = set(done.stderr.split())
    assert "uselib.emulator.machine.machine" in modules
    assert modules & DEAR == set()
    assert [name for name in modules if name.startswith(NOT_NEEDED)] == []

"""Runs and links of ELF files import nothing of the historical formats: what is old costs only who uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.command import environment
from support.tools import require

OLD = ("aout", "coff", "textbook", "copied", "kernel_libraries", "historical", "compare")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imports")
    require("as", "ld")
    (folder / "a.s").write_text(".globl _start\n_start: mov $1, %eax\n xor %ebx, %ebx\n int $0x80\n")
    subprocess.run(["as", "--32", "a.s", "-o", "a.o"], cwd=folder, check=True)
    subprocess.run(["ld", "-m", "elf_i386", "a.o", "-o", "a"], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("line", ["--help", "run a", "trace a", "ld --help", "ld -m elf_i386 -o b a.o"])
def test_no_module_of_an_old_format_is_imported(made: Path, line: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "uselib.cli", *line.split()]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True, env=environment())
    assert done.returncode == 0
    rows = [row.rpartition("|")[2].strip() for row in done.stderr.splitlines() if row.startswith("import time:")]
    ours = [name for name in rows if name.startswith("uselib.")]
    assert ours and [name for name in ours if name.rpartition(".")[2].startswith(OLD)] == []

"""Objects with more than 0xff00 sections: indices of sections and the reserved values of st_shndx are told apart."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.tools import needs
from uselib.cli import main
from uselib.linker.passes import resolution

COUNT = 66_000
CHOSEN = (0, 5, 0xFEFF, 0xFF00, 0xFFF1, 0xFFF2, 0xFFFF, 0x10000, COUNT - 1)  # functions, around the reserved values
START = """
 .comm shared, 8
 .globl _start, constant
 .set constant, 77
 .text
_start: lea table, %rsi
 xor %ebx, %ebx
 mov $NUMBER, %ebp
1: lodsq
 call *%rax
 add %eax, %ebx
 dec %ebp
 jnz 1b
 lea constant(%rbx), %edi
 add shared, %edi
 and $127, %edi
 mov $60, %eax
 syscall
"""


@needs("as", "ld")
@pytest.mark.parametrize("columns", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_more_sections_than_16_bits_count(
    columns: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if columns:
        monkeypatch.setattr(resolution, "MANY", -1)
    functions = [f'.section .text.f{i},"ax"\nf{i}: mov ${i}, %eax\n ret' for i in range(COUNT)]
    table = [f".quad f{i - 5}" for i in CHOSEN[1:]]  # five sections stand in front of them
    source = "\n".join([*functions, ".data\ntable:", *table, START.replace("NUMBER", str(len(table)))])
    path = tmp_path / "many.o"
    subprocess.run(["as", "-o", path], input=source.encode(), check=True)
    assert main(["ld", "-x", str(path), "-o", str(tmp_path / "ours")]) == 0
    assert capsys.readouterr().err == ""
    subprocess.run(["ld", "-x", path, "-o", tmp_path / "theirs"], check=True)
    statuses = [subprocess.run([tmp_path / name]).returncode for name in ("ours", "theirs")]
    assert statuses == [(77 + sum(i - 5 for i in CHOSEN[1:])) % 128] * 2

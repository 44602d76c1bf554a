"""A guest that a signal kills: status 128 + N, and one line that says where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.command import uselib
from support.programs import musl_program

SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
static int deeper(volatile char *p) { char b[3000]; memset(b, (long)p, 3000); return deeper(b) + b[5]; }
int main(int c, char **v)
{
	switch (atoi(v[1])) {
	case 1: *(volatile int *)16 = 1; break;
	case 2: ((void (*)(void))0x12345)(); break;
	case 3: return deeper(0);
	case 4: __asm__ volatile("xor %%ecx, %%ecx; idiv %%ecx" ::: "eax", "ecx", "edx"); break;
	case 5: __asm__ volatile("ud2"); break;
	case 6: *(volatile char *)main = 1; break;
	case 7: abort(); break;
	case 8: __asm__ volatile("hlt"); break;
	case 9: return ((volatile char *)mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))[7];
	case 10: return ((volatile char *)mmap(0, 8192, PROT_READ, MAP_PRIVATE, open(v[2], O_RDONLY), 0))[4099];
	case 11: raise(SIGTERM); break;
	case 12: for (;;); break;
	case 13: for (;;) if (!malloc(1 << 20)) return 7; break;
	case 14: while (open(v[2], O_RDONLY) >= 0); return 7;
	case 15: __asm__ volatile("movb $1, (%%eax)" :: "a"(0x77777)); break;
	}
	return 0;
}
"""


@pytest.fixture(scope="module")
def program(arch: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return musl_program(SOURCE, arch, tmp_path_factory.mktemp("faults"), "crash")


@pytest.mark.parametrize(
    "case, status, message",
    [
        (1, 139, r"SIGSEGV: write to unmapped address 0x10 at main\+0x\w+ in crash \[0x\w+\]"),
        (2, 139, r"SIGSEGV: jump to unmapped address 0x12345, called from main\+0x\w+ in crash \[0x\w+\]"),
        (3, 139, r"SIGSEGV: stack overflow at (deeper|memset)\S* in crash \[0x\w+\]"),
        (4, 136, r"SIGFPE: integer division at main\+0x\w+ in crash \[0x\w+\]"),
        (5, 132, r"SIGILL: illegal instruction at main\+0x\w+ in crash \[0x\w+\]"),
        (6, 139, r"SIGSEGV: write to protected address 0x\w+ at main\+0x\w+ in crash \[0x\w+\]"),
        (7, 134, r"SIGABRT at .*in crash \[0x\w+\]"),
        (8, 139, r"SIGSEGV: general protection fault at main\+0x\w+ in crash \[0x\w+\]"),
        (9, 139, r"SIGSEGV: read of protected address 0x\w+007 at main\+0x\w+ in crash \[0x\w+\]"),
        (10, 135, r"SIGBUS: read of 0x\w+003, behind the end of the mapped file at main\+0x\w+ in crash \[0x\w+\]"),
        (11, 143, r"SIGTERM at .*in crash \[0x\w+\]"),
    ],
)
def test_one_line(program: Path, case: int, status: int, message: str) -> None:
    done = uselib("run", program, str(case), program.with_suffix(".c"), cwd=program.parent)
    assert done.returncode == status
    assert re.fullmatch(rf"uselib: {re.escape(str(program))}: killed by {message}\n", done.stderr), done.stderr


@pytest.mark.parametrize(
    "option, value, case, message",
    [
        ("--max-instructions", "2M", 12, r"the limit of 2000000 instructions is used up \(--max-instructions\)"),
        ("--max-seconds", "0.3", 12, r"the limit of 0.3 s is used up \(--max-seconds\)"),
        ("--max-memory", "50", 13, r"it needs more than 50 MiB of memory \(--max-memory\)"),
        ("--max-files", "20", 14, r"it needs more than 20 open files \(--max-files\)"),
    ],
)
def test_limits(program: Path, option: str, value: str, case: int, message: str) -> None:
    done = uselib("run", option, value, program, str(case), program.with_suffix(".c"), cwd=program.parent)
    assert done.returncode == 137
    assert re.fullmatch(rf"uselib: {re.escape(str(program))}: ended: {message}\n", done.stderr), done.stderr


def test_generous_limits_change_nothing(program: Path) -> None:
    limits = ("--max-instructions", "10M", "--max-seconds", "60", "--max-memory", "100", "--max-files", "10")
    done = uselib("run", *limits, program, "0")
    assert (done.returncode, done.stderr) == (0, "")


def test_instruction_limit_is_exact(program: Path) -> None:
    """The number of instructions that a program needs is the same in every run, and one less is too few."""
    low, high = 1, 4096
    while low < high:
        middle = (low + high) // 2
        if uselib("run", "--max-instructions", str(middle), program, "0").returncode:
            low = middle + 1
        else:
            high = middle
    for _ in range(2):
        assert uselib("run", "--max-instructions", str(low), program, "0").returncode == 0
        assert uselib("run", "--max-instructions", str(low - 1), program, "0").returncode == 137


def test_long_report(program: Path) -> None:
    done = uselib("run", "--fault-report", program, "15")
    first, *rest = done.stderr.splitlines()
    assert "write to unmapped address 0x77777" in first
    text = "\n".join(rest)
    assert re.search(r"[er]ax 0*77777\b", text)
    assert re.search(r"> 0x\w+  (67 )?c6 00 01 +mov byte ptr \[eax\], 1", text)
    assert re.search(r"r-xp 0x1000 .*crash$", text, re.M) and "[stack]" in text

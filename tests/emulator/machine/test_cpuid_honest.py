"""What CPUID tells is what executes: each bit against an instruction of its set."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.command import environment
from support.programs import musl_program
from uselib.emulator.machine import core
from uselib.emulator.machine.unicorn_library import library

pytestmark = pytest.mark.skipif(core.attach(library()) is None, reason="the CPU is as Unicorn has it")

# set: leaf, register (0 EAX ... 3 EDX), bit, an instruction. Source: Intel SDM volume 2, CPUID.
_ROWS = """
SSE3: 1 2 0 f20fd0c1
PCLMULQDQ: 1 2 1 660f3a44c100
SSSE3: 1 2 9 660f3800c1
FMA: 1 2 12 c4e26998c1
SSE4.1: 1 2 19 660f3a0ec100
SSE4.2: 1 2 20 660f3837c1
MOVBE: 1 2 22 0f38f000
POPCNT: 1 2 23 f30fb8c0
AES: 1 2 25 660f38dcc1
OSXSAVE: 1 2 27 0f01d0
AVX: 1 2 28 c5f058c1
F16C: 1 2 29 c4e27913c1
RDRAND: 1 2 30 0fc7f0
CMPXCHG8B: 1 3 8 0fc708
CMOV: 1 3 15 0f44c0
CLFLUSH: 1 3 19 0fae38
MMX: 1 3 23 0f77
FXSR: 1 3 24 0fae00
SSE: 1 3 25 0f58c1
SSE2: 1 3 26 660f58c1
BMI1: 7 1 3 c4e278f3c8
AVX2: 7 1 5 c5f5fec1
BMI2: 7 1 8 c4e27bf5c0
RDSEED: 7 1 18 0fc7f8
ADX: 7 1 19 660f38f6c1
CLFLUSHOPT: 7 1 23 660fae38
CLWB: 7 1 24 660fae30
SHA: 7 1 29 0f38cbc1
GFNI: 7 2 8 660f38cfc1
RDPID: 7 2 22 f30fc7f8
SSE4a: 80000001 2 6 660f79c1
LAHF: 80000001 2 0 9f
RDTSCP: 80000001 3 27 0f01f9
"""
ROWS = {name: words.split() for name, words in (row.split(": ") for row in _ROWS.split("\n") if row)}

SOURCE = r"""
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
static sigjmp_buf back;
static void caught(int number) { siglongjmp(back, number); }
int main(void) {
    static const struct { unsigned leaf; int word, bit, length; unsigned char bytes[16]; } rows[] = { ROWS };
    unsigned char *page = mmap(0, 8192, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    signal(SIGILL, caught), signal(SIGSEGV, caught), signal(SIGBUS, caught);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned words[4], number;
        __asm__ volatile("cpuid" : "=a"(words[0]), "=b"(words[1]), "=c"(words[2]), "=d"(words[3]) : "0"(rows[i].leaf), "2"(0));
        memcpy(page, rows[i].bytes, rows[i].length);
        page[rows[i].length] = 0xC3;
        if (!(number = sigsetjmp(back, 1))) {
            unsigned long a = (unsigned long)page + 4096, c = 0;
            __asm__ volatile("call *%2" : "+a"(a), "+c"(c) : "D"(page) : "memory", "cc", "edx");
        }
        printf("%u %u\n", words[rows[i].word] >> rows[i].bit & 1, number);
    }
}
"""


def test_each_bit(arch: str, tmp_path: Path) -> None:
    rows = []
    for leaf, word, bit, code in ROWS.values():
        data = bytes.fromhex(code)
        rows.append(f"{{0x{leaf}, {word}, {bit}, {len(data)}, {{" + ", ".join(map(str, data)) + "}}")
    program = musl_program(SOURCE.replace("ROWS", ", ".join(rows)), arch, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "uselib.cli", "run", str(program)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = dict(zip(ROWS, (tuple(map(int, line.split())) for line in done.stdout.splitlines()), strict=True))
    assert found == {name: (told, 0 if told else 4) for name, (told, _) in found.items()}
    assert {told for told, _ in found.values()} == {0, 1}

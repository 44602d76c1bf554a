"""Generated instructions: the emulator does what this machine's processor does.

tests/programs/instructions makes instruction number N of a seed from the opcode maps, with registers and memory,
executes it, and prints a digest of all that it did: registers, defined flags, memory, floating point, the signal with
its code and address. A difference is run again alone and shown with its bytes and its name.
"""

from __future__ import annotations

import array
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import capstone
import pytest

from support.paths import PROGRAMS, ROOT
from support.programs import musl_program
from uselib.emulator.machine import core
from uselib.emulator.machine.unicorn_library import library

# What stays wrong (docs/instructions.md), where the generator cannot leave it out, by name of the instruction
IMAGES = "fldenv frstor".split()
PUSHA = "pushal pushaw popal popaw".split()
TWO_OPERANDS = "cmpsb cmpsw cmpsd cmpsq movsb movsw movsd movsq".split()
FAR_RETURNS = "retf retfq iret iretd iretq".split()
KNOWN = frozenset([*IMAGES, *PUSHA, *TWO_OPERANDS, *FAR_RETURNS])
MOST = 20_000  # instructions for each difference of these
READS_TWO = re.compile(r"cmps[bwdq] .*: (signal 11 code \d address) \w+ (pc \w+) / \1 \w+ \2$")
"""CMPS whose operands both fault: which is read first is the processor's own affair, and models differ in it."""
MOST_OF_TWO = 5_000  # instructions for each difference of these

pytestmark = pytest.mark.skipif(core.attach(library()) is None, reason="the CPU is as Unicorn has it")


@pytest.fixture
def program(arch: str, tmp_path: Path) -> Path:
    text = f'#include "{PROGRAMS / "instructions" / "instructions.c"}"\n'
    return musl_program(text, arch, tmp_path, "instructions")


def _run(program: Path, *arguments: int, emulated: bool) -> bytes:
    emulator = [sys.executable, "-m", "uselib.cli", "run"] if emulated else []
    words = [*emulator, str(program), *map(str, arguments)]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=program.parent, env=variables, capture_output=True, timeout=600)
    assert done.returncode == 0, (arguments, done.stderr[-500:])
    return done.stdout


def _describe(program: Path, arch: str, seed: int, index: int) -> tuple[str, str]:
    """Name of an instruction, and its bytes with what differs."""
    native, emulated = (_run(program, seed, index, emulated=way).decode().splitlines() for way in (False, True))
    code = bytes.fromhex(native[0].split()[1])
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64 if arch == "x86_64" else capstone.CS_MODE_32)
    found = next(decoder.disasm(code, 0), None)
    pairs = itertools.zip_longest(native, emulated)
    changes = "; ".join(f"{ours} / {theirs}" for ours, theirs in pairs if ours != theirs)
    name = found.mnemonic.split()[-1] if found else "?"
    operands = found.op_str if found else ""
    return name, f"{arch} {seed} {index}: {code.hex()} {name} {operands}: {changes}"


def _compare(program: Path, arch: str, seed: int, count: int) -> None:
    native, emulated = (array.array("Q", _run(program, seed, 0, count, emulated=way)) for way in (False, True))
    assert len(native) == len(emulated) == count
    different = [index for index in range(count) if native[index] != emulated[index]]
    described = [_describe(program, arch, seed, index) for index in different[:100]]
    assert [text for name, text in described if name not in KNOWN] == []
    assert len(different) == len(described), "too many to look at each"
    reads_two = sum(READS_TWO.search(text) is not None for _, text in described)
    assert len(different) - reads_two <= max(count // MOST, 1)
    assert reads_two <= max(count // MOST_OF_TWO, 1)


@pytest.mark.parametrize("seed", [1, 2])
def test_few(program: Path, arch: str, seed: int) -> None:
    _compare(program, arch, seed, 6000)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [101, 102])
def test_many(program: Path, arch: str, seed: int) -> None:
    _compare(program, arch, seed, 300_000)


# Instructions of sets that CPUID does not advertise, by their bytes in 64-bit mode and in 32-bit mode
_ROWS = """
vaddps xmm: c5f058c1
vaddps ymm: c5f458c1
vzeroupper: c5f877
vpaddd ymm: c5f5fec1
vpermd: c4e27536c1
vfmadd132ps: c4e26998c1
vcvtph2ps: c4e27913c1
vaesenc: c4e271dcc1
sha256rnds2: 0f38cbc1
sha1rnds4: 0f3accc100
sha1nexte: 0f38c8c1
adcx: 660f38f6c1
adox: f30f38f6c1
gf2p8mulb: 660f38cfc1
extrq: 660f78c00810
extrq of registers: 660f79c1
insertq: f20f78c10810
insertq of registers: f20f79c1
movntss: f30f2b00
movntsd: f20f2b00
rdpid: f30fc7f8
clwb: 660fae30
clflushopt: 660fae38
umonitor: f30faef0
tpause: 660faef0
umwait: f20faef0
incsspd: f30faee8
movdir64b: 660f38f800
movdiri: 0f38f900
xbegin: c7f800000000
monitorx: 0f01fa
clzero: 0f01fc
vpaddd zmm: 62f17548fec1
kmovw: c5f890c1
"""
NOT_ADVERTISED = dict(row.split(": ") for row in _ROWS.split("\n") if row)

ILLEGAL = r"""
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
static sigjmp_buf back;
static void handler(int number) { siglongjmp(back, number); }
int main(void) {
    static const struct { unsigned char bytes[16]; int length; } rows[] = { ROWS };
    unsigned char *page = mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    signal(SIGILL, handler); signal(SIGSEGV, handler); signal(SIGBUS, handler);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        memcpy(page, rows[i].bytes, rows[i].length);
        page[rows[i].length] = 0xC3;
        int number = sigsetjmp(back, 1);
        if (!number) __asm__ volatile("call *%0" : : "r"(page), "a"(page) : "memory");
        printf("%d\n", number);
    }
}
"""


def test_sets_that_are_not_advertised_are_illegal(arch: str, tmp_path: Path) -> None:
    rows = ", ".join(
        "{{" + ", ".join(f"0x{byte:02x}" for byte in bytes.fromhex(code)) + "}, " + str(len(code) // 2) + "}"
        for code in NOT_ADVERTISED.values()
    )
    program = musl_program(ILLEGAL.replace("ROWS", rows), arch, tmp_path)
    signals = _run(program, emulated=True).split()
    assert {name: int(number) for name, number in zip(NOT_ADVERTISED, signals, strict=True)} == dict.fromkeys(
        NOT_ADVERTISED, 4
    )

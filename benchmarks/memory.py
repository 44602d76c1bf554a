"""Memory of ten processes that share libc_s against ten static ones: the sum of their PSS, native and emulated."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import USELIB, sysroot, uselib, workspace

PROCESSES = 10
# touches a good part of the C library, says so, and waits for its standard input to end
PROGRAM_C = r"""
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
int main(void)
{
    char text[200], *end;
    time_t now = 0;
    strftime(text, sizeof text, "%c", gmtime(&now));
    snprintf(text, sizeof text, "%f %s %g", sin(strtod("0.5", &end)), end, exp(1.5));
    free(strdup(text));
    puts("ready");
    fflush(stdout);
    return getchar() == 'x';
}
"""


def pss_kib(pid: int) -> int:
    """Proportional set size of a process in KiB (proc(5), smaps_rollup)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError("no Pss line")


def together(commands: Sequence[Sequence[str | Path]]) -> int:
    """KiB of PSS that processes, one of each command, have together while they wait for input."""
    running = [
        subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for command in commands
    ]
    try:
        for process in running:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        return sum(pss_kib(process.pid) for process in running)
    finally:
        for process in running:
            process.communicate("")


def run() -> None:
    print(f"\n### Memory of {PROCESSES} processes, PSS together\n")
    print("Different programs are copies of one file: they share a library's pages but not their own.\n")
    print(
        "| machine | scheme | one program, native KiB | different programs, native KiB | emulated MiB | bytes of a file |"
    )
    print("|---|---|---:|---:|---:|---:|")
    with workspace() as name:
        directory = Path(name)
        (directory / "program.c").write_text(PROGRAM_C)
        for arch in ("x86_64", "i386"):
            root = sysroot(directory, arch, "musl")
            for scheme in ("mmap", "uselib", "static"):
                program = directory / f"program-{arch}-{scheme}"
                options = ["--sysroot", root, "--scheme", scheme, "-O2", directory / "program.c", "-lm"]
                uselib("cc", *options, "-o", program)
                copies = [shutil.copy(program, f"{program}-{number}") for number in range(PROCESSES)]
                one = together([[program]] * PROCESSES)
                different = together([[copy] for copy in copies])
                emulated = together([[*USELIB, "run", "--sysroot", root, copy] for copy in copies])
                size = program.stat().st_size
                print(f"| {arch} | {scheme} | {one} | {different} | {emulated / 1024:.1f} | {size} |", flush=True)


if __name__ == "__main__":
    run()

"""A CPU-heavy static musl program, and the start of a trivial one, against Qiling 1.4.6, qemu-user and the processor itself."""

from __future__ import annotations

from pathlib import Path

from benchmarks.measure import USELIB, interleaved, qiling_python, sysroot, table, tool, uselib, workspace

WORK_C = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int numbers[200000];
static int order(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
int main(void)
{
    unsigned seed = 1, hash = 0;
    char text[16];
    for (int i = 0; i < 200000; i++)
        numbers[i] = (seed = seed * 1103515245 + 12345) >> 1;
    qsort(numbers, 200000, sizeof *numbers, order);
    for (int i = 0; i < 200000; i++) {
        snprintf(text, sizeof text, "%d", numbers[i]);
        for (const char *p = text; *p; p++) hash = hash * 31 + *p;
    }
    printf("%u\n", hash);
    return 0;
}
"""
HELLO_C = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'
QILING = """
import sys
from qiling import Qiling
from qiling.const import QL_VERBOSE
Qiling([sys.argv[1]], sys.argv[2], verbose=QL_VERBOSE.OFF).run()
"""


def run() -> None:
    with workspace() as name:
        directory = Path(name)
        script = directory / "with_qiling.py"
        script.write_text(QILING)
        qiling = qiling_python()
        for arch in ("x86_64", "i386"):
            root = sysroot(directory, arch, "musl")
            for label, source, runs in (
                ("qsort + snprintf of 200,000 ints", WORK_C, 3),
                ("hello, whole process", HELLO_C, 10),
            ):
                program = directory / f"program-{arch}-{runs}"
                program.with_suffix(".c").write_text(source)
                uselib("cc", "--sysroot", root, "--scheme", "static", "-O2", program.with_suffix(".c"), "-o", program)
                qemu = tool(f"qemu-{arch}")
                commands: list[list[str | Path] | None] = [
                    [*USELIB, "run", "--sysroot", root, program],
                    [qiling, script, program, directory] if qiling else None,
                    [qemu, program] if qemu else None,
                    [program],
                ]
                labels = ("uselib run", "Qiling 1.4.6", "qemu-user", "native")
                table(f"{label}, {arch}", interleaved(labels, commands, runs), "uselib run")


if __name__ == "__main__":
    run()

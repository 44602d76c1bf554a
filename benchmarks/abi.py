"""What comparing two versions of a library costs: `uselib abi run` against two untraced runs of the same program.

The program does nothing but call the library: the most dispatches that there can be in a second. Versions differ in a function that
it does not call, so all of both runs is compared.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import USELIB, best, sysroot, uselib, workspace

PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
int step(int x);
extern int limit;
int main(int argc, char **argv)
{
    long n = argc > 1 ? atol(argv[1]) : 1, sum = 0;
    for (long i = 0; i < n; i++) sum += step((int)i) > limit;
    printf("%ld\n", sum);
    return 0;
}
"""
OLD = "int limit = 77; int step(int x) { STEP }\nint other(int x) { return x; }\n"
NEW = OLD.replace("return x;", "return x + 1;")
SPEC = "#name bench\n#version 1.0.0\n#address .text 0x61000000\n#address .data 0x61008000\n#branch\nother 1\nstep 2\n#objects\n"
CALLS = (1_000_000, 5_000_000)
# What `step` does: nothing, so that calls are all there is, and the start of three processes is most of the time; or a little work.
BODIES = {
    "nothing but calls": "return x ^ 5;",
    "100 instructions a call": "for (int i = 0; i < 24; i++) x = x * 3 + i; return x & 127;",
}


def library(folder: Path, root: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "lib.c").write_text(text)
    uselib("cc", "--sysroot", root, "-O1", "-g", "-c", folder / "lib.c", "-o", folder / "lib.o")
    (folder / "lib.spec").write_text(f"{SPEC}{folder / 'lib.o'}\n")
    uselib("mkshlib", "-q", "-s", folder / "lib.spec", "-o", folder)
    return folder / "shlib" / "libbench_s.1.0.0"


def one_machine(directory: Path, arch: str, body: str) -> None:
    root, room = sysroot(directory, arch, "musl"), directory / f"{arch}-{len(BODIES[body])}"
    room.mkdir()
    old, new = (
        library(room / name, root, text.replace("STEP", BODIES[body])) for name, text in (("old", OLD), ("new", NEW))
    )
    (room / "main.c").write_text(PROGRAM)
    main = room / "main"
    uselib("cc", "--sysroot", root, "-O1", "-g", room / "main.c", "-L", room / "old" / "lib", "-lbench_s", "-o", main)
    for calls in CALLS:
        run = [*USELIB, "run", "--sysroot", root, "--library-path", old.parent, main, str(calls)]
        compare = [*USELIB, "abi", "run", "--sysroot", root, main, str(calls), "--old", old, "--new", new]
        status = subprocess.run([*map(str, compare)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode
        assert status == 0, status
        plain, compared = best(run, 5), best(compare, 5)
        cpu = processor_time(compare) / processor_time(run) / 2
        print(
            f"| {arch} | {body} | {calls:,} | {2 * plain:.2f} | {compared:.2f} | {compared / (2 * plain):.2f} | {cpu:.2f} |",
            flush=True,
        )


def processor_time(command: Sequence[str | Path], runs: int = 5) -> float:
    """Seconds of all processors, the least of several runs: what other work on the machine disturbs little."""
    found = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def run() -> None:
    print(
        "\n### abi run\n\n"
        "| machine | what the library does | dispatches a side | two untraced runs, s | abi run, s | ratio | of processor time |"
    )
    print("|---|---|---:|---:|---:|---:|---:|")
    with workspace() as name:
        for arch in ("x86_64", "i386"):
            for body in BODIES:
                one_machine(Path(name), arch, body)
    print(f"\n{os.cpu_count()} processors; both sides run at the same time.")


if __name__ == "__main__":
    run()

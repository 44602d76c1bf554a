"""A guest program for the tests of the Python API and of the gdb stub."""

from __future__ import annotations

from pathlib import Path

from support.guest_build import build, source

COUNT = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int counter;
int use(const char *text) {
    counter += strlen(text);
    return counter;
}
int main(int argc, char **argv) {
    char line[80];
    for (int i = 1; i < argc; i++) use(argv[i]);
    printf("counter %d %s\n", counter, getenv("NAME") ? getenv("NAME") : "-");
    if (fgets(line, 80, stdin)) fputs(line, stdout);
    return use("abc");
}
"""


def count_program(folder: Path, arch: str, libc: str = "mini") -> Path:
    text = source(folder / "count.c", COUNT)
    return build(folder / f"count-{arch}", arch, "mmap", "-g", "-O0", "-fno-builtin", text, libc=libc)


def library(sysroot: Path) -> Path:
    return next((sysroot / "shlib").glob("libc_s.*.*.*"))

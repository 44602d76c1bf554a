"""Versions of a small library and programs that use it, for the tests of `uselib chkshlib`."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.mkshlib import CFLAGS, DRIVER, FLAG, mkshlib
from support.tools import require
from uselib.cli import main
from uselib.linker.image import Machine

HEADER = """
#define LIMIT 16
struct point { int x, y; };
int norm(const struct point *p);
int twice(int n);
extern int count;
"""
OLD = """
#include "lib.h"
int count = 3;
int norm(const struct point *p) { return p->x + p->y; }
int twice(int n) { return 2 * n; }
int unused(void) { return 0; }
"""
NEW_HEADER = HEADER.replace("int x, y;", "int x, y, z;").replace("16", "32") + "int thrice(int n);\n"
NEW = OLD.replace("p->x + p->y", "p->x + p->y + p->z").replace(
    "int unused(void) { return 0; }", "int thrice(int n) { return 3 * n; }"
)
PROGRAM = """
#include "lib.h"
struct library libraries[] = {{0}};
int main_(void) { struct point p = {1, 2}; return norm(&p) + count; }
"""


FILES = dict(
    line.split()
    for line in """
old          old/shlib/libsample_s.1.0.0
patch        patch/shlib/libsample_s.1.0.1
minor        minor/shlib/libsample_s.1.1.0
new          new/shlib/libsample_s.1.1.0
i386         i386/shlib/libsample_s.1.0.0
other        other/shlib/libother_s.1.0.0
stub         old/lib/libsample_s.a
new_stub     new/lib/libsample_s.a
program      program
bystander    bystander
old_headers  old/lib.h
new_headers  new/lib.h
so           old/libsample.so.1.0
new_so       new/libsample.so.1.1
stripped     stripped
object       old/lib.o
""".strip().splitlines()
)


@dataclass(frozen=True)
class SampleFiles:
    """old 1.0.0; patch 1.0.1 with other code; minor 1.1.0 with one function more; new 1.1.0 with what breaks; i386 and other: other
    libraries; bare: new without debug information; program linked with old, bystander uses twice only."""

    folder: Path

    def __getattr__(self, name: str) -> str:
        if name not in FILES:
            raise AttributeError(name)
        return str(self.folder / FILES[name])


def library(
    folder: Path,
    side: str,
    header: str,
    text: str,
    version: str,
    *options: str,
    machine: Machine = Machine.X86_64,
    name: str = "sample",
) -> Path:
    place = folder / side
    place.mkdir()
    (place / "lib.h").write_text(header)
    (place / "lib.c").write_text(text)
    subprocess.run(
        ["gcc", FLAG[machine], *CFLAGS, "-g", "-fno-common", "-fdata-sections", "-c", "lib.c"], cwd=place, check=True
    )
    mkshlib("--name", name, "--version", version, "--text", "0x61000000", "-o", place, *options, place / "lib.o")
    return place / "shlib" / f"lib{name}_s.{version}"


def make_sample(folder: Path) -> SampleFiles:
    require("gcc")
    old = library(folder, "old", HEADER, OLD, "1.0.0")
    library(folder, "patch", HEADER, OLD.replace("2 * n", "n + n + 0 * count"), "1.0.1")
    more = OLD + "int zero(void) { return 0; }\n"
    library(folder, "minor", HEADER, more, "1.1.0", "--previous", str(old))
    library(folder, "new", NEW_HEADER, NEW, "1.1.0")
    library(folder, "i386", HEADER, OLD, "1.0.0", machine=Machine.I386)
    library(folder, "other", HEADER, OLD, "1.0.0", name="other")
    for side, soname in (("old", "1.0"), ("new", "1.1")):
        command = ["gcc", "-shared", "-fPIC", "-w", "lib.c", f"-olibsample.so.{soname}", "-Wl,-soname,libsample.so.1"]
        subprocess.run(command, cwd=folder / side, check=True)
    subprocess.run(["strip", "-o", str(folder / "stripped"), str(old)], check=False, capture_output=True)
    for name, text in (("program", PROGRAM), ("bystander", PROGRAM.replace("norm(&p) + count", "twice(p.x)"))):
        (folder / f"{name}.c").write_text(DRIVER + text)
        subprocess.run(
            ["gcc", "-m64", *CFLAGS, "-g", "-fno-builtin", "-Iold", "-c", f"{name}.c"], cwd=folder, check=True
        )
        inputs = [str(folder / f"{name}.o"), str(folder / "old/lib/libsample_s.a")]
        assert main(["ld", "-m", "elf_x86_64", "-o", str(folder / name), *inputs]) == 0
    return SampleFiles(folder)


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def flat(self) -> str:
        """stdout, whatever its lines' length."""
        return " ".join(self.out.split())


def first(answer: Answer) -> str:
    return answer.out.splitlines()[0]


def headers(sample: SampleFiles) -> list[str]:
    return ["--old-headers", sample.old_headers, "--new-headers", sample.new_headers]

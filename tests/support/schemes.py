"""A C library and two more, one of which needs the other, and a program of theirs: for the schemes kernel, bsdos and interp."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.programs import run, source, sysroot
from uselib.cli import main

INNER = """
#include <stdio.h>
static int value;
__attribute__((constructor)) static void begin(void) { value = 5; printf("inner init\\n"); }
__attribute__((destructor)) static void end(void) { printf("inner fini\\n"); }
int inner_value(void) { return value; }
"""
OUTER = """
#include <stdio.h>
#include <stdlib.h>
int inner_value(void);
int outer_count = 10;
__attribute__((constructor)) static void begin(void) { printf("outer init %d\\n", inner_value()); }
int outer_value(void) { char *volatile p = malloc(10); free(p); return inner_value() + outer_count; }
"""
PROGRAM = """
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
int outer_value(void);
extern int outer_count;
extern char **environ;
static int calls;
void *malloc(size_t n) {
    static char pool[1 << 16];
    static size_t at;
    calls++;
    at = ((at + 15) & -16) + n;
    return pool + at - n;
}
void free(void *p) { (void)p; }
void *calloc(size_t a, size_t b) { return malloc(a * b); }
void *realloc(void *p, size_t n) { (void)p; return malloc(n); }
__attribute__((constructor)) static void begin(void) { printf("program init\\n"); }
__attribute__((destructor)) static void end(void) { printf("program fini\\n"); }
int main(int argc, char **argv) {
    outer_count = 100;
    printf("main %d, %d arguments, last %s\\n", outer_value(), argc, argv[argc - 1]);
    printf("malloc of the program: %d, variable: %s\\n", calls > 0, getenv("WORD"));
    FILE *none = fopen("/nonexistent", "r");
    printf("%d %d\\n", none == NULL, errno == ENOENT);
    return environ != NULL ? 7 : 1;
}
"""
OUTPUT = b"""inner init
outer init 5
program init
main 105, 2 arguments, last x
malloc of the program: 1, variable: here
1 1
program fini
inner fini
"""
BASES = {"inner": 0x62000000, "outer": 0x63000000}


@dataclass(frozen=True)
class World:
    """A copy of a sysroot, with libinner_s and libouter_s added and a map."""

    root: Path
    arch: str

    @property
    def shlib(self) -> Path:
        return self.root / "shlib"

    @property
    def map(self) -> Path:
        return self.root / "etc" / "shlib.map"

    def library(self, name: str, text: str, *options: str, version: str = "1.0.0", base: int = 0) -> None:
        """Makes libNAME_s, with what is there to refer to. Its object is kept."""
        code = source(self.root / f"{name}.c", text)
        compiled = self.root / f"{name}.o"
        assert main(["cc", "--sysroot", str(self.root), "-O1", "-c", str(code), "-o", str(compiled)]) == 0
        stubs = [str(path) for path in sorted((self.root / "lib").glob("lib*_s.a")) if path.name != f"lib{name}_s.a"]
        words = ["-q", "--name", name, "--version", version, "--text", hex(base or BASES[name]), "-o", str(self.root)]
        assert main(["mkshlib", *words, *options, str(compiled), *stubs]) == 0

    def write_map(self) -> None:
        lines = ["# the libraries of a test"]
        bases = {"c": 0x60000000, **BASES}
        lines += [f"{self.shlib}/lib{name}_s.1.0.0\t{base:#x}" for name, base in bases.items()]
        self.map.parent.mkdir(exist_ok=True)
        self.map.write_text("\n".join(lines) + "\n")

    def cc(self, scheme: str, output: Path, *arguments: str | Path) -> int:
        return main(["cc", "--sysroot", str(self.root), "--scheme", scheme, "-o", str(output), *map(str, arguments)])

    def shlicc(self, output: Path, *arguments: str | Path) -> int:
        return main(["shlicc", "--sysroot", str(self.root), "-o", str(output), *map(str, arguments)])

    def run(self, way: str, program: Path, *, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
        found = ("--readable", str(self.root), *options)
        return run(way, program, "x", options=found, environment={"WORD": "here"})

    def copy(self, to: Path) -> "World":
        """Libraries and map to be damaged; what was linked still names the original."""
        shutil.copytree(self.root, to, symlinks=True)
        copied = World(to, self.arch)
        copied.write_map()
        return copied


def make_world(root: Path, arch: str, libc: str = "mini") -> World:
    shutil.copytree(sysroot(arch, libc), root, symlinks=True)
    world = World(root, arch)
    world.library("inner", INNER)
    world.library("outer", OUTER)
    world.write_map()
    source(root / "program.c", PROGRAM)
    return world

"""A library of System V Release 3 with its host library, and a program that the kernel maps it for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from support.command import Ran, uselib
from support.tools import PLAIN_C, require

FLAGS = ["-m32", *PLAIN_C]
LIB1 = """
int counter = 5, table[4] = {1, 2, 3, 4};
void *(*_libx_alloc)(int);
__attribute__((noipa)) int addone(int x) { return x + 1 + counter; }
int (*self(void))(int) { return addone; }
"""
LIB2 = "extern void *(*_libx_alloc)(int); int addone(int); int *make(int x) { int *p = _libx_alloc(4); *p = addone(x); return p; }"
SPEC = """\
#target /shlib/libx_s
#address .text 0xa4000000
#address .data 0xa4400000
#branch
  addone 1
  make 2-3
  self 4
  .empty_slot 5
#objects
  lib1.o lib2.o
#init lib1.o
  _libx_alloc my_alloc
#hide linker
  _libx_alloc
#ident "libx 1.0"
"""
CRT1 = r"""
__asm__(".section .init,\"ax\"\n.globl _init\n_init:\n.text\n.globl _start\n_start: call _init; mov (%esp),%eax; lea 4(%esp),%edx;"
        "push %edx; push %eax; call main; mov %eax,%ebx; mov $1,%eax; int $0x80");
"""
CRTN = r"""__asm__(".section .init,\"ax\"\nret");"""
PROGRAM = """
extern int counter, table[4]; int addone(int); int *make(int); int (*self(void))(int);
static int pool[10];
void *my_alloc(int n) { pool[9]++; return pool; }
int main(int argc, char **argv) { counter = 10; return *make(20) + pool[9] * 100 + (self() == addone) + table[3] + argc; }
"""


def compile_c(folder: Path, name: str, text: str) -> Path:
    require("gcc")
    source = folder / f"{name}.c"
    source.write_text(text)
    subprocess.run(["gcc", *FLAGS, "-c", source.name], cwd=folder, check=True)
    return folder / f"{name}.o"


def make_kit(folder: Path) -> Path:
    """Fills a folder with the library libx_s, its host library libx.a, crt1.o, crtn.o and the program prog."""
    for name, text in (("lib1", LIB1), ("lib2", LIB2), ("crt1", CRT1), ("crtn", CRTN), ("prog", PROGRAM)):
        compile_c(folder, name, text)
    (folder / "spec").write_text(SPEC)
    result = uselib("mkshlib", "--format", "coff", "-s", "spec", "-o", ".", cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "libx_s: /shlib/libx_s at 0xa4000000, 5 slots, 5 exports; libx.a\n"
    link_program(folder, "prog", "prog.o")
    return folder


def link_program(folder: Path, output: str, *objects: str, library: str = "libx.a") -> Path:
    result = uselib("ld", "-m", "i386coff", "-o", output, "crt1.o", *objects, library, "crtn.o", cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")
    return folder / output


def make_root(tmp_path: Path, program: Path, library: bytes | None) -> Path:
    (tmp_path / "shlib").mkdir(exist_ok=True)
    shutil.copy(program, tmp_path / "prog")
    if library is not None:
        (tmp_path / "shlib" / "libx_s").write_bytes(library)
        (tmp_path / "shlib" / "libx_s").chmod(0o755)
    return tmp_path


def run_program(tree: Path, *arguments: str) -> Ran:
    return uselib("run", "--root", tree, "/prog", *arguments)

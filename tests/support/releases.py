"""Helpers of the tests of `mkshlib --previous`: releases of a library, and programs that run with any of them.

A program is linked once, by GNU ld with the stub of one release, and is told on its command line which target library to
map (start-up contract of docs/formats.md, scheme mmap: entry and note are read from the mapped header page).
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.mkshlib import EMULATION, START_CODE, compile_c, image, mkshlib
from uselib.cli import main
from uselib.linker.image import Machine
from uselib.linker.library import jump_table
from uselib.linker.library.releases import history, previous

BASE = 0x61000000
START = (
    START_CODE
    + r"""
const char *argument; /* the second */
void begin(word *sp) {
  char *base = (char *)BASE;
  argument = (const char *)sp[3];
  long fd = map_header((const char *)sp[2], BASE);
  char *header = base + *(word *)(base + PHOFF);
  int count = *(half *)(base + PHNUM);
  while (count-- && *(u32 *)header != 4) header += PHSIZE;          /* PT_NOTE */
  boot(*(word *)(base + 24), fd, *(word *)(header + VADDR) + 12 + 8);
  interpose();
  end(main_());
}
"""
)
DECLARATIONS = "extern const char *argument; void put(const char *); void put_number(long);\n"


@dataclass(frozen=True)
class Shop:
    """A directory in which releases and programs of one machine are made."""

    directory: Path
    machine: Machine
    name: str = "t"

    def objects(self, label: str, *sources: str, options: tuple[str, ...] = ("-fdata-sections",)) -> list[Path]:
        work = self.directory / f"work-{label}"
        work.mkdir(exist_ok=True)
        return [compile_c(work, self.machine, f"m{n}", text, *options) for n, text in enumerate(sources)]

    def arguments(self, version: str, before: str | Path | None) -> list[object]:
        if before is None:
            return ["--name", self.name, "--version", version, "--text", hex(BASE)]
        path = self.library(before) if isinstance(before, str) else before
        return ["--name", self.name, "--version", version, "--previous", path]

    def release(
        self,
        version: str,
        *sources: str,
        before: str | Path | None = None,
        options: tuple[object, ...] = (),
        compiler: tuple[str, ...] = ("-fdata-sections",),
    ) -> Path:
        """Makes a release; gives its target library."""
        objects = self.objects(version, *sources, options=compiler)
        mkshlib(*self.arguments(version, before), *options, "-o", self.directory / version, *objects)
        return self.library(version)

    def library(self, version: str) -> Path:
        return self.directory / version / f"shlib/lib{self.name}_s.{version}"

    def stub(self, version: str) -> Path:
        return self.directory / version / f"lib/lib{self.name}_s.a"

    def history(self, version: str) -> history.History:
        return previous.read(self.library(version)).history

    def program(self, label: str, text: str, version: str, linker: str = "ld", *flags: str) -> Path:
        """Links a program (C with `int main_(void)`) with the stub of a release."""
        start = self.directory / f"start{self.machine.value}.o"
        if not start.exists():
            start = compile_c(self.directory, self.machine, f"start{self.machine.value}", START, f"-DBASE={BASE:#x}")
        end = self.directory / f"end{self.machine.value}.o"  # as crtn.o does it: the end of the list of libraries
        if not end.exists():
            end = compile_c(self.directory, self.machine, end.stem, '__asm__(".section .lib,\\"a\\"; .byte 0");')
        work = self.directory / f"program-{label}"
        work.mkdir(exist_ok=True)
        main = compile_c(work, self.machine, "main", DECLARATIONS + text)
        output = work / label
        words = ["-m", EMULATION[self.machine], "-z", "noexecstack", "-o", output]
        command = [linker, *words, start, main, self.stub(version), end, *flags]
        linked = subprocess.run(command, capture_output=True, text=True)
        assert linked.returncode == 0, linked.stderr
        return output

    def run(self, program: Path, version: str, emulated: bool = False, argument: str = "") -> tuple[str, str, int]:
        """Output, errors and exit status of a program with a release of the library."""
        command = [str(program), str(self.library(version)), argument]
        if emulated:
            command = [sys.executable, "-m", "uselib.cli", "run", "--readable", str(self.directory), *command]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return ran.stdout, ran.stderr, ran.returncode


# -- two releases of a library, and a program of the first ----------------------------------------------------------------

FIRST = """
int counter = 5, verbosity = 1, table[4] = {1, 2, 3, 4}; const int limit = 9;
int add(int a, int b) { counter++; return a + b; }
int close_db(void) { return 7; }
int open_db(int x) { return table[x] + verbosity; }
int hook(int a) { return a; }
int run_hook(int a) { return hook(a); }
"""
SECOND = """
int counter = 5, aaa = 77, table[4] = {1, 2, 3, 4}; const int limit = 9;
static int helper(int a) { for (int i = 0; i < 3; i++) a += aaa; return a - 3 * aaa; }
int before_all(void) { return helper(aaa); }
int run_hook(int a) { return hook(helper(a)); }
int hook(int a) { return a; }
int open_db(int x) { return helper(table[x]) + 1; }
int sum(int a, int b) { counter++; return helper(a) + b; }
"""
USER = """
extern int counter, table[4]; extern const int limit; int add(int, int), open_db(int), run_hook(int), hook(int);
typedef int (*f)(int, int);
int main_(void) { put_number(add(2, 3)); put_number(counter); table[2] = 40; put_number(open_db(2)); put_number(limit);
  put_number(run_hook(6)); put_number((f)add == (f)add); return 0; }
"""
EXPECTED = "5\n6\n41\n9\n6\n1\n"
CHANGES = ("--retire", "close_db,verbosity", "--rename", "add=sum")
TWO = "int b(void) { return 2; } int d(void) { return 4; }"
DATA = "int a = 1; int grow[2] = {10, 11}; int last = 5; int get(int n) { return grow[n] + a + last; }"


def refused(
    shop: Shop,
    capsys: pytest.CaptureFixture[str],
    version: str,
    before: str | Path | None,
    source: str,
    *options: object,
    status: int = 1,
    compiler: tuple[str, ...] = ("-fdata-sections",),
) -> str:
    """What mkshlib says; it must fail and leave nothing."""
    objects = shop.objects("refused", source, options=compiler)
    out = shop.directory / "refused"
    capsys.readouterr()
    arguments = ["-o", out, *shop.arguments(version, before), *options, *objects]
    assert main(["mkshlib", *map(str, arguments)]) == status
    said = capsys.readouterr()
    assert not said.out and "Traceback" not in said.err
    assert not out.exists()
    return said.err


def slots_of(path: Path) -> tuple[jump_table.JumpSlot, ...]:
    header = image(path).library
    assert header is not None
    at = header.jump_table - header.identity.base
    return jump_table.decode(path.read_bytes()[at:], header.jump_table, header.identity.slot_count)

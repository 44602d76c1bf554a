"""Sysroots made once for all tests and workers, and programs built with `uselib cc`, run natively or emulated."""

import atexit
import fcntl
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.paths import ROOT
from support.tools import ARCHES, SHARED, TRIPLETS, have, require_native
from uselib.commands import cc
from uselib.linker.errors import ToolError
from uselib.runtime.sysroot import MACHINES, make_sysroot

# (machine, scheme): each of both in the fast suite, all pairs with the slow tests
PLACES = [
    pytest.param(
        arch, scheme, marks=() if (arch, scheme) in (("i386", "uselib"), ("x86_64", "mmap")) else pytest.mark.slow
    )
    for arch in ARCHES
    for scheme in SHARED
]


@functools.cache
def _cache() -> Path:
    """A directory that all pytest-xdist workers of one run share; the last of them to end removes it."""
    path = Path(tempfile.gettempdir(), f"uselib-tests-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}")
    path.mkdir(exist_ok=True)
    users = open(path / "users", "w")  # noqa: SIM115 (open, and so locked, until the process ends)
    fcntl.flock(users, fcntl.LOCK_SH)

    def leave() -> None:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        shutil.rmtree(path, ignore_errors=True)

    atexit.register(leave)
    return path


@functools.cache
def sysroot(arch: str, libc: str = "mini") -> Path:
    """The sysroot for a machine and C library. Skips the test where there is no musl."""
    path = _cache() / f"{libc}-{arch}"
    with open(_cache() / f"{libc}-{arch}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            try:
                make_sysroot(path, MACHINES[arch], libc)
            except ToolError as failure:
                if libc == "musl" and "no musl" in str(failure):
                    pytest.skip(str(failure))
                raise
    return path


def build(output: Path, arch: str, scheme: str, *arguments: str | Path, libc: str = "mini") -> Path:
    """Builds a program with `uselib cc`, in process. Raises ToolError."""
    words = ["--sysroot", str(sysroot(arch, libc)), "--scheme", scheme, "-o", str(output), *map(str, arguments)]
    assert cc.run(words) == 0
    return output


def source(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def command(
    way: str, program: Path, arguments: Sequence[str | Path] = (), options: Sequence[str | Path] = ()
) -> list[str]:
    require_native(way)
    if way == "native":
        return [str(program), *map(str, arguments)]
    emulator = [sys.executable, "-m", "uselib.cli", "run", *map(str, options)]
    return [*emulator, str(program), *map(str, arguments)]


def run(
    way: str,
    program: Path,
    *arguments: str | Path,
    options: Sequence[str | Path] = (),
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Runs a program in one of WAYS, in its own directory, which the emulated program may read and write.

    `environment`: variables of the program itself, set the same natively and emulated.
    """
    directory = cwd or program.parent
    variables = environment or {}
    emulation = ["--writable", directory, "--readable", _cache(), *options]
    for name, value in variables.items():
        emulation += ["--env", f"{name}={value}"]
    outer = {**os.environ, "PYTHONPATH": str(ROOT), **(variables if way == "native" else {})}
    outer.pop("LD_LIBRARY_PATH", None) if "LD_LIBRARY_PATH" not in variables else None
    words = command(way, program, arguments, emulation)
    return subprocess.run(words, cwd=directory, env=outer, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)


def musl_program(source: str, arch: str, directory: Path, name: str = "program") -> Path:
    """Compiles C with the machine's musl, statically, at fixed addresses. Skips the test where that is not installed."""
    triplet = TRIPLETS[arch]
    lib, include = Path(f"/usr/lib/{triplet}"), Path(f"/usr/include/{triplet}")
    if not have("gcc") or not (lib / "libc.a").exists() or not include.exists():
        pytest.skip(f"needs gcc and musl-dev for {arch}")
    text, output = directory / f"{name}.c", directory / name
    text.write_text(source)
    flags = f"{'-m32' if arch == 'i386' else '-m64'} -O1 -w -fno-pie -no-pie -static -nostdinc -nostdlib".split()
    words = [*flags, "-fno-stack-protector", "-isystem", include, "-o", output, lib / "crt1.o", lib / "crti.o", text]
    done = subprocess.run(
        ["gcc", *words, *_builtins(arch), lib / "libc.a", lib / "crtn.o"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return output


def _builtins(arch: str) -> list[Path]:
    """64-bit division for i386: there need not be a 32-bit libgcc."""
    folder = ROOT / "runtime" / "builtins"
    return [folder / "integers.c", folder / "floats.c"] if arch == "i386" else []


# -- a program for the Python API and the gdb stub ---------------------------------------------------------------------

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


def libc_library(sysroot: Path) -> Path:
    """The C library's target file in a sysroot."""
    return next((sysroot / "shlib").glob("libc_s.*.*.*"))

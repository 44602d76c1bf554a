"""Sysroots made once for all tests and workers, and programs built with `uselib cc`, run natively or emulated."""

import atexit
import fcntl
import functools
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.paths import PROGRAMS, ROOT
from uselib.commands import cc
from uselib.linker.errors import ToolError
from uselib.runtime.sysroot import MACHINES, make_sysroot

GUEST = PROGRAMS / "guest"
ARCHES = ("i386", "x86_64")
SCHEMES = ("uselib", "mmap", "static")
SHARED = ("uselib", "mmap")
NATIVE = platform.machine() == "x86_64" and sys.platform == "linux"
WAYS = ("native", "emulated")


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
    if way == "native":
        if not NATIVE:
            pytest.skip("native runs need an x86-64 Linux")
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
    return subprocess.run(
        command(way, program, arguments, emulation),
        cwd=directory,
        env=outer,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )

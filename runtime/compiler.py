"""Which C compiler there is, and how it makes freestanding objects for both machines.

gcc and clang compile for i386 with -m32 without any multilib package, because nothing here includes a system header.
The Python package ziglang brings a whole compiler for machines without one.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from uselib.linker.errors import Diagnostic, LinkError, ToolError, error
from uselib.linker.image import Machine

J = TypeVar("J")

NO_COMPILER = "install gcc or clang, or the extra `cc` (pip install 'uselib[cc]'), or set USELIB_CC"

# What code at fixed addresses wants, whichever the compiler: no position independence, no run-time checks that need a
# library, no instrumentation.
COMMON_FLAGS = ("-fno-pic", "-fno-stack-protector", "-fcf-protection=none")
# Start-up code and the C library itself: loops must not become calls of memcpy, which may not be mapped yet or is
# the very function being compiled.
FREESTANDING_FLAGS = ("-ffreestanding", "-fno-builtin", "-nostdinc", "-fno-asynchronous-unwind-tables")


@dataclass(frozen=True)
class Compiler:
    """A C compiler. `command` runs it; `kind` is gcc, clang or zig; `headers` has its own stdarg.h and such."""

    command: tuple[str, ...]
    kind: str
    headers: str

    def machine_flags(self, machine: Machine) -> tuple[str, ...]:
        """What selects the machine."""
        if self.kind == "zig":
            return ("-target", "x86-linux-none" if machine is Machine.I386 else "x86_64-linux-none")
        return ("-m32",) if machine is Machine.I386 else ("-m64",)

    def common_flags(self) -> tuple[str, ...]:
        """COMMON_FLAGS, and what undoes the compiler's own defaults."""
        own = {
            "gcc": ("-no-pie",),
            "clang": ("-no-pie", "-Wno-unused-command-line-argument"),
            "zig": ("-fno-sanitize=all", "-Wno-unused-command-line-argument"),
        }
        return COMMON_FLAGS + own[self.kind]

    def freestanding_flags(self) -> tuple[str, ...]:
        """FREESTANDING_FLAGS, and gcc's name for not finding memcpy in loops."""
        return FREESTANDING_FLAGS + (("-fno-tree-loop-distribute-patterns",) if self.kind == "gcc" else ())

    def run(self, arguments: Sequence[str], what: str) -> None:
        """Runs the compiler; its messages go to stderr. Raises LinkError naming `what` if it fails."""
        try:
            done = subprocess.run([*self.command, *arguments], stdin=subprocess.DEVNULL)
        except OSError as failure:
            raise error(self.command[0], f"cannot be run: {failure.strerror}", remedy=NO_COMPILER) from None
        if done.returncode:
            raise error(what, f"compilation failed (status {done.returncode})")


@dataclass(frozen=True)
class Job:
    """One compilation."""

    source: Path
    output: Path
    options: tuple[str, ...] = ()


def compile_all(compiler: Compiler, machine: Machine, jobs: Iterable[Job]) -> None:
    """Compiles freestanding sources, as many at once as there are processors. Raises LinkError for all that fail."""
    flags = (*compiler.machine_flags(machine), *compiler.common_flags(), *compiler.freestanding_flags(), "-O2", "-Wall")

    def one(job: Job) -> None:
        compiler.run((*flags, *job.options, "-c", str(job.source), "-o", str(job.output)), str(job.source))

    side_by_side(one, jobs)


def side_by_side(compile_one: Callable[[J], None], jobs: Iterable[J]) -> None:
    """Runs independent compilations, as many at once as there are processors. Raises LinkError for all that fail."""

    def one(job: J) -> ToolError | None:
        try:
            compile_one(job)
        except ToolError as failure:
            return failure
        return None

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        failures = [failure for failure in pool.map(one, jobs) if failure is not None]
    if failures:
        raise LinkError(*(d for failure in failures for d in failure.diagnostics))


def _answer(command: Sequence[str], *arguments: str) -> str:
    try:
        done = subprocess.run(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def _examine(command: tuple[str, ...]) -> Compiler | None:
    """The compiler that `command` runs, or None if it is not a C compiler."""
    version = _answer(command, "--version")
    if not version:
        return None
    if any("zig" in os.path.basename(word) for word in command):
        return Compiler(command, "zig", str(_zig_library(command) / "include"))
    if "clang" in version:
        return Compiler(command, "clang", str(Path(_answer(command, "-print-resource-dir").strip()) / "include"))
    return Compiler(command, "gcc", _answer(command, "-print-file-name=include").strip())


def _zig_library(command: tuple[str, ...]) -> Path:
    """zig's lib directory, as `zig env` says it (JSON, or zig's own notation in newer versions)."""
    stated = re.search(r'"?lib_dir"?\s*[:=]\s*"([^"]+)"', _answer(command[:-1], "env"))
    return Path(stated[1]) if stated else Path("/nonexistent")


@functools.lru_cache(maxsize=4)
def _find(override: str, path: str) -> Compiler | None:
    if override:
        try:
            command = tuple(shlex.split(override))
        except ValueError:
            command = ()
        return _examine(command) if command else None
    for name in ("cc", "gcc", "clang"):
        found = shutil.which(name, path=path)
        if found and (compiler := _examine((found,))) is not None:
            return compiler
    if importlib.util.find_spec("ziglang") is not None:
        return _examine((sys.executable, "-m", "ziglang", "cc"))
    return None


def find_compiler() -> Compiler:
    """The compiler: USELIB_CC (a command), else cc, gcc or clang in PATH, else ziglang. Raises LinkError if none."""
    override = os.environ.get("USELIB_CC", "")
    compiler = _find(override, os.environ.get("PATH", os.defpath))
    if compiler is None:
        if override:
            raise LinkError(Diagnostic("USELIB_CC", f"`{override}` is not a C compiler", remedy=NO_COMPILER))
        raise LinkError(Diagnostic("cc", "no C compiler found", remedy=NO_COMPILER))
    return compiler


def preprocessors() -> tuple[tuple[Machine, tuple[str, ...]], ...]:
    """For each machine the command of the C compiler, as reading headers needs it; none if there is no compiler.

    zig's own target without a system has no headers, so the one of Linux is named here.
    """
    try:
        compiler = find_compiler()
    except LinkError:
        return ()
    zig = {Machine.I386: ("-target", "x86-linux-musl"), Machine.X86_64: ("-target", "x86_64-linux-musl")}
    return tuple(
        (machine, (*compiler.command, *(zig[machine] if compiler.kind == "zig" else compiler.machine_flags(machine))))
        for machine in Machine
    )

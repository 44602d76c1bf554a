"""Threads: programs print the same natively and emulated, on both machines and with both C libraries; the order of threads is the same in
every run; deadlocks are reported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.command import environment
from support.paths import PROGRAMS
from support.programs import musl_program
from support.tools import native as needs_native
from support.tools import require

BUILDS = ("glibc", "musl-x86_64", "musl-i386")
Build = Callable[[str], Path]


@pytest.fixture(scope="module", params=BUILDS)
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Gives a program of tests/programs/thread_programs, compiled once for each C library and machine."""
    folder, made = tmp_path_factory.mktemp("threads"), dict[str, Path]()

    def program(name: str) -> Path:
        if name not in made:
            source = PROGRAMS / "thread_programs" / f"{name}.c"
            made[name] = compiled(source, request.param, folder)
        return made[name]

    return program


def compiled(source: Path, build: str, folder: Path) -> Path:
    if build != "glibc":
        return musl_program(source.read_text(), build.partition("-")[2], folder, source.stem)
    require("gcc")
    output = folder / source.stem
    done = subprocess.run(
        ["gcc", "-O1", "-w", "-static", "-pthread", "-o", output, source], capture_output=True, text=True
    )
    if done.returncode and "cannot find -lc" in done.stderr:
        pytest.skip("needs glibc's static library")
    assert not done.returncode, done.stderr
    return output


def run(program: Path, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "uselib.cli", "run", *options, str(program), *arguments]
    return subprocess.run(
        words, capture_output=True, text=True, timeout=120, env=environment(), stdin=subprocess.DEVNULL
    )


def natively(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def compare(program: Path, *arguments: str, options: tuple[str, ...] = ()) -> None:
    """The same output and status natively and emulated."""
    expected, found = natively(program, *arguments), run(program, *arguments, options=options)
    assert (found.stdout, found.stderr, found.returncode) == (expected.stdout, expected.stderr, expected.returncode)


@needs_native
def test_locks_and_own_data(build: Build) -> None:
    compare(build("basic"), "300")


@needs_native
@pytest.mark.slow
def test_many_rounds(build: Build) -> None:
    compare(build("basic"), "20000")


@needs_native
@pytest.mark.parametrize("name", ["locks", "signals"])
def test_programs(build: Build, name: str) -> None:
    compare(build(name))

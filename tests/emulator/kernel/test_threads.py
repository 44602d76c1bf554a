"""Threads: programs print the same natively and emulated, on both machines and with both C libraries; the order of threads is the same in
every run; deadlocks are reported."""

from __future__ import annotations

import re
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
@pytest.mark.parametrize("name", ["locks", "signals", "raw"])
def test_programs(build: Build, name: str) -> None:
    program = build(name)
    compare(program, options=("--readable", str(program)))


# -- orders of threads, and deadlocks ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def race(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(PROGRAMS / "thread_programs" / "race.c", "musl-x86_64", tmp_path_factory.mktemp("race"))


def test_a_seed_gives_an_order(race: Path) -> None:
    seeds = range(1, 25)
    endings = [run(race, options=("--schedule", str(seed))).returncode for seed in seeds[:3]]
    assert endings == [run(race, options=("--schedule", str(seed))).returncode for seed in seeds[:3]]


def test_schedules_find_a_race(race: Path) -> None:
    assert run(race).returncode == 0
    found = run(race, options=("--schedules", "60"))
    assert found.returncode == 4, found
    seed = re.match(
        r"--schedule (\d+) ends with status 134 \(SIGABRT\), the order without --schedule with status 0\n", found.stdout
    )
    assert seed, found.stdout
    assert f"repeat it: uselib run --schedule {seed[1]} {race}" in found.stdout
    assert run(race, options=("--schedule", seed[1])).returncode == 134


def test_schedules_of_a_program_without_races(build: Build) -> None:
    found = run(build("basic"), "20", options=("--schedules=3",))
    assert (found.stdout, found.returncode) == ("3 schedules: all end with status 0\n", 0)


def test_a_deadlock_is_reported(build: Build) -> None:
    found = run(build("deadlock"))
    assert found.returncode == 137
    lines = found.stderr.splitlines()
    assert lines[0].endswith("ended: deadlock: every thread waits on a futex that nobody can wake")
    for line, thread, lock in zip(lines[1:], (1000, 1001), ("right", "left"), strict=True):
        assert re.match(rf"  thread {thread} waits on {lock}(\+0x4)? in deadlock \[0x[0-9a-f]+\]", line), line
    assert "right_then_left" in lines[2]


def test_a_fault_names_its_thread(tmp_path: Path) -> None:
    program = musl_program(
        """
        #include <pthread.h>
        static void *fail(void *unused) { *(volatile int *)8 = 1; return unused; }
        int main(void) { pthread_t t; pthread_create(&t, 0, fail, 0); pthread_join(t, 0); return 0; }
        """,
        "x86_64",
        tmp_path,
    )
    found = run(program)
    assert found.returncode == 139
    assert re.search(
        r"killed by SIGSEGV: write to unmapped address 0x8 at fail\+0x\w+ in program \[\w+\], in thread 1001\n$",
        found.stderr,
    )


@needs_native
@pytest.mark.parametrize("how", range(4))
def test_a_lost_stack_is_one_line(build: Build, how: int) -> None:
    """Stacks that are unmapped or protected under their threads, and one that is too small: SIGSEGV, as natively."""
    program = build("lost_stacks")
    expected, found = natively(program, str(how)), run(program, str(how))
    assert expected.returncode == -11 and found.returncode == 139
    assert re.fullmatch(r"uselib: .*: killed by SIGSEGV.*, in thread 1001\n", found.stderr), found.stderr


def test_strace_shows_threads(race: Path) -> None:
    lines = run(race, options=("--strace",)).stderr.splitlines()
    assert any(re.match(r"\[pid 1000\] futex\(0x\w+, FUTEX_WAIT\w*, .* <unfinished ...>$", line) for line in lines), (
        lines
    )
    assert any(re.match(r"(\[pid 1000\] )?<... futex resumed>", line) for line in lines)
    assert any(re.match(r"\[pid 1001\] exit\(0\) +\= \?$", line) for line in lines)
    assert "[pid 1001] +++ exited with 0 +++" in lines
    assert lines[-1] == "+++ exited with 0 +++"

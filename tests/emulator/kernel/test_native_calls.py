"""System calls that native code answers (machine/native/calls): programs behave the same natively, with and without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.command import environment
from support.paths import PROGRAMS
from support.programs import musl_program
from support.tools import native
from uselib.emulator.machine import core, unicorn_library
from uselib.emulator.process.run import Runner
from uselib.emulator.process.run_options import RunOptions

SOURCES = PROGRAMS / "native_calls"
Done = subprocess.CompletedProcess[str]


@native
@pytest.mark.parametrize("name", ["pipes", "signals", "memory"])
def test_the_same_natively_and_without_native_answers(name: str, arch: str, tmp_path: Path) -> None:
    program = build(name, arch, tmp_path)
    expected = subprocess.run(
        [program], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, cwd=tmp_path / "work"
    )
    status = expected.returncode if expected.returncode >= 0 else 128 - expected.returncode
    for answers in (True, False):
        found = emulated(program, answers=answers)
        assert (found.stdout.splitlines(), found.returncode) == (expected.stdout.splitlines(), status)


def emulated(program: Path, *arguments: str, answers: bool, options: tuple[str, ...] = (), core: bool = True) -> Done:
    """A run in a directory that the program may write, but not the program itself, which other processes could change then. answers: whether
    native code may answer calls. core: whether there are replaced parts of the CPU."""
    words = [sys.executable, "-m", "uselib.cli", "run", "--writable", ".", *options, str(program), *arguments]
    variables = {**environment(), "USELIB_NATIVE_CALLS": str(int(answers)), "USELIB_CORE": str(int(core))}
    work = program.parent / "work"
    return subprocess.run(
        words, capture_output=True, text=True, timeout=120, env=variables, stdin=subprocess.DEVNULL, cwd=work
    )


def build(name: str, arch: str, folder: Path) -> Path:
    (folder / "work").mkdir()
    return musl_program((SOURCES / f"{name}.c").read_text(), arch, folder, name)


def same_with_and_without(program: Path, *arguments: str, options: tuple[str, ...] = ()) -> Done:
    runs = [emulated(program, *arguments, answers=answers, options=options) for answers in (True, False)]
    with_them, without = ((run.stdout.splitlines(), run.stderr.splitlines(), run.returncode) for run in runs)
    assert with_them == without
    return runs[0]


def test_partial_buffers(arch: str, tmp_path: Path) -> None:
    """What is not as in Linux is the same with native code."""
    same_with_and_without(build("pipes", arch, tmp_path), "everything")


def test_the_clock_is_the_same_without_native_answers(arch: str, tmp_path: Path) -> None:
    done = same_with_and_without(build("clocks", arch, tmp_path))
    assert done.returncode == 0 and "\n0: 0 1700000000.0" in done.stdout


ORDERS: tuple[tuple[str, ...], ...] = ((), ("--schedule", "3"), ("--max-instructions", "100000000"), ("--strace",))


@pytest.mark.parametrize("options", ORDERS, ids=["round-robin", "seeded", "counted", "strace"])
def test_turns_of_threads_are_the_same_without_native_answers(
    options: tuple[str, ...], arch: str, tmp_path: Path
) -> None:
    done = same_with_and_without(build("turns", arch, tmp_path), "40", "order", options=options)
    assert done.stdout.startswith("200 rounds\n") and done.returncode == 0


def test_threads_without_the_core(tmp_path: Path) -> None:
    """Python alone, with Unicorn as it is, has the same order and the same time."""
    program = build("turns", "x86_64", tmp_path)
    found = [emulated(program, "20", "order", answers=True, core=core).stdout for core in (True, False)]
    assert found[0] == found[1] and "order" in found[0]


def test_traces_are_the_same(arch: str, tmp_path: Path) -> None:
    program = build("turns", arch, tmp_path)
    for name in ("1", "0"):
        words = [sys.executable, "-m", "uselib.cli", "trace", "record", "-o", name, str(program), "20", "order"]
        variables = {**environment(), "USELIB_NATIVE_CALLS": name}
        subprocess.run(words, check=True, env=variables, cwd=tmp_path, stdin=subprocess.DEVNULL, timeout=120)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "0").read_bytes()


@native
def test_threads_print_the_same_natively(arch: str, tmp_path: Path) -> None:
    program = build("turns", arch, tmp_path)
    expected = subprocess.run([program, "40"], capture_output=True, text=True, timeout=60)
    assert emulated(program, "40", answers=True).stdout == expected.stdout


def count_answers(program: Path) -> int:
    runner = Runner(RunOptions(str(program)))
    calls = runner.machine.calls
    assert runner.run() == 0
    return calls.answered if calls is not None else 0


def test_native_code_is_used(arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is a core, a program that reads the clock never leaves it for that."""
    program = build("clocks", arch, tmp_path)
    if core.attach(unicorn_library.library()) is not None:
        assert count_answers(program) > 40
    monkeypatch.setenv("USELIB_NATIVE_CALLS", "0")
    assert count_answers(program) == 0

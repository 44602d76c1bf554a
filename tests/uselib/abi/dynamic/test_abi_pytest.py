"""The pytest plugin: the example project as its users run it, messages of failures, bad usage, and what it costs others."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from support.paths import ROOT

PROJECT = ROOT / "samples" / "abi-project"
PLUGIN = "uselib.abi.pytest_plugin"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which `uselib` is the one under test, installed or not."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "uselib"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m uselib.cli "$@"\n')
    script.chmod(0o755)
    outer = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_", "LD_LIBRARY"))
    }
    return {**outer, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def run_pytest(environment: dict[str, str], folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    installed = any(point.value == PLUGIN for point in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", PLUGIN]
    command = [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", "-p", "no:randomly", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)


@pytest.mark.slow
def test_the_example_project_passes(environment: dict[str, str]) -> None:
    done = run_pytest(environment, PROJECT, "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "11 passed" in done.stdout


FAILING = """
import pytest

def test_compatible(abi, released, draft, report):
    abi.assert_compatible(released, draft, report, ("250", "2", "100", "3"))

def test_library(abi, released, draft):
    abi.assert_compatible(released, draft)

def test_run(abi, released, draft, report):
    abi.assert_identical_run(released, draft, report, ("250", "2", "100", "3"))

def test_function(abi, released, draft):
    abi.assert_same_function(released, draft, "average")

@pytest.mark.abi(old="released", new="draft", program="report", arguments=["250", "2"])
def test_marker(released, draft, report):
    raise RuntimeError("the body must not run")

@pytest.mark.abi(old="released")
def test_bad_marker(released):
    pass

@pytest.mark.abi("released", "draft", colour="red")
def test_bad_option(released, draft):
    pass

def test_gone(abi, released, tmp_path):
    abi.assert_compatible(released, tmp_path / "gone")

def test_no_program(abi, released, candidate, tmp_path):
    abi.assert_identical_run(released, candidate, tmp_path / "gone")

def test_no_library(abi, released, tmp_path):
    (tmp_path / "text").write_text("text")
    abi.assert_compatible(released, tmp_path / "text")

def test_no_function(abi, released, candidate):
    abi.assert_same_function(released, candidate, "gone")
"""


@pytest.mark.slow
def test_failures_say_why_in_few_lines(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        (PROJECT / "tests" / "conftest.py")
        .read_text()
        .replace("Path(__file__).resolve().parent.parent", f"Path({str(PROJECT)!r})")
    )
    (tmp_path / "test_it.py").write_text(FAILING)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = run_pytest(environment, tmp_path, "-q", "--tb=short")
    out = done.stdout
    assert done.returncode == 1 and "11 failed" in out, out + done.stderr
    assert "must not run" not in out.replace('raise RuntimeError("the body must not run")', "")
    for said in (
        "report is affected",
        "diverged (call",
        "tally",
        "breaking for programs that use what changed",
        "average: difference, after",
        "the marker `abi` needs old=, new=",
        "the marker `abi` has no option colour",
        "gone: No such file",
        "gone: not probed",
        "text",
        "cannot be run",
    ):
        assert said in out, f"{said!r} is not in\n{out}"
    assert "pytest_checks.py" not in out.split("test_bad_marker")[0], "no frames of the plugin in ordinary failures"

    static = run_pytest(
        environment, tmp_path, "-q", "--abi-static-only", "-k", "test_run or test_compatible", "--tb=line"
    )
    assert "test_compatible" in static.stdout and "2 failed" in static.stdout


def test_settings(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "def test_it(abi, abi_run_options):\n"
        "    assert (abi.run_options, abi.max_seconds) == (('--seed', '3'), 5.0) and abi_run_options == ['--seed', '3']\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nabi_run_options = --seed 3\nabi_max_seconds = 5\n")
    done = run_pytest(environment, tmp_path, "-q")
    assert done.returncode == 0, done.stdout
    (tmp_path / "pytest.ini").write_text("[pytest]\nabi_max_seconds = soon\n")
    assert "abi_max_seconds: `soon` is not a positive number" in run_pytest(environment, tmp_path, "-q").stdout
    assert "@pytest.mark.abi(old, new" in run_pytest(environment, tmp_path, "--markers").stdout


def test_an_unused_plugin_imports_nothing() -> None:
    """Loading the plugin imports nothing of the emulator but its own module."""
    code = (
        f"import pytest, sys; before = set(sys.modules); import {PLUGIN}; "
        "print(sorted(name for name in set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == str(["uselib", "uselib.abi", PLUGIN]), done.stdout + done.stderr


def test_the_distribution_announces_it() -> None:
    import tomllib

    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert table["project"]["entry-points"]["pytest11"] == {"uselib": PLUGIN}

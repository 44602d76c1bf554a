"""The installed package: nothing beside `uselib` in site-packages, nothing missing in it, and no clash with a project's own modules."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from support.c_types import compile_shared
from support.command import environment
from support.paths import ROOT
from support.tools import require

PARTS = ("linker", "loader", "runtime", "emulator")
NATIVE = {
    *("emulator/machine/_core", "emulator/machine/_pages"),
    *("emulator/trace/_native", "emulator/trace/_watch", "linker/_native"),
}


def test_a_project_with_modules_of_the_same_names(tmp_path: Path) -> None:
    """A project's tests import its own modules linker and loader and folders runtime/ and emulator/, and the plugin works beside them."""
    require("gcc")
    compile_shared(tmp_path, "libstack", "int depth; int push(int a) { return depth += a; }", "-g")
    for name in ("linker", "loader"):
        (tmp_path / f"{name}.py").write_text(f"mine = {name!r}\n")
    for name in ("runtime", "emulator"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"mine = {name!r}\n")
    (tmp_path / "conftest.py").write_text("")
    (tmp_path / "test_x.py").write_text(
        "import emulator, linker, loader, runtime\n\n"
        "def test_modules():\n"
        f"    assert [m.mine for m in (linker, loader, runtime, emulator)] == {list(PARTS)}\n\n"
        "def test_library(abi):\n"
        "    abi.assert_compatible('libstack.so', 'libstack.so')\n\n"
        "def test_another_library(abi):\n"
        "    abi.assert_compatible('libstack.so', 'other.so')\n"
    )
    compile_shared(tmp_path, "other", "int depth; int pop(int a) { return depth -= a; }", "-g")
    outer = environment() | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}  # the project's modules come first
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "test_x.py"]
    done = subprocess.run(command, cwd=tmp_path, env=outer, capture_output=True, text=True)
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "push" in done.stdout and "test_another_library" in done.stdout


def _sources(into: Path) -> Path:
    """The files that are in the repository, links as links."""
    require("git")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    if listed.returncode:
        pytest.skip("the tests are not in a git checkout")
    into.mkdir()
    for name in os.fsdecode(listed.stdout).split("\0")[:-1]:
        source, target = ROOT / name, into / name
        if not source.is_symlink() and not source.exists():
            continue  # removed, and not committed yet
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        else:
            target.write_bytes(source.read_bytes())
    return into


def _environment(folder: Path) -> tuple[Path, Path]:
    """A new virtual environment: its bin, its site-packages."""
    venv.create(folder, with_pip=True)
    return folder / "bin", next((folder / "lib").glob("python3*/site-packages"))


def _run(*command: object, cwd: Path) -> str:
    outer = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=outer, capture_output=True, text=True)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout


def _wanted(sources: Path) -> set[str]:
    """What an installation has of the sources, relative to uselib/: all files of the parts, and the samples that
    `uselib demo` and readers of the tour build (samples/abi-project is a project of its own)."""
    found = set()
    for folder, prefix in (("uselib", ""), *((name, f"{name}/") for name in PARTS), ("samples", "runtime/samples/")):
        for path in (sources / folder).rglob("*"):
            inside = path.relative_to(sources / folder)
            linked = any((sources / folder / parent).is_symlink() for parent in (inside, *inside.parents))
            if path.is_file() and not linked and "abi-project" not in inside.parts:
                found.add(f"{prefix}{inside}")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("form", ["folder", "sdist"])
def test_installed(tmp_path: Path, form: str) -> None:
    """`pip install` of the folder, and of the source distribution, in a new environment; `uselib demo` from there in an empty folder."""
    require("gcc")
    sources = _sources(tmp_path / "sources")
    wanted = _wanted(sources)
    binaries, packages = _environment(tmp_path / "environment")
    given = sources
    if form == "sdist":
        builder, _ = _environment(tmp_path / "builder")
        _run(builder / "pip", "install", "-q", "setuptools>=77", cwd=tmp_path)
        build = f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})"
        _run(builder / "python", "-c", build, cwd=sources)
        (given,) = tmp_path.glob("uselib-*.tar.gz")
    _run(binaries / "pip", "install", "-q", given, cwd=tmp_path)

    record = (
        next(packages.glob("uselib-*.dist-info")) / "RECORD"
    )  # every file that pip has installed for us: path,hash,size
    ours = {line.split("/")[0] for line in record.read_text().splitlines() if not line.startswith("..")}
    version = _run(binaries / "uselib", "--version", cwd=tmp_path).split()[1]
    assert ours == {"uselib", f"uselib-{version}.dist-info"}
    installed = {
        str(path.relative_to(packages / "uselib")) for path in (packages / "uselib").rglob("*") if path.is_file()
    }
    installed = {name for name in installed if "__pycache__" not in name}
    native = {name.split(".")[0] for name in installed if name.endswith(".so")}
    assert native == NATIVE
    assert {name for name in installed if not name.endswith(".so")} == wanted
    assert {
        "emulator/trace/prototypes/libc.txt",
        "abi/static/rules/slot-moved.toml",
        "runtime/samples/versions/README.md",
    } <= wanted

    (tmp_path / "empty").mkdir()
    shown = _run(binaries / "uselib", "demo", cwd=tmp_path / "empty")
    assert "hello from 1.0.0" in shown and "a warm hello from 1.1.0" in shown
    assert os.listdir(tmp_path / "empty") == []
    assert not list((packages / "elftools").glob("*")), "a tool of the tests is installed for users"
    assert _run(binaries / "python", "-m", "uselib", "--version", cwd=tmp_path) == f"uselib {version}\n"

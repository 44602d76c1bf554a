"""Builds the library's versions and the programs, which are linked with 1.0.0, the version that was released."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
Build = Callable[[str], Path]


def uselib(*words: str | Path) -> None:
    subprocess.run(["uselib", *map(str, words)], check=True)


@pytest.fixture(scope="session")
def sysroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sysroot") / "x86_64"
    uselib("sysroot", path, "--arch", "x86_64", "--libc", "mini")
    return path


@pytest.fixture(scope="session")
def abi_run_options(sysroot: Path) -> list[str]:
    """The plugin's: the programs find their C library in the sysroot."""
    return ["--sysroot", str(sysroot)]


@pytest.fixture(scope="session")
def library(sysroot: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """library("1.0.0"): the target library's file."""
    made: dict[str, Path] = {}

    def build(version: str) -> Path:
        if version not in made:
            source, output = PROJECT / "src" / version, tmp_path_factory.mktemp(version)
            include = PROJECT / "include"
            uselib("cc", "--sysroot", sysroot, "-g", "-I", include, "-c", source / "tally.c", "-o", output / "tally.o")
            uselib("mkshlib", "-s", source / "tally.spec", "-o", output, output / "tally.o")
            made[version] = next((output / "shlib").iterdir())
        return made[version]

    return build


@pytest.fixture(scope="session")
def program(library: Build, sysroot: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """program("report"): one of app/, linked with 1.0.0."""
    folder = tmp_path_factory.mktemp("app")

    def build(name: str) -> Path:
        if not (folder / name).exists():
            stub = library("1.0.0").parent.parent / "lib"
            source = PROJECT / "app" / f"{name}.c"
            words: list[str | Path] = [
                "--sysroot",
                sysroot,
                "-g",
                "-I",
                PROJECT / "include",
                source,
                "-L",
                stub,
                "-ltally_s",
            ]
            uselib("cc", *words, "-o", folder / name)
        return folder / name

    return build


@pytest.fixture
def released(library: Build) -> Path:
    return library("1.0.0")


@pytest.fixture
def candidate(library: Build) -> Path:
    return library("1.1.0")


@pytest.fixture
def draft(library: Build) -> Path:
    return library("draft")


@pytest.fixture
def report(program: Build) -> Path:
    return program("report")


@pytest.fixture
def currency(program: Build) -> Path:
    return program("currency")

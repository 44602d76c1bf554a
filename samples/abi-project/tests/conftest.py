"""Builds everything once (make.sh) and names the files."""

import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("build")
    subprocess.run(["sh", PROJECT / "make.sh", path], check=True)
    return path


@pytest.fixture(scope="session")
def abi_run_options(built: Path) -> list[str]:
    """The plugin's: the programs find their C library in the sysroot."""
    return ["--sysroot", str(built / "sysroot")]


@pytest.fixture
def released(built: Path) -> Path:
    return built / "1.0.0/shlib/libtally_s.1.0.0"


@pytest.fixture
def candidate(built: Path) -> Path:
    return built / "1.1.0/shlib/libtally_s.1.1.0"


@pytest.fixture
def draft(built: Path) -> Path:
    return built / "draft/shlib/libtally_s.1.2.0"


@pytest.fixture
def report(built: Path) -> Path:
    return built / "report"


@pytest.fixture
def currency(built: Path) -> Path:
    return built / "currency"

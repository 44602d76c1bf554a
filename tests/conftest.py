"""Fixtures of all tests. What they are made of is in support/."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from support import aout as aout_support
from support import coff as coff_support
from support import command
from support import textbook as textbook_support
from support.chkshlib import Answer, SampleFiles, make_sample
from support.probe import make_pair
from support.releases import Shop
from support.schemes import World, make_world
from support.tools import ARCHES, MACHINES
from uselib.cli import main
from uselib.linker.image import Machine

# how long an example takes says nothing on a machine that is busy with other tests
settings.register_profile("uselib", deadline=None)
settings.load_profile("uselib")


@pytest.fixture(scope="module", params=ARCHES)
def arch(request: pytest.FixtureRequest) -> str:
    """Each architecture, by its name on the command line."""
    return str(request.param)


@pytest.fixture(scope="module", params=MACHINES, ids=lambda machine: machine.label)
def machine(request: pytest.FixtureRequest) -> Machine:
    """Each architecture, as the linker knows it."""
    assert isinstance(request.param, Machine)
    return request.param


@pytest.fixture(scope="session")
def aout_kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a.out: a folder with control files, libcount.so.1.2.3, its stub and crt0.o."""
    return aout_support.make_kit(tmp_path_factory.mktemp("aout"))


@pytest.fixture(scope="session")
def coff_kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """COFF: a folder with the library libx_s, its host library libx.a, crt1.o, crtn.o and the program prog."""
    return coff_support.make_kit(tmp_path_factory.mktemp("coff"))


@pytest.fixture(scope="session")
def book_kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The textbook's format: a folder with libf_s, crt.o and the program p, which returns 7 from the library."""
    return textbook_support.make_kit(tmp_path_factory.mktemp("book"))


@pytest.fixture
def shop(machine: Machine, tmp_path: Path) -> Shop:
    """A directory in which releases of a library are made, and programs that use them."""
    return Shop(tmp_path, machine)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleFiles:
    """Versions of libsample, and programs linked with the first of them."""
    return make_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """Runs `uselib chkshlib` in this process."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*words: str) -> Answer:
        status = main(["chkshlib", *words])
        out, err = capsys.readouterr()
        return Answer(status, out, err)

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for what all tests of a module use."""
    return tmp_path_factory.mktemp("module")


@pytest.fixture(scope="module")
def world(arch: str, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A sysroot with libinner_s and libouter_s, and a program of theirs."""
    return make_world(tmp_path_factory.mktemp("world") / "root", arch)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the command `uselib` is the one under test, installed or not."""
    directory = tmp_path_factory.mktemp("bin")
    script = directory / "uselib"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m uselib.cli "$@"\n')
    script.chmod(0o755)
    return command.environment() | {"PATH": f"{directory}:{os.environ['PATH']}"}


Probed = tuple[str, Path, Path]
"""Architecture, old and new library."""


@pytest.fixture(scope="module")
def probe_pair(arch: str, tmp_path_factory: pytest.TempPathFactory) -> Probed:
    """Two versions of a library for `uselib abi probe`, on each machine."""
    return make_pair(tmp_path_factory.mktemp("probe"), arch)


@pytest.fixture(scope="session")
def probe_x86_64(tmp_path_factory: pytest.TempPathFactory) -> Probed:
    return make_pair(tmp_path_factory.mktemp("probe64"), "x86_64")

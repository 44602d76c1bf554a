"""Figure 5 of the chapter, `int errno;` in a program, in the ELF schemes in which others than the program's start-up map the libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.paths import ROOT
from support.schemes import World, make_world

SOURCE = ROOT / "samples" / "errno_conflict" / "main.c"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("two") / "root", "x86_64")


@pytest.mark.parametrize("scheme", ["kernel", "interp", "bsdos"])
def test_two_copies_of_errno(world: World, scheme: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The program reads its own. Our ld warns; the wrapper's linker, which knows nothing of libraries, says nothing, as it was."""
    program = tmp_path / "program"
    made = world.shlicc(program, "--ld", "ld", SOURCE) if scheme == "bsdos" else world.cc(scheme, program, SOURCE)
    assert made == 0
    said = capfd.readouterr().err
    assert ("errno: also defined in the shared library" in said) is (scheme != "bsdos")
    ran = world.run("emulated", program)
    assert (ran.stdout, ran.returncode) == (b"open failed, and the program's errno is 0\n", 0)

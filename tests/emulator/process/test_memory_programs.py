"""Memory and its corners: the same bytes and the same end natively and in the emulator, where the program may write its directory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support import paths
from support.command import uselib
from support.programs import musl_program
from support.tools import require_native

PROGRAMS = paths.PROGRAMS / "memory_programs"


@pytest.mark.parametrize("name", sorted(path.stem for path in PROGRAMS.glob("*.c")))
def test_same_natively_and_emulated(name: str, arch: str, tmp_path: Path) -> None:
    require_native(arch)
    program = musl_program((PROGRAMS / f"{name}.c").read_text(), arch, tmp_path, name)
    for way in ("native", "emulated"):
        (tmp_path / way).mkdir()
    native = subprocess.run(
        [program],
        cwd=tmp_path / "native",
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        env={"PATH": os.defpath},
    )
    ran = uselib("run", "--writable", ".", program, cwd=tmp_path / "emulated")
    assert (ran.stdout, ran.returncode) == (native.stdout, native.returncode), ran.stderr

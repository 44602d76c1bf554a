"""Random system calls by whole programs (tests/programs/hostile/random_calls.c): signals, processes and waiting calls are among them.

Whatever the calls are, the emulator goes on: no traceback, no death of the host process by a signal that is not the guest's, no change
outside of the granted directory. The seeds are fixed, so a failure can be repeated: `random_calls SEED ROUNDS CALLS [int80]`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import environment
from support.paths import ROOT
from support.programs import musl_program

SOURCE = (ROOT / "tests" / "programs" / "hostile" / "random_calls.c").read_text()
ROUNDS, CALLS = 10, 60
WAYS = [("x86_64", ()), ("x86_64", ("int80",)), ("i386", ())]
DEFECT = re.compile(r"Traceback|internal error|Fatal Python error|MemoryError")


@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 31), marks=pytest.mark.slow)], ids=["one", "many"])
@pytest.mark.parametrize(("arch", "way"), WAYS, ids=["x86_64", "int 0x80", "i386"])
def test_random_calls(arch: str, way: tuple[str, ...], seeds: range, tmp_path: Path) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    (work / "dir").mkdir(parents=True)
    outside.mkdir()
    (outside / "kept").write_text("kept")
    program = musl_program(SOURCE, arch, tmp_path)
    whole = 0
    for seed in seeds:
        (work / "file").write_text("content")
        for name, target in (("link", "file"), ("loop", "loop")):
            if not os.path.lexists(work / name):
                (work / name).symlink_to(target)
        said = _run(work, ["--writable", ".", str(program), str(seed), str(ROUNDS), str(CALLS), *way])
        whole += f"{ROUNDS} rounds:" in said.stdout
        assert not DEFECT.search(said.stderr), (seed, said.stderr[-3000:])
    assert whole * 2 >= len(seeds)  # a child may kill its parent, but does so rarely
    assert [path.name for path in outside.iterdir()] == ["kept"] and (outside / "kept").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "program", "program.c", "work"]


def _run(work: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """With the faults of the host process itself said."""
    return subprocess.run(
        [
            sys.executable,
            "-X",
            "faulthandler",
            "-m",
            "uselib.cli",
            "run",
            "--max-processes",
            "20",
            "--max-seconds",
            "60",
            *words,
        ],
        cwd=work,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )

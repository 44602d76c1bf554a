"""A traced program whose debug information is damaged: recorder and readers say so, once, and the trace is shown all the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.command import uselib

SOURCE = "int add(int a, int b) { return a + b; }\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration's program, with the debug sections of a compiler, in which the unit has a version that does not exist."""
    folder = tmp_path_factory.mktemp("damaged")
    ran = uselib("demo", "--arch", "x86_64", "--keep", folder, timeout=120)
    if ran.returncode:
        pytest.skip(f"the demonstration cannot be built here: {ran.stderr[-200:]}")
    (folder / "add.c").write_text(SOURCE)
    subprocess.run(["gcc", "-g", "-gdwarf-4", "-c", "add.c", "-o", "add.o"], cwd=folder, check=True)
    words = []
    for name in ("info", "abbrev"):
        subprocess.run(["objcopy", "--dump-section", f".debug_{name}={name}", "add.o"], cwd=folder, check=True)
        words += ["--remove-section", f".debug_{name}", "--add-section", f".debug_{name}={name}"]
    data = bytearray((folder / "info").read_bytes())
    data[4:6] = (9).to_bytes(2, "little")
    (folder / "info").write_bytes(data)
    subprocess.run(["objcopy", *words, "main", "damaged"], cwd=folder, check=True)
    return folder


def test_recorder_and_readers_say_it_once(folder: Path) -> None:
    said = (
        f"uselib: {folder / 'damaged'}: the debug information is damaged from offset 0x0 of .debug_info on: "
        "a unit has DWARF version 9; 2 to 5 are read; functions described there have no prototype\n"
    )
    places = ("--sysroot", "sysroot", "--library-path", "old/shlib")
    ran = uselib("trace", "record", "-o", "d.trace", *places, folder / "damaged", cwd=folder)
    assert (ran.returncode, ran.stderr) == (0, said)
    for command in (["show"], ["export", "--format", "jsonl"], ["diff", "d.trace"]):
        ran = uselib("trace", *command, "d.trace", cwd=folder)
        assert (ran.returncode, ran.stderr) == (0, said), command
    shown = uselib("trace", "show", "--caller", "main", "d.trace", cwd=folder).stdout
    assert 'puts[111]("hello from 1.0.0")' in shown
    assert uselib("trace", "show", "--words", "d.trace", cwd=folder).stderr == ""

"""docs/evolving-a-library.md: its commands say what it says they say (but for the bytes of room, which are the compiler's)."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from support.mkshlib import compile_c
from support.paths import ROOT
from support.tools import needs
from uselib.cli import main
from uselib.linker.image import Machine

DOCUMENT = ROOT / "docs/evolving-a-library.md"
STORE = """int level = 1, table[4] = {10, 20, 30, 40};
int open_db(void) { return level; }
int close_db(int db) { return db - level; }
int shut(int db) { return table[db]; }
"""
SECOND = """int cache = 7, level = 1, table[4] = {10, 20, 30, 40};
int end_db(int db) { return table[db]; }
int open_db(void) { return level; }
int sync_db(int db) { return db + cache; }
"""

pytestmark = needs("gcc")


def sessions() -> list[tuple[str, list[str]]]:
    """(command, its output) of every `$ uselib mkshlib` and `$ cat` in the document."""
    found: list[tuple[str, list[str]]] = []
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("    $ "):
            found.append((line[6:], []))
        elif line.startswith("    ") and found:
            found[-1][1].append(line[4:])
        elif line.strip():
            found.append(("", []))
    return [
        (command, output)
        for command, output in found
        if command.startswith(("uselib mkshlib", "uselib inspect", "cat"))
    ]


def without_room(lines: list[str]) -> list[str]:
    """Sizes and addresses within the text depend on the compiler."""
    return [re.sub(r"\d+ bytes of (text|data)|(jmp|call) 0x\w+|e[89]( \w\w){4}", "N", line) for line in lines]


def test_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shlib.map").write_text("libc_s 1 0x60000000 0x00400000\n")
    for name, text in (("store1", STORE), ("store2", SECOND), ("store3", SECOND.replace("table[4]", "table[6]"))):
        compile_c(tmp_path, Machine.X86_64, name, text, "-fdata-sections")
    ran = 0
    for command, wanted in sessions():
        words = shlex.split(command)
        if words[0] == "cat":
            Path(words[1]).write_text("\n".join(wanted) + "\n")
            continue
        capsys.readouterr()
        main(words[1:])
        captured = capsys.readouterr()
        said = without_room((captured.out + captured.err).splitlines())
        missing = [line for line in without_room(wanted) if line not in said and line != "..."]
        assert not missing, (command, missing, said)
        ran += 1
    assert ran == 7

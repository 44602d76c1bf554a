"""Unwind tables: FDEs for no code are left out, so that a search finds the function that begins where they lie."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support.tools import needs
from uselib.cli import main

pytestmark = needs("gcc", "ld")

FRAMES = """
 .text
first: .cfi_startproc
 .cfi_endproc
 .globl _start
_start: .cfi_startproc
 nop
 .cfi_endproc
last: .cfi_startproc
 .cfi_endproc
"""
MACHINES = [("elf_i386", "--32"), ("elf_x86_64", "--64")]


def frames(path: Path) -> list[str]:
    """The ranges of the FDEs that readelf finds."""
    text = subprocess.run(["readelf", "--debug-dump=frames", path], capture_output=True, text=True, check=True).stdout
    return re.findall(r"FDE .*pc=([0-9a-f.]+)", text)


@pytest.mark.parametrize(("emulation", "option"), MACHINES)
def test_empty_ranges_are_left_out(emulation: str, option: str, tmp_path: Path) -> None:
    source, ours, theirs = tmp_path / "x.o", tmp_path / "ours", tmp_path / "theirs"
    subprocess.run(["as", option, "-o", source], input=FRAMES.encode(), check=True)
    words = ["-m", emulation, "--eh-frame-hdr", str(source)]
    assert main(["ld", *words, "-o", str(ours)]) == 0
    subprocess.run(["ld", *words, "-o", theirs], check=True)
    assert frames(ours) == frames(theirs) and len(frames(ours)) == 1
    dump = ["readelf", "-x", ".eh_frame_hdr"]
    rows = [
        subprocess.run([*dump, path], capture_output=True, text=True).stdout.count("0x0040") for path in (ours, theirs)
    ]
    assert rows[0] == rows[1]


THROWS = """
#include <stdexcept>
__attribute__((noinline)) void fails() { throw std::runtime_error("x"); }
int main() { try { fails(); } catch (const std::exception &) { return 42; } return 1; }
"""


@needs("g++")
def test_an_exception_is_caught_behind_an_empty_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, objects = tmp_path / "x.cc", tmp_path / "x.o"
    source.write_text(THROWS)
    made = subprocess.run(
        ["g++", "-O1", "-fno-pie", "-S", source, "-o", "-"], capture_output=True, text=True, check=True
    )
    doubled = re.sub(r"^(\t\.cfi_startproc)$", r"\1\n\t.cfi_endproc\n\1", made.stdout, flags=re.M)
    subprocess.run(["g++", "-x", "assembler", "-c", "-", "-o", objects], input=doubled.encode(), check=True)
    assert main(["ld-dir"]) == 0
    folder = capsys.readouterr().out.strip()
    command = ["g++", f"-B{folder}", "-static", "-no-pie", objects, "-o", tmp_path / "p"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and "no lib" in done.stderr:
        pytest.skip("no static C++ library here")
    assert done.returncode == 0, done.stderr
    assert subprocess.run([tmp_path / "p"]).returncode == 42

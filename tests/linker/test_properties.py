"""Program properties (.note.gnu.property): merged as GNU ld does, in programs, shared objects and with -r."""

from __future__ import annotations

import re
import subprocess
from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from support.command import uselib
from support.tools import needs

pytestmark = needs("as", "ld", "readelf")
MACHINES = {"x86_64": ("--64", "elf_x86_64", 8), "i386": ("--32", "elf_i386", 4)}
# type and bits of each property of an object
OBJECTS: dict[str, list[tuple[int, int]]] = {
    "full": [(0xC0000002, 3), (0xC0008002, 1), (0xC0010002, 3)],
    "ibt": [(0xC0000002, 1), (0xC0010002, 4)],
    "shstk": [(0xC0000002, 2), (0xC0008002, 4)],
    "needed": [(0xC0008001, 1), (0xC0008002, 8)],
    "none": [],
}


def assemble(folder: Path, name: str, arch: str) -> None:
    flag, _, word = MACHINES[arch]
    text = f".globl f_{name}\nf_{name}: ret\n"
    if OBJECTS[name]:
        rows = "".join(
            f".long {kind:#x}, 4, {bits}\n.p2align {word.bit_length() - 1}\n" for kind, bits in OBJECTS[name]
        )
        text += f'.section .note.gnu.property,"a"\n.p2align {word.bit_length() - 1}\n.long 4, 2f - 1f, 5\n.asciz "GNU"\n1:\n{rows}2:\n'
    (folder / f"{name}.s").write_text(text)
    subprocess.run(["as", flag, f"{name}.s", "-o", f"{name}.o"], cwd=folder, check=True)


def properties(file: Path) -> list[str]:
    text = subprocess.run(["readelf", "-nW", file], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"(x86 [^\n]*?): ([^\n]*)", text)
    headers = subprocess.run(["readelf", "-lW", file], capture_output=True, text=True, check=True).stdout
    return sorted(f"{name}: {bits}" for name, bits in found) + ["PT_GNU_PROPERTY"] * ("GNU_PROPERTY" in headers)


@pytest.mark.parametrize("words", [(), ("-shared",), ("-r",), ("-z", "shstk"), ("-z", "x86-64-v3")], ids=" ".join)
def test_merged_as_gnu_ld_does(tmp_path: Path, arch: str, words: tuple[str, ...]) -> None:
    emulation = MACHINES[arch][1]
    for name in OBJECTS:
        assemble(tmp_path, name, arch)
    pairs = [pair for pair in combinations_with_replacement(OBJECTS, 2) if words == () or "full" in pair]
    for pair in pairs:
        inputs = [f"{name}.o" for name in dict.fromkeys(pair)]
        command = ["-m", emulation, "-e", f"f_{pair[0]}", *words, *inputs]
        done = uselib("ld", *command, "-o", "ours", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        subprocess.run(["ld", *command, "-o", "gnu"], cwd=tmp_path, check=True)
        assert properties(tmp_path / "ours") == properties(tmp_path / "gnu"), pair


def test_an_output_with_a_plt(tmp_path: Path, arch: str) -> None:
    """Its PLT begins with ENDBR, so it stays marked for IBT."""
    flag, emulation, _ = MACHINES[arch]
    assemble(tmp_path, "full", arch)
    (tmp_path / "m.s").write_text((tmp_path / "full.s").read_text().replace("f_full: ret", "f_full: call outside@PLT"))
    subprocess.run(["as", flag, "m.s", "-o", "m.o"], cwd=tmp_path, check=True)
    command = ["-m", emulation, "-shared", "m.o"]
    assert uselib("ld", *command, "-o", "ours", cwd=tmp_path).returncode == 0
    subprocess.run(["ld", *command, "-o", "gnu"], cwd=tmp_path, check=True)
    found = properties(tmp_path / "ours")
    assert found == properties(tmp_path / "gnu") and any("IBT" in row for row in found)


def test_damaged_notes(tmp_path: Path) -> None:
    assemble(tmp_path, "full", "x86_64")
    text = (tmp_path / "full.s").read_text().replace("0xc0000002, 4,", "0xc0000002, 4000,")
    (tmp_path / "m.s").write_text(text)
    subprocess.run(["as", "m.s", "-o", "m.o"], cwd=tmp_path, check=True)
    done = uselib("ld", "-e", "f_full", "m.o", "-o", "p", cwd=tmp_path)
    assert (
        done.returncode == 1
        and "m.o:(.note.gnu.property): a program property runs over the end of its note" in done.stderr
    )
    assert not (tmp_path / "p").exists()

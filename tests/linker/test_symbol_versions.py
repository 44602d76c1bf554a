"""Symbol versions of shared objects as GNU ld makes them: `.symver` in all its forms, with and without a version script, --default-symver."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from support.command import uselib
from support.tools import needs

pytestmark = needs("as", "ld", "readelf")
FLAGS = {"x86_64": ("--64", "elf_x86_64"), "i386": ("--32", "elf_i386")}
FUNCTION = ".globl {0}\n.type {0},@function\n{0}: ret\n.size {0},.-{0}\n"
TWO = FUNCTION.format("f1") + FUNCTION.format("f2")


class Case(NamedTuple):
    """error: what ours says where GNU ld refuses as well."""

    text: str
    script: str | None = None
    options: tuple[str, ...] = ()
    error: str = ""


NO_NODE = "version node not found: .symver gives it version {}, which no version script defines; add `{} {{ }};`"
CASES = {
    "one": Case(".symver f1,foo@V1", "V1 {}; V2 {} V1;"),
    "default": Case(".symver f1,foo@V1\n.symver f2,foo@@V2", "V1 {}; V2 {} V1;"),
    "three": Case(".symver f1,foo@V1\n.symver f1,foo@V2\n.symver f2,foo@@V3", "V1 {}; V2 {} V1; V3 {} V2;"),
    "@@@": Case(".symver f1,foo@@@V1", "V1 { foo; };"),
    "hidden by its own node": Case(".symver f1,foo@@@V1", "V1 { local: *; };"),
    "@@ hidden by its own node": Case(".symver f2,foo@@V2", "V1 {}; V2 { local: *; } V1;"),
    "hidden by another node": Case(".symver f2,foo@@V2", "V1 { local: *; }; V2 {} V1;"),
    "exported by name": Case(".symver f1,foo@@V1", "V1 { global: foo; local: *; };"),
    "exported by another node": Case(".symver f1,foo@@V1", "V1 {}; V2 { foo; };"),
    "remove": Case(".symver f1,foo@@V1,remove", "V1 {};"),
    "hidden": Case(".symver f1,foo@V1,hidden", "V1 {};"),
    "local": Case(".symver f1,foo@V1,local", "V1 {};"),
    "empty version": Case(".symver f1,foo@", "V1 { f2; };"),
    "hidden visibility": Case(".hidden f1\n.symver f1,foo@@V1", "V1 { f2; };"),
    "protected visibility": Case(".protected f1\n.symver f1,foo@@V1", "V1 {};"),
    "weak": Case(".weak w\nw: ret\n.data\n.weak r\n.dc.a r", "V1 { w; f1; };"),
    "common": Case(".comm c,4,4", "V1 { c; };"),
    "last pattern": Case("", "V1 { global: f*; local: *; }; V2 { f2; } V1;"),
    "without a name": Case("", "{ global: f1; local: *; };"),
    "unused names": Case("", "V1 { nosuch; f1; };"),
    "unused names refused": Case("", "V1 { nosuch; f1; };", ("--no-undefined-version",), "nosuch: the version script gives it version V1"),
    "default-symver": Case("", None, ("--default-symver", "-soname", "libx.so.1")),
    "default-symver by file": Case("", None, ("--default-symver",)),
    "default-symver and script": Case("", "V1 { f1; };", ("--default-symver", "-soname", "libx.so.1")),
    "no script": Case(".symver f1,foo@V1", None, (), NO_NODE.format("V1", "V1")),
    "no node": Case(".symver f1,foo@@V7", "V1 {};", (), NO_NODE.format("V7", "V7")),
    "undefined": Case(".symver ext,ext@V9\ncall ext@PLT", None, (), "undefined symbol: ext@V9: no input defines this version"),
}  # fmt: skip


class Facts(NamedTuple):
    symbols: list[str]
    versions: list[str]  # names of nodes and their parents, in order
    flags: list[str]


def facts(file: Path) -> Facts:
    """What readelf says; without the absolute symbols that GNU ld makes of version names."""
    text = subprocess.run(
        ["readelf", "-W", "--dyn-syms", "-V", file], capture_output=True, text=True, check=True
    ).stdout
    rows = re.findall(r"^ +\d+: [0-9a-f]+ +\d+ (\S+) +(\S+) +(\S+) +(\S+) (\S+)", text, re.M)
    symbols = sorted(
        f"{kind} {binding} {seen} {'undefined' if section == 'UND' else 'defined'} {name}"
        for kind, binding, seen, section, name in rows
        if section != "ABS"
    )
    return Facts(symbols, re.findall(r"(?:Name|Parent \d+): (\S+)", text), re.findall(r"Flags: (\S+)", text))


@pytest.mark.parametrize("name", CASES)
def test_as_gnu_ld(tmp_path: Path, arch: str, name: str) -> None:
    case, (flag, emulation) = CASES[name], FLAGS[arch]
    (tmp_path / "t.s").write_text(f"{TWO}{case.text}\n".replace(".dc.a", ".quad" if arch == "x86_64" else ".long"))
    subprocess.run(["as", flag, "t.s", "-o", "t.o"], cwd=tmp_path, check=True)
    words = ["-m", emulation, "-shared", "t.o", "-o", "out.so", *case.options]
    if case.script is not None:
        (tmp_path / "v.map").write_text(case.script)
        words.append("--version-script=v.map")
    gnu = subprocess.run(["ld", *words], cwd=tmp_path, capture_output=True, text=True)
    expected = facts(tmp_path / "out.so") if gnu.returncode == 0 else None
    (tmp_path / "out.so").unlink(missing_ok=True)
    ours = uselib("ld", *words, cwd=tmp_path)
    assert (ours.returncode == 0) == (gnu.returncode == 0), ours.stderr + gnu.stderr
    if case.error:
        assert case.error in ours.stderr and not (tmp_path / "out.so").exists()
    else:
        assert facts(tmp_path / "out.so") == expected


def test_programs_make_their_own_nodes(tmp_path: Path) -> None:
    """As in GNU ld, a program needs no version script for .symver."""
    (tmp_path / "t.s").write_text(f".globl _start\n_start: ret\n{TWO}.symver f1,foo@@V1\n")
    subprocess.run(["as", "t.s", "-o", "t.o"], cwd=tmp_path, check=True)
    words = ["-pie", "-E", "t.o", "-o", "out"]
    subprocess.run(["ld", *words], cwd=tmp_path, check=True)
    expected = facts(tmp_path / "out")
    assert uselib("ld", *words, cwd=tmp_path).returncode == 0
    own = [row for row in facts(tmp_path / "out").symbols if "foo" in row]
    assert own == [row for row in expected.symbols if "foo" in row] != []

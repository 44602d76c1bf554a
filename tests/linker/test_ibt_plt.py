"""The PLT where indirect branches may go to ENDBR only (-z ibtplt, -z ibt, objects with -fcf-protection): as GNU ld's, and it runs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support.dynamic_links import LINKERS, LinkFolder
from support.tools import native, needs

pytestmark = [needs("gcc", "ld", "objdump", "readelf")]
LIBRARY = """
int value = 5;
int one(int n) { return n + value; }
int two(int n) { return 2 * one(n); }
int (*taken(void))(int) { return two; }
"""
PROGRAM = """
#include <stdio.h>
extern int value, one(int), two(int), (*taken(void))(int);
int main(void) {
    int (*here)(int) = two;
    for (int i = 0; i < 2; i++) printf("%d %d %d\\n", one(i), two(value), here(i));
    printf("%d\\n", here == taken());
    return 0;
}
"""
OPTIONS: dict[str, tuple[str, ...]] = {
    "plain": ("-fcf-protection=none",),
    "ibtplt": ("-fcf-protection=none", "-Wl,-z,ibtplt"),
    "ibt": ("-fcf-protection=none", "-Wl,-z,ibt"),
    "shstk": ("-fcf-protection=none", "-Wl,-z,shstk"),
    "objects": ("-fcf-protection=full",),
    "objects-now": ("-fcf-protection=full", "-Wl,-z,now"),
    "no-plt": ("-fcf-protection=full", "-fno-plt"),
}


def _code(file: Path) -> dict[str, list[str]]:
    """The instructions of .plt and its like, without addresses."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", file], capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = {}
    for section, lines in re.findall(r"section (\.plt[\w.]*):\n(.*?)(?=\nDisassembly|\Z)", text.stdout, re.S):
        rows = re.findall(r"^\s+[0-9a-f]+:\t(\S+ ?\S*)", lines, re.M)
        found[section] = [re.sub(r"-?0x[0-9a-f]{2,}|\b[0-9a-f]{4,}\b", "N", row) for row in rows]
    return found


def _marks(file: Path) -> list[str]:
    text = subprocess.run(["readelf", "-nW", file], capture_output=True, text=True, check=True).stdout
    return re.findall(r"x86 feature: (.*)", text)


def _sections(file: Path) -> list[tuple[str, ...]]:
    """Names, sizes, sizes of entries and alignments."""
    text = subprocess.run(["readelf", "-SW", file], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\] (\.plt[\w.]*) +PROGBITS +\w+ \w+ (\w+) (\w+) +\w+ +\d+ +\d+ +(\d+)", text)


@pytest.mark.parametrize("options", OPTIONS)
def test_code_and_marks_as_gnu_ld(tmp_path: Path, arch: str, options: str) -> None:
    """Shared objects without start-up files, so that the objects alone decide."""
    shop = LinkFolder(tmp_path, arch)
    source = shop.source("l.c", LIBRARY + "int out(int); int used(void) { return out(1) + one(2) + taken()(3); }\n")
    for by in LINKERS:
        shop.cc(by, by, "-shared", "-fPIC", "-O1", "-nostdlib", *OPTIONS[options], source)
    ours, gnu = tmp_path / "ours", tmp_path / "gnu"
    assert _code(ours) == _code(gnu)
    assert _sections(ours) == _sections(gnu)
    assert _marks(ours) == _marks(gnu)


@native
@pytest.mark.parametrize("kind", [("-pie", "-fPIE"), ("-no-pie", "-fno-pie")], ids=" ".join)
@pytest.mark.parametrize("options", ["ibtplt", "ibt", "objects-now"])
def test_they_run(tmp_path: Path, arch: str, kind: tuple[str, ...], options: str) -> None:
    """Lazily bound and at once; the address of a function is the same in program and library."""
    shop = LinkFolder(tmp_path, arch)
    library, program = shop.source("l.c", LIBRARY), shop.source("p.c", PROGRAM)
    words = OPTIONS[options]
    shop.cc("ours", "libl.so", "-shared", "-fPIC", *words, library, "-Wl,-soname,libl.so")
    made = {by: shop.program(by, by, *kind, *words, program, "libl.so") for by in LINKERS}
    for file in made.values():
        for variables in ({}, {"LD_BIND_NOW": "1"}):
            assert shop.run(file, **variables) == ("5 20 10\n6 20 12\n1\n", 0)
    assert _code(made["ours"]).keys() == _code(made["gnu"]).keys()
    assert (".plt.sec" in _code(made["ours"])) == (options != "objects-now")  # the start-up files are not marked

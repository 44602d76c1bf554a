"""The linker's own symbols (_end, _edata, __start_X, ...) as other objects see them: exported by -E and by shared objects as GNU ld does, in a
section of the output, so that they move with it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support.dynamic_links import LINKERS, LinkFolder
from support.tools import needs

pytestmark = needs("gcc", "ld", "readelf")
SOURCE = """
extern char _end[], _edata[], __bss_start[], _etext[], etext[], edata[], end[], __ehdr_start[];
#ifdef PROGRAM
extern char __executable_start[];
#else
#define __executable_start __ehdr_start
#endif
extern int __start_xs[], __stop_xs[];
__attribute__((section("xs"), used)) int member = 4; int zero, one = 1;
__attribute__((noinline)) char *f(int n) {
  char *all[] = {_end, _edata, __bss_start, _etext, etext, edata, end, __executable_start, __ehdr_start, (char *)__start_xs, (char *)__stop_xs};
  return all[n];
}
"""
MAIN = "int main(void) { return f(0) <= f(1) || f(2) < f(1) || f(10) != f(9) + 4 || f(7) > f(3); }\n"
SHARED = {
    "plain": (),
    "bsymbolic": ("-Wl,-Bsymbolic",),
    "script": ("-Wl,--version-script,v",),
    "default": ("-Wl,-z,start-stop-visibility=default",),
}
PROGRAMS = {
    "nothing": (),
    "all": ("-Wl,-E",),
    "defsym": ("-Wl,-E,--defsym=another=one",),
    "default": ("-Wl,-E,-z,start-stop-visibility=default",),
}
UNUSED = "int x; int main(void) { return x; }\n"


def facts(file: Path) -> tuple[list[tuple[str, ...]], list[tuple[str, str]]]:
    """Type, binding, visibility, section and name of dynamic symbols; type and symbol of dynamic relocations with one."""
    words = ["readelf", "-W", "-S", "--dyn-syms", "-r", file]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    sections = dict(re.findall(r"^ +\[ *(\d+)\] (\S+)", said, re.M))
    rows = re.findall(r"^ +\d+: [0-9a-f]+ +\w+ +(\S+) +(\S+) +(\S+) +(\S+) (\S+)", said, re.M)
    relocations = re.findall(r"^[0-9a-f]+ +[0-9a-f]+ (R_\S+) +[0-9a-f]+ +([a-z_]\S*)", said, re.M)
    return sorted((*row[:3], sections.get(row[3], row[3]), row[4]) for row in rows), sorted(relocations)


def compare(shop: LinkFolder, *words: str) -> list[tuple[str, ...]]:
    """Both linkers' facts are equal; the symbols."""
    for by in LINKERS:
        shop.cc(by, by, "-O1", *words)
    expected, found = (facts(shop.folder / by) for by in ("gnu", "ours"))
    assert found == expected
    return found[0]


@pytest.mark.parametrize("name", SHARED)
def test_shared_objects(tmp_path: Path, arch: str, name: str) -> None:
    shop = LinkFolder(tmp_path, arch)
    shop.source("p.c", SOURCE)
    shop.source("v", "{ global: f; local: *; };")
    rows = compare(shop, "-shared", "-fPIC", "p.c", *SHARED[name])
    assert any(row[4] == "_end" for row in rows) == (name != "script")


@pytest.mark.parametrize("kind", [("-pie", "-fPIE"), ("-no-pie", "-fno-pie")], ids=["pie", "no-pie"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(tmp_path: Path, arch: str, name: str, kind: tuple[str, ...]) -> None:
    shop = LinkFolder(tmp_path, arch)
    shop.source("p.c", "#define PROGRAM\n" + SOURCE + MAIN)
    rows = compare(shop, "p.c", *kind, *PROGRAMS[name], *shop.program_words)
    assert any(row[4] == "_end" for row in rows) == (name != "nothing")
    assert shop.run(tmp_path / "ours") == ("", 0)


def test_symbols_that_nobody_uses(tmp_path: Path, arch: str) -> None:
    shop = LinkFolder(tmp_path, arch)
    shop.source("p.c", UNUSED)
    names = {row[4] for row in compare(shop, "p.c", "-pie", "-fPIE", "-rdynamic")}
    assert {"_end", "_edata", "__bss_start"} <= names and not {"end", "edata", "_etext"} & names


def test_hidden_bounds(tmp_path: Path, arch: str) -> None:
    """-z start-stop-visibility=hidden: no other object sees them (GNU ld 2.40 lists them, hidden, in .dynsym all the same)."""
    shop = LinkFolder(tmp_path, arch)
    shop.source("p.c", SOURCE)
    shop.cc("ours", "ours", "-shared", "-fPIC", "p.c", "-Wl,-z,start-stop-visibility=hidden")
    names = {row[4] for row in facts(tmp_path / "ours")[0]}
    assert "_end" in names and "__start_xs" not in names and "__stop_xs" not in names
    said = shop.cc("ours", "bad", "-shared", "-fPIC", "p.c", "-Wl,-z,start-stop-visibility=no", status=1).stderr
    assert "not a visibility" in said

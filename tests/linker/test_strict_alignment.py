"""Variables that are aligned stricter than a page: the loader sees it in PT_LOAD, in programs and shared objects at any address."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from support.dynamic_links import LINKERS, LinkFolder
from support.tools import needs

pytestmark = needs("gcc", "ld")
# `at` is not inlined: a compiler knows the remainder otherwise
SOURCE = """
#include <stdio.h>
char data[10] __attribute__((aligned(16384))) = {1}, zeroes[10] __attribute__((aligned(65536)));
const char constant[5] __attribute__((aligned(8192))) = "x"; int other = 3;
__attribute__((noinline)) static unsigned at(const void *volatile p, unsigned n) { return (unsigned long)p % n; }
int run(void) { printf("%u %u %u %d %d\\n", at(data, 16384), at(zeroes, 65536), at(constant, 8192), data[0], other); return 0; }
#ifdef PROGRAM
int main(void) { return run(); }
#endif
"""
FORMS = {
    "pie": ("-pie", "-fPIE", "-DPROGRAM"),
    "no-pie": ("-no-pie", "-fno-pie", "-DPROGRAM"),
    "static": ("-static", "-fno-pie", "-DPROGRAM"),
    "static-pie": ("-static-pie", "-fPIE", "-DPROGRAM"),
}


def segments(path: Path) -> list[tuple[int, int, int, int]]:
    """Address, file offset, alignment, bytes in the file of each PT_LOAD."""
    with path.open("rb") as stream:
        rows = [s.header for s in ELFFile(stream).iter_segments() if s.header.p_type == "PT_LOAD"]
    return [(row.p_vaddr, row.p_offset, row.p_align, row.p_filesz) for row in rows]


def check(path: Path) -> None:
    """Addresses and offsets are equal modulo the alignment; and the file has no padding for the zeroes' alignment."""
    loads = segments(path)
    assert {0x2000, 0x4000, 0x10000} <= {alignment for _, _, alignment, _ in loads}
    for address, offset, alignment, _ in loads:
        assert address % alignment == offset % alignment
    end = max(offset + size for _, offset, _, size in loads if size)
    assert end < sum(size for _, _, _, size in loads) + 0x8000


@pytest.mark.parametrize("form", FORMS)
def test_programs(tmp_path: Path, arch: str, form: str) -> None:
    shop = LinkFolder(tmp_path, arch)
    shop.source("p.c", SOURCE)
    words = shop.program_words if "static" not in form else ()
    said = set()
    for by in LINKERS:
        shop.cc(by, by, "p.c", "-O1", *FORMS[form], *words)
        for _ in range(4):  # at addresses that differ from run to run
            said.add(_run(shop, by))
    assert said == {"0 0 0 1 3\n"}
    check(tmp_path / "ours")


def test_shared_objects(tmp_path: Path, arch: str) -> None:
    shop = LinkFolder(tmp_path, arch)
    shop.source("p.c", SOURCE)
    shop.source("main.c", "int run(void); int main(void) { return run(); }\n")
    for by in LINKERS:
        shop.cc(by, f"lib{by}.so", "p.c", "-O1", "-shared", "-fPIC")
        shop.cc("gnu", by, "main.c", f"lib{by}.so", *shop.program_words)
        assert {_run(shop, by) for _ in range(4)} == {"0 0 0 1 3\n"}
    check(tmp_path / "libours.so")


def _run(shop: LinkFolder, name: str) -> str:
    path = {"LD_LIBRARY_PATH": shop.target.library_path} if shop.target.library_path else {}
    done = subprocess.run([shop.folder / name], capture_output=True, text=True, env={**os.environ, **path}, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout

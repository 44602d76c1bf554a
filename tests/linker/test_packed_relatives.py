"""-z pack-relative-relocs: .relr.dyn has the same words as GNU ld's, and glibc starts the program."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.dynamic_links import LinkFolder
from support.tools import native, needs
from uselib.linker.passes.packed_relatives import encode

PROGRAM = """
#include <stdio.h>
int own = 3;
static const char *names[] = {"a", "b", "c"};
int *const table[200] = {[0 ... 150] = &own, [160 ... 199] = &own};
struct __attribute__((packed)) { char c; int *p; } odd[3] = {{1, &own}, {2, &own}, {3, &own}};
int main(void) {
    int sum = 0;
    for (int i = 0; i < 200; i++) sum += table[i] ? *table[i] : 0;
    printf("%s %d %d\\n", names[1], sum, *odd[1].p);
    return 0;
}
"""
PACK = "-Wl,-z,pack-relative-relocs"


def decode(entries: list[int], word: int) -> list[int]:
    """As the gABI says it."""
    found, place = [], 0
    for entry in entries:
        if not entry & 1:
            found.append(entry)
            place = entry + word
            continue
        found += [place + n * word for n in range(8 * word - 1) if entry >> n + 1 & 1]
        place += (8 * word - 1) * word
    return found


@given(st.sampled_from((4, 8)), st.sets(st.integers(0, 5000).map(lambda n: 2 * n)))
def test_every_address_is_covered_once(word: int, addresses: set[int]) -> None:
    entries = encode(addresses, word)
    assert decode(entries, word) == sorted(addresses)
    assert all(0 <= entry < 1 << 8 * word for entry in entries)


def test_rows_of_words_need_one_entry_for_many() -> None:
    assert encode(range(0x1000, 0x1000 + 64 * 8, 8), 8) == [0x1000, (1 << 64) - 1]


def _readelf(program: Path, *words: str) -> str:
    return subprocess.run(["readelf", "-W", *words, program], capture_output=True, text=True, check=True).stdout


def _facts(program: Path) -> dict[str, object]:
    """How many words are packed and how many are not, what .dynamic says, and whether the C library's version is asked for."""
    relocations = _readelf(program, "-r")
    packed = re.search(r"\.relr\.dyn.*\n\s*(\d+) offsets", relocations)
    tags = re.findall(r"\((RELR|RELRSZ|RELRENT|RELACOUNT|RELCOUNT)\)\s*(.*)", _readelf(program, "-d"))
    return {
        "packed": packed and packed[1],
        "relative": len(re.findall(r"R_\w+_RELATIVE", relocations)),
        "tags": {tag: value if tag in ("RELRENT", "RELACOUNT", "RELCOUNT") else "" for tag, value in tags},
        "version": "GLIBC_ABI_DT_RELR" in _readelf(program, "-V"),
    }


@native
@needs("gcc", "ld", "readelf")
@pytest.mark.parametrize(
    "words", [("-pie", "-fPIE"), ("-pie", "-fPIE", "-Wl,-z,now"), ("-no-pie", "-fno-pie")], ids=" ".join
)
def test_programs_as_gnu_ld_makes_them(tmp_path: Path, arch: str, words: tuple[str, ...]) -> None:
    shop = LinkFolder(tmp_path, arch)
    source = shop.source("p.c", PROGRAM)
    made = {by: shop.program(by, by, *words, source, PACK) for by in ("gnu", "ours")}
    assert shop.run(made["ours"]) == ("b 573 3\n", 0)
    expected, found = (_facts(made[by]) for by in ("gnu", "ours"))
    assert found == expected
    assert bool(found["packed"]) == ("-pie" in words)


@needs("gcc", "ld", "readelf")
def test_shared_objects_as_gnu_ld_makes_them(tmp_path: Path, arch: str) -> None:
    """Without the C library there is no version to ask for; -z nopack-relative-relocs takes it back."""
    shop = LinkFolder(tmp_path, arch)
    source = shop.source("l.c", "static int a, b; int *p = &a, *q = &b; extern int out; int *r = &out;\n")
    for more in ((), ("-Wl,-z,nopack-relative-relocs",)):
        for by in ("gnu", "ours"):
            shop.cc(by, f"lib{by}.so", "-shared", "-fPIC", "-nostdlib", source, PACK, *more)
        assert _facts(tmp_path / "libours.so") == _facts(tmp_path / "libgnu.so")


@native
@needs("gcc", "ld", "readelf")
def test_static_pie(tmp_path: Path) -> None:
    shop = LinkFolder(tmp_path, "x86_64")
    shop.cc("ours", "p", "-static-pie", "-fPIE", shop.source("p.c", PROGRAM), PACK)
    assert shop.run(tmp_path / "p") == ("b 573 3\n", 0)
    assert int(str(_facts(tmp_path / "p")["packed"])) > 198

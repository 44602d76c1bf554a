"""What readelf -d -l --dyn-syms -V -r says of outputs, field by field as of GNU ld's, for a table of inputs and both machines.

Not compared, since lld differs from GNU ld there as well: addresses and sizes; the absolute symbols of version names; where TLS descriptors and
IRELATIVE relocations stand (.rela.plt or .rela.dyn).
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from support.dynamic_links import LINKERS, LinkFolder
from support.tools import needs

pytestmark = needs("gcc", "ld", "readelf")
LIBRARY = """
#include <stdio.h>
__thread int local = 3; int data = 1; static int own; int *pointer = &own; int *other = &data; const char *text = "x";
int zeroes[100]; __attribute__((weak)) int weak(void) { return 1; }
__attribute__((visibility("protected"))) int kept(void) { return 2; }
__attribute__((visibility("hidden"))) int hidden(void) { return 3; } extern int maybe(void) __attribute__((weak));
static void *choose(void) { return hidden; } int chosen(void) __attribute__((ifunc("choose")));
__attribute__((constructor)) static void first(void) {} __attribute__((destructor)) static void last(void) {}
int f(int n) { printf("%d\\n", n + weak() + kept() + hidden() + local + own + (maybe ? maybe() : 0) + chosen()); return n; }
"""
PROGRAM = """
#include <stdio.h>
extern int data, zeroes[100], f(int), kept(void), weak(void);
int mine(void) { return 1; } int (*p)(int) = f;
int main(void) { printf("%d %d\\n", p == f, data + zeroes[3] + kept() + weak()); return 0; }
"""
CASES: dict[str, tuple[str, ...]] = {
    "shared": ("l.c", "-shared", "-fPIC"),
    "shared flags": ("l.c", "-shared", "-fPIC", "-Wl,-z,nodelete,-z,initfirst,-z,origin,-soname,x.so.1"),
    "shared now": ("l.c", "-shared", "-fPIC", "-Wl,-z,now"),
    "shared sysv": ("l.c", "-shared", "-fPIC", "-Wl,--hash-style=sysv"),
    "shared packed": ("l.c", "-shared", "-fPIC", "-Wl,-z,pack-relative-relocs"),
    "shared no-plt": ("l.c", "-shared", "-fPIC", "-fno-plt"),
    "pie": ("p.c", "-pie", "-fPIE", "libl.so"),
    "pie of PIC": ("p.c", "-pie", "-fPIC", "libl.so"),
    "pie now": ("p.c", "-pie", "-fPIE", "libl.so", "-Wl,-z,now"),
    "pie norelro": ("p.c", "-pie", "-fPIE", "libl.so", "-Wl,-z,norelro"),
    "pie rpath": ("p.c", "-pie", "-fPIE", "libl.so", "-Wl,-rpath,/x:/y,--disable-new-dtags"),
    "no-pie": ("p.c", "-no-pie", "-fno-pie", "libl.so"),
    "no-pie runpath": ("p.c", "-no-pie", "-fno-pie", "libl.so", "-Wl,-rpath,$ORIGIN,--enable-new-dtags"),
}
FAST = ("shared", "pie", "no-pie")
VALUES = {
    "NEEDED",
    "SONAME",
    "RPATH",
    "RUNPATH",
    "FLAGS",
    "FLAGS_1",
    "PLTREL",
    "RELAENT",
    "RELENT",
    "SYMENT",
    "RELRENT",
    "RELACOUNT",
}
VALUES |= {"RELCOUNT", "VERNEEDNUM", "VERDEFNUM", "PLTRELSZ", "RELASZ", "RELSZ", "INIT_ARRAYSZ", "FINI_ARRAYSZ"}


def fields(file: Path) -> dict[str, object]:
    words = ["readelf", "-W", "-d", "-l", "--dyn-syms", "-V", "-r", file]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    tags = re.findall(r"^ 0x\w+ \((\w+)\) +(.*)", said, re.M)
    headers = re.findall(r"^  (\w+) +0x\w+ 0x\w+ 0x\w+ 0x\w+ 0x\w+ (.{3}) (0x\w+)", said, re.M)
    rows = re.findall(r"^ +\d+: [0-9a-f]+ +\d+ (\S+) +(\S+) +(\S+) +(\S+) (\S+)", said, re.M)
    relocations = re.findall(r"^[0-9a-f]+ +[0-9a-f]+ (R_\S+)(?: +[0-9a-f]+ +([a-z]\S*))?", said, re.M)
    return {
        "tags": sorted((tag, value if tag in VALUES else "") for tag, value in tags),
        "headers": headers,
        "symbols": sorted((*row[:3], row[3] == "UND", row[4]) for row in rows if row[3] != "ABS"),
        "versions": sorted(re.findall(r"Name: (\S+)  Flags: (\S+)", said)),
        "relocations": Counter((kind, name) for kind, name in relocations),
    }


@pytest.mark.parametrize(
    "name", [case if case in FAST else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_fields(tmp_path: Path, arch: str, name: str) -> None:
    shop = LinkFolder(tmp_path, arch)
    shop.source("l.c", LIBRARY)
    shop.source("p.c", PROGRAM)
    shop.cc("gnu", "libl.so", "-shared", "-fPIC", "l.c", "-Wl,-soname,libl.so")
    for by in LINKERS:
        shop.cc(by, by, *CASES[name])
    expected, found = fields(tmp_path / "gnu"), fields(tmp_path / "ours")
    assert found["relocations"] and found["symbols"]
    for key in expected:
        assert found[key] == expected[key], key

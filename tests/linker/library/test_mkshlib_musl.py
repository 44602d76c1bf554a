"""The whole of musl's libc.a as a library: every member, every function, and a program that runs through the slots."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.mkshlib import image, mkshlib
from support.tools import MACHINES
from uselib.linker.formats.ar import Archive
from uselib.linker.image import ExportKind, Machine

LIBC = {m: Path(f"/usr/lib/{m.label}-linux-musl/libc.a") for m in MACHINES}
PLACES = {
    Machine.I386: ("gcc-cross/i686-linux-gnu/*/libgcc.a", "gcc/*/*/32/libgcc.a"),
    Machine.X86_64: ("gcc/x86_64-linux-gnu/*/libgcc.a",),
}
HELPERS = {
    machine: [path for place in PLACES[machine] for path in Path("/usr/lib").glob(place)] for machine in MACHINES
}


def test_whole_libc(tmp_path: Path, machine: Machine) -> None:
    if not LIBC[machine].exists() or not HELPERS[machine]:
        pytest.skip(f"needs musl's and gcc's static libraries for {machine.label}")
    words = ["--name", "c", "--version", "1.2.3", "--text", "0x60000000", "--private-archive", HELPERS[machine][0]]
    mkshlib(*words, "--interposable", "malloc,free,calloc,realloc", "-o", tmp_path, LIBC[machine])
    read = image(tmp_path / "shlib/libc_s.1.2.3")
    header = read.library
    assert header is not None
    nm = subprocess.run(["nm", "-g", "--defined-only", str(LIBC[machine])], capture_output=True, text=True).stdout
    rows = [line.split() for line in nm.splitlines() if line.count(" ") == 2]
    functions = {name for _, kind, name in rows if kind in "TWti"}
    exports = {e.name: e for e in read.exports}
    exported = {name for name, e in exports.items() if e.kind is ExportKind.FUNCTION}
    # what musl does not export is hidden, and all that GNU nm calls a function and is not hidden is exported
    assert exported <= functions
    assert {"printf", "malloc", "qsort", "strlen", "__libc_start_main", "pthread_create", "sqrt", "fopen"} <= exported
    assert len(exported) > 1500 and header.identity.slot_count == len(exported)
    assert {"stdout", "environ", "optarg", "timezone"} <= exports.keys() - exported
    # the stub has a member for each of the archive's, in the same order
    members = [m.name for m in Archive((tmp_path / "lib/libc_s.a").read_bytes(), "stub").members()]
    assert [name.replace("~2", "") for name in members[2:]] == [
        m.name for m in Archive(LIBC[machine].read_bytes(), "libc").members()
    ]
    # no relocations are left, and readelf has nothing to say about the file
    shown = subprocess.run(["readelf", "-Wa", str(tmp_path / "shlib/libc_s.1.2.3")], capture_output=True, text=True)
    assert not shown.stderr and "There are no relocations in this file" in shown.stdout
    slots = subprocess.run(
        ["objdump", "-d", "-j", ".jumptable", "--no-show-raw-insn", str(tmp_path / "shlib/libc_s.1.2.3")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert slots.count("\tjmp ") == header.identity.slot_count

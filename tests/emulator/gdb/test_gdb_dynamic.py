"""A real gdb on dynamic programs, PIE and static-PIE: loaded objects, breakpoints in all of them, backtraces through them, threads."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.command import environment
from support.dynamic import SOURCES, build
from support.gdb import GDB, Client, gdb

pytestmark = pytest.mark.skipif(GDB is None, reason="gdb is not installed")

KINDS = {  # how it is made: its dynamic linker and its C library, as gdb lists them
    "pie": ("ld-linux-x86-64.so.2", "libc.so.6"),
    "no-pie": ("ld-linux-x86-64.so.2", "libc.so.6"),
    "static-pie": (),
    "musl": ("libc.so",),
    "i386-pie": ("ld-linux.so.2", "libc.so.6"),
    "i386-no-pie": ("ld-linux.so.2", "libc.so.6"),
    "i386-static-pie": (),
}
FAST = ("pie", "static-pie")
each_kind = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in FAST else pytest.mark.slow) for kind in KINDS]
)


@contextmanager
def waiting(*command: str | Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The program under --gdb on a free port: the process and the port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "uselib.cli", "run", "--gdb", "0", "--root", "/", *map(str, command)],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        found = re.search(r"target remote 127\.0\.0\.1:(\d+)", process.stderr.readline())
        assert found
        yield process, int(found[1])
    finally:
        process.kill()
        process.communicate()


@each_kind
def test_breakpoints_and_backtraces(kind: str, tmp_path: Path) -> None:
    program = build(kind, SOURCES / "debugged.c", tmp_path / "debugged", "-g", "-O0", "-pthread")
    with waiting(program) as (process, port):
        said = gdb(
            port,
            "info sharedlibrary",
            "break main",
            "continue",
            "info sharedlibrary",
            "break compare",
            "continue",
            "bt",
            "info threads",
            "p calls",
            "delete",
            "break printf",
            "continue",
            "bt",
            "delete",
            "continue",
        )
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "1 2 3\n"), said
    assert "warning: Unable to find dynamic linker" not in said
    first, _, second = said.partition("Breakpoint 1, main () at")
    libraries = KINDS[kind]
    if libraries:
        assert re.search(rf"^0x\w+ +0x\w+ +Yes.*/{re.escape(libraries[0])}$", first, re.M), said
        for name in libraries:
            assert re.search(rf"^0x\w+ +0x\w+ +Yes.*/{re.escape(name)}$", second, re.M), said
    else:
        assert "No shared libraries loaded" in second
    assert re.search(r"^#0 +(0x\w+ in )?compare \(one=0x\w+.*debugged\.c:11$", second, re.M), said
    if kind != "musl":  # Debian's has no unwind tables
        assert re.search(r"^#[1-9] .* in (\w*qsort\w*|msort_with_tmp.*) ?\(", second, re.M), said
        assert re.search(r"^#[1-9] +0x\w+ in main \(\) at .*debugged\.c:28$", second, re.M), said
    assert re.search(r"^\* 1 +Thread \d+ .*compare \(", second, re.M)
    assert re.search(r"^ +2 +Thread \d+ \(debugged", second, re.M)
    assert "$1 = 0" in second
    printf = second[second.index("$1 = 0") :]
    assert re.search(r"^#0 .*printf ?\(", printf, re.M) and re.search(r"^#1 .* main \(\) at .*:31$", printf, re.M)


def test_libraries_that_come_later(tmp_path: Path) -> None:
    """A breakpoint waits for a library that dlopen maps."""
    library = build("pie", SOURCES / "bound_library.c", tmp_path / "libbound.so", "-shared", "-fPIC", "-g", "-O0")
    options = ("-shared", "-fPIC", "-DPLUGIN", "-g", "-O0")
    plugin = build("pie", SOURCES / "bound_library.c", tmp_path / "plugin.so", *options)
    options = (str(library), "-g", "-O0", f"-Wl,-rpath,{tmp_path}")
    program = build("pie", SOURCES / "bound.c", tmp_path / "bound", *options)
    with waiting(program, plugin) as (process, port):
        said = gdb(port, "break in_plugin", "continue", "bt", "info sharedlibrary", "finish", "delete", "continue")
        process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert re.search(r"Breakpoint 1, in_plugin \(n=6\) at .*bound_library\.c:3", said), said
    assert re.search(r"^#1 +0x\w+ in main \(argc=2.*bound\.c:19", said, re.M)
    assert "Value returned is $1 = 107" in said and "plugin.so" in said


def test_only_what_is_loaded_can_be_read(tmp_path: Path) -> None:
    """vFile: the program, its objects, and its dynamic linker by the program's name for it."""
    program = build("pie", SOURCES / "start.c", tmp_path / "start")
    with waiting(program) as (_, port):
        client = Client(port)
        for path, readable in (
            ("/lib64/ld-linux-x86-64.so.2", True),
            (str(program), True),
            ("/etc/passwd", False),
            ("", False),
            (str(tmp_path / "none"), False),
        ):
            answer = client.ask(b"vFile:open:" + path.encode().hex().encode() + b",0,0")
            assert answer.startswith(b"F-1") != readable, path
        answer = client.ask(b"qXfer:libraries-svr4:read::0,2000")
        assert answer.count(b"<library ") == 1 and b"ld-linux" in answer
        client.socket.close()

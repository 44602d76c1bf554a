"""What is said of the end of a dynamic program, PIE or static PIE: function, object, source line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.dynamic import KINDS, SOURCES, build, emulated

FAST = ("pie", "static-pie")


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=() if kind in FAST else pytest.mark.slow) for kind in KINDS])
def test_places(kind: str, tmp_path: Path) -> None:
    program = build(kind, SOURCES / "faulty.c", tmp_path / "faulty", "-g", "-O0", "-fno-builtin")
    said = [emulated(program, str(how)).stderr.decode() for how in range(4)]
    hexadecimal = r"\[0x[0-9a-f]+\]"
    assert re.fullmatch(
        rf".*killed by SIGSEGV: write to unmapped address 0x0 at die\+0x\w+ in faulty {hexadecimal}, faulty\.c:14\n",
        said[0],
    )
    assert re.fullmatch(
        rf".*: read of unmapped address 0x8 at compare\+0x\w+ in faulty {hexadecimal}, faulty\.c:7\n", said[1]
    )
    if KINDS[kind][1]:
        library = "libc.so" if kind == "musl" else r"libc\.so\.6"
        stack = rf"; the stack leads to die\+0x\w+ in faulty {hexadecimal}, faulty\.c"
        assert re.fullmatch(
            rf".*: read of unmapped address 0x4 at .* ?in {library} {hexadecimal}{stack}:16\n",
            said[2].replace(" at 0x", " at  0x"),
        )
        assert re.search(
            rf"killed by SIGABRT at .*in \S+ {hexadecimal}{stack}:17\n$", said[3]
        )  # i386: ld.so has int 0x80
    else:
        assert re.fullmatch(
            rf".*: read of unmapped address 0x4 at \w*strlen\w*(\+0x\w+)? in faulty {hexadecimal}\n", said[2]
        )


def test_without_debug_information(tmp_path: Path) -> None:
    program = build("pie", SOURCES / "faulty.c", tmp_path / "faulty", "-O0")
    assert re.search(r" at die\+0x\w+ in faulty \[0x\w+\]\n$", emulated(program, "0").stderr.decode())
    stripped = build("pie", SOURCES / "faulty.c", tmp_path / "stripped", "-O0", "-s")
    assert re.search(r" at 0x\w+ in stripped \[0x\w+\]\n$", emulated(stripped, "0").stderr.decode())

"""`uselib trace`: a line for each call through a slot, the same in both schemes, in every run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.command import uselib
from support.programs import build, source, sysroot
from support.tools import ARCHES, SHARED

PROGRAM = r"""
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
int (*indirect)(const char *) = atoi;
static int use(void) { return indirect("12") + (int)strlen("four"); }
int main(void) { puts("output"); return use(); }
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    folder = tmp_path_factory.mktemp("trace")
    text = source(folder / "p.c", PROGRAM)
    return {
        (arch, scheme): build(folder / f"p-{arch}-{scheme}", arch, scheme, "-O0", "-fno-builtin", text)
        for arch in ARCHES
        for scheme in SHARED
    }


def events(arch: str, program: Path, *options: str) -> list[dict[str, object]]:
    done = uselib("trace", "--format", "jsonl", "--sysroot", sysroot(arch), *options, program, cwd=program.parent)
    assert (done.returncode, done.stdout) == (16, "output\n"), done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize("scheme", SHARED)
def test_calls(programs: dict[tuple[str, str], Path], arch: str, scheme: str) -> None:
    program = programs[arch, scheme]
    first, *rest = events(arch, program)
    assert first == {"event": "trace", "version": 1, "process": 1000, "program": str(program), "machine": arch}
    (library,) = (event for event in rest if event["event"] == "library")
    assert (library["library"], library["base"]) == ("libc_s", "0x60000000")
    calls = [event for event in rest if event["event"] == "call"]
    assert [call["sequence"] for call in calls] == list(range(1, len(calls) + 1))
    mine = [call for call in calls if call["symbol"] in ("puts", "atoi", "strlen")]
    assert [(call["symbol"], str(call["caller_symbol"]).split("+")[0]) for call in mine] == [
        ("puts", "main"),
        ("atoi", "use"),
        ("strlen", "use"),
    ]
    for call in mine:
        assert call["library"] == "libc_s" and call["caller_file"] == program.name
        assert len(call["arguments"]) == 4  # type: ignore[arg-type]
    assert events(arch, program) == [first, *rest]


def test_both_schemes_make_the_same_calls(programs: dict[tuple[str, str], Path], arch: str) -> None:
    def names(scheme: str) -> list[object]:
        return [event["symbol"] for event in events(arch, programs[arch, scheme]) if event["event"] == "call"]

    assert names("uselib") == names("mmap")


def test_text(programs: dict[tuple[str, str], Path]) -> None:
    program = programs["x86_64", "uselib"]
    done = uselib("trace", "--sysroot", sysroot("x86_64"), program, cwd=program.parent)
    assert re.search(
        r"^ +\d+  libc_s:atoi #\d+ \(0x\w+, 0x\w+, 0x\w+, 0x\w+\)  from use\+0x\w+ in p-x86_64-uselib \[0x\w+\]$",
        done.stderr,
        re.M,
    )
    assert re.search(r"^ +-  library libc_s \S+ at 0x60000000\.\.0x\w+, \d+ slots$", done.stderr, re.M)


def test_output_file(programs: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    program = programs["i386", "mmap"]
    done = uselib("trace", "-o", tmp_path / "t", "--sysroot", sysroot("i386"), program, cwd=program.parent)
    assert (done.returncode, done.stderr) == (16, "") and "libc_s:puts" in (tmp_path / "t").read_text()
    done = uselib("trace", "-o", tmp_path / "none" / "t", program)
    assert done.returncode == 1 and "No such file or directory" in done.stderr and done.stderr.count("\n") == 1
    done = uselib("trace", "--format", "xml", program)
    assert (done.returncode, done.stderr) == (2, "uselib: --format: `xml` is not one of text, jsonl\n")


def test_children_are_traced(arch: str, tmp_path: Path) -> None:
    text = source(
        tmp_path / "f.c",
        r"""
#include <unistd.h>
#include <stdlib.h>
#include <sys/wait.h>
int main(void) { int s; if (!fork()) { atoi("1"); _exit(3); } wait(&s); atoi("2"); return 0; }
""",
    )
    program = build(tmp_path / "f", arch, "uselib", "-fno-builtin", text)
    done = uselib("trace", "--format", "jsonl", "-o", tmp_path / "t", "--sysroot", sysroot(arch), program, cwd=tmp_path)
    assert done.returncode == 0
    lines = [json.loads(line) for line in (tmp_path / "t").read_text().splitlines()]
    calls = [(line["process"], line["symbol"]) for line in lines if line["event"] == "call"]
    assert (1001, "atoi") in calls and (1000, "atoi") in calls
    assert len([line for line in lines if line["event"] == "library"]) == 1


def test_empty_slot_is_named(arch: str, tmp_path: Path) -> None:
    """A jump behind the last slot of the table ends in a breakpoint, and the report says so."""
    from uselib.linker.formats.elf_image import read_image

    library = next((sysroot(arch) / "shlib").glob("libc_s.*.*.*"))
    header = read_image(library.read_bytes(), "lib").library
    assert header is not None
    count = header.identity.slot_count
    behind = header.slot_address(count) + 5  # the padding of the last slot is INT3 as well
    text = source(tmp_path / "e.c", f"int main(void) {{ ((void (*)(void)){behind:#x})(); return 0; }}")
    program = build(tmp_path / "e", arch, "uselib", text)
    done = uselib("run", "--sysroot", sysroot(arch), program, cwd=tmp_path)
    assert done.returncode == 133
    assert re.search(rf"killed by SIGTRAP: call of empty slot {count} of libc_s \S+, called from main\+0x", done.stderr)

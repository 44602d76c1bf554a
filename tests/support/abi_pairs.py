"""Pairs of library versions from C text: made by mkshlib (or as ordinary shared objects), with a program that was linked with the old one.

The program needs no C library. Its start-up maps the library that its arguments name, in the way of mkshlib.py here, so one program runs with
either version: `program PATH BASE BOOTSTRAP DESCRIPTOR INIT COUNT`.
"""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from support.mkshlib import CFLAGS, EMULATION, FLAG, START_CODE, descriptor_address, image, mkshlib
from support.paths import PROGRAMS
from uselib.abi.static.comparison.compare_versions import refusal
from uselib.abi.static.headers.public_interface import read_headers, with_headers
from uselib.abi.static.model.facts import Facts
from uselib.abi.static.readers.reading import read_facts
from uselib.abi.static.rules import Example
from uselib.cli import main
from uselib.linker.image import Machine

BASE = 0x61000000
_START = (
    START_CODE
    + r"""
static word number(const char *s) { word n = 0; while (*s) n = 10 * n + *s++ - '0'; return n; }
void begin(char **stack) {
  char **a = stack + 2;
  long fd = map_header(a[0], number(a[1]));
  boot(number(a[2]), fd, number(a[3]));
  interpose();
  initialise(number(a[4]), number(a[5]));
  end(main_());
}
"""
)
_PRELUDE = "void put(const char *); void put_number(long);\n"


@functools.cache
def _driver(machine: Machine) -> Path:
    directory = Path(tempfile.mkdtemp(prefix="abi-driver-"))
    (directory / "driver.c").write_text(_START)
    (directory / "end.s").write_text(
        '.section .lib,"a"\n.byte 0\n.section .note.GNU-stack\n'
    )  # ends the list of libraries
    subprocess.run(["gcc", FLAG[machine], *CFLAGS, "-c", "driver.c", "end.s"], cwd=directory, check=True)
    return directory


@dataclass(frozen=True)
class Pair:
    """The files of one pair. program: linked with the old version."""

    old: Path
    new: Path
    old_headers: Path
    new_headers: Path
    program: Path
    machine: Machine

    def facts(self, headers: bool = False, declared: bool = False) -> tuple[Facts, Facts]:
        """declared: types from the headers, whatever debug information says."""
        found = read_facts(self.old), read_facts(self.new)
        if not headers:
            return found
        names = self.old_headers, self.new_headers
        first, second = (
            with_headers(facts, read_headers([str(name)], self.machine), declared or None)
            for facts, name in zip(found, names, strict=True)
        )
        return first, second

    def run(self, library: Path) -> tuple[int, str]:
        """Exit status and output of the program with `library`."""
        header = image(library).library
        assert header is not None
        numbers = [header.identity.base, header.bootstrap, descriptor_address(library), *header.init_array]
        words = [str(self.program), str(library), *map(str, numbers)]
        ran = subprocess.run(words, capture_output=True, timeout=20)
        return ran.returncode, ran.stdout.decode("latin-1")

    def outcome(self) -> str:
        """same, differs, or refused: what the program does with the new version, against the old one."""
        before, after = (image(path).library for path in (self.old, self.new))
        assert before is not None and after is not None
        if refusal(before.identity, after.identity):
            return "refused"
        expected = self.run(self.old)
        assert expected[0] == 0, expected
        return "same" if self.run(self.new) == expected else "differs"


def write_sources(directory: Path, example: Example) -> None:
    """old/lib.h, old/old.c, new/lib.h, new/new.c and program.c, which includes old/lib.h."""
    for side, header, text in (
        ("old", example.header, example.old),
        ("new", example.new_header or example.header, example.new),
    ):
        folder = directory / side
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lib.h").write_text(f"#ifndef LIB_H\n#define LIB_H\n{header}\n#endif\n")
        (folder / f"{side}.c").write_text(f'#include "lib.h"\n{text}\n')
    body = example.program
    if "main_" not in body and "main(" not in body:
        body = f"int main_(void) {{\n{body}\nreturn 0;\n}}"
    (directory / "program.c").write_text(f'#include "old/lib.h"\n{_PRELUDE if "main(" not in body else ""}{body}\n')


def build(
    directory: Path,
    machine: Machine,
    example: Example,
    *,
    debug: bool = True,
    debug_program: bool = False,
    previous: bool = False,
) -> Pair:
    """Makes both versions and the program. previous: the new one with `mkshlib --previous OLD`."""
    write_sources(directory, example)
    options = [FLAG[machine], *CFLAGS, "-fno-common", "-fdata-sections"]
    subprocess.run(
        ["gcc", *options, *(["-g"] if debug else []), "-c", "old/old.c", "new/new.c"], cwd=directory, check=True
    )
    program_options = [option for option in options if option != "-ffreestanding"]
    subprocess.run(
        ["gcc", *program_options, *(["-g"] if debug_program else []), "-fno-builtin", "-c", "program.c"],
        cwd=directory,
        check=True,
    )
    libraries = []
    for side, version, slots, replaceable, base in (
        ("old", example.old_version, example.old_slots, example.old_interposable, BASE),
        ("new", example.new_version, example.new_slots, example.new_interposable, example.new_base or BASE),
    ):
        words: list[object] = ["--name", "sample", "--version", version, "--text", hex(base), "-o", directory / side]
        if slots:
            lines = "".join(f"  {name} {number}\n" for number, name in enumerate(slots, 1))
            (directory / side / "spec").write_text(f"#branch\n{lines}")
            words += ["-s", directory / side / "spec"]
        if replaceable:
            words += ["--interposable", ",".join(replaceable)]
        if previous and side == "new":
            words += ["--previous", libraries[0]]
        mkshlib(*words, directory / f"{side}.o")
        libraries.append(directory / side / "shlib" / f"libsample_s.{version}")
    program = directory / "program"
    driver = _driver(machine)
    inputs = [driver / "driver.o", directory / "program.o", directory / "old/lib/libsample_s.a", driver / "end.o"]
    assert main(["ld", "-m", EMULATION[machine], "-o", str(program), *map(str, inputs)]) == 0
    return Pair(libraries[0], libraries[1], directory / "old/lib.h", directory / "new/lib.h", program, machine)


def build_shared(directory: Path, example: Example, *, run: bool = True) -> tuple[Path, Path, str]:
    """The pair as ordinary shared objects (x86-64), and what the program does with the new one: same, differs or refused."""
    write_sources(directory, example)
    paths = []
    for side, options, version_map in (
        ("old", example.old_options, example.old_map),
        ("new", example.new_options, example.new_map),
    ):
        target = directory / side / "libsample.so"
        words = list(options)
        if version_map:
            (directory / side / "map").write_text(version_map)
            words += ["-Wl,--version-script=map"]
        command = ["gcc", "-w", "-g", "-O1", "-fPIC", "-shared", f"{side}.c", "-o", "libsample.so", *words]
        subprocess.run(command, cwd=directory / side, check=True)
        paths.append(target)
    outcome = ""
    if run:
        for side in ("old", "new"):
            os.symlink(
                "libsample.so", directory / side / "libsample.so.1" if side == "old" else directory / side / "other"
            )
        subprocess.run(["gcc", "-w", "program.c", "-o", "program", "-Lold", "-lsample"], cwd=directory, check=True)
        results = []
        for side in ("old", "new"):
            environment = {**os.environ, "LD_LIBRARY_PATH": str(directory / side)}
            results.append(subprocess.run(["./program"], cwd=directory, env=environment, capture_output=True))
        assert results[0].returncode == 0, results[0].stderr
        refused = (
            b"rror while loading" in results[1].stderr
            or b"not found" in results[1].stderr
            or b"symbol lookup" in results[1].stderr
        )
        outcome = "refused" if refused else "same" if results[0].stdout == results[1].stdout else "differs"
    return paths[0], paths[1], outcome


# -- pairs beyond the rules' own examples, as a maintainer would make them ------------------------------------------------

CORPUS = PROGRAMS / "abi_corpus"
"""Breaks, and changes that look like breaks and are none. Tests check with the program, linked with the old version, that they are."""


@dataclass(frozen=True)
class Case:
    name: str
    example: Example
    bare: bool = False  # a break that shows without debug information and headers
    breaks: bool = False
    maybe: bool = False  # what decides for the program is not recorded


def _read(name: str, verdict: str, runs: str) -> tuple[Case, ...]:
    cases = []
    for row in tomllib.loads((CORPUS / name).read_text())["case"]:
        title, bare, maybe = row.pop("name"), row.pop("bare", False), row.pop("maybe", False)
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
        values.setdefault("new", values["old"])
        cases.append(
            Case(title, Example(subject="", verdict=verdict, runs=runs, **values), bare, verdict == "breaking", maybe)
        )
    return tuple(cases)


BREAKS = _read("breaks.toml", "breaking", "differs")
COMPATIBLE = _read("compatible.toml", "compatible", "same")

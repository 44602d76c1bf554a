"""Runs tests/linker: each file says in `//#` directives how it is compiled and linked and what must come of it.

    //#Machines: x86_64         only there (default: both)
    //#Variant: FLAGS           compile with these; one test for each such line
    //#Object: FILE             a further source        //#Archive: FILES   sources that make up an archive
    //#LinkArgs: / ArchiveArgs: options for the linker, at the start or before the archive
    //#ExpectSym: NAME [SECTION]   //#ExpectLocal: NAME   //#NoSym: NAME   //#ExpectError: REGEX   //#CheckLines
    //#NoGnu: WHY               not compared with GNU ld

Programs are run natively, must exit with 42, and print the same as when GNU ld has linked them.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from support.tools import needs
from uselib.cli import main
from uselib.linker.passes import resolution

HERE = Path(__file__).parent / "cases"
MACHINES = {"x86_64": ("-m64", "elf_x86_64"), "i386": ("-m32", "elf_i386")}

pytestmark = needs("gcc", "ld")


@dataclass
class Case:
    source: Path
    directives: dict[str, list[str]] = field(default_factory=dict)

    def get(self, name: str) -> list[str]:
        return self.directives.get(name, [])


def read(source: Path) -> Case:
    case = Case(source)
    for line in source.read_text().splitlines():
        match = re.match(r"//#(\w+):?\s*(.*)", line)
        if match:
            case.directives.setdefault(match[1], []).append(match[2].strip())
    return case


# Left out for clang: assembler sources (the same for both), and what it does not have.
NOT_CLANG = r"gnu2|large_|no-plt|\.S$"


def parameters(without: str = "^$", few: bool = False) -> list[object]:
    """One for each case, machine and variant. few: further variants are marked slow."""
    result = []
    for source in sorted(HERE.glob("*.[cS]")):
        case = read(source)
        if re.search(without, source.name):
            continue
        for machine in (case.get("Machines") or ["x86_64 i386"])[0].split():
            for number, flags in enumerate(case.get("Variant") or ["-O1"]):
                if re.search(without, flags):
                    continue
                marks = [pytest.mark.slow] if few and number else []
                result.append(pytest.param(case, machine, flags, id=f"{source.stem}-{machine}-{number}", marks=marks))
    return result


def compile_source(source: Path, flags: str, machine: str, directory: Path, compiler: tuple[str, ...]) -> str:
    output = directory / f"{source.stem}.o"
    always = [MACHINES[machine][0], "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-w"]
    command = [*compiler, *always, *shlex.split(flags), "-c", str(source), "-o", str(output)]
    subprocess.run(command, check=True, cwd=HERE)
    return str(output)


def arguments(case: Case, machine: str, flags: str, directory: Path, compiler: tuple[str, ...]) -> list[str]:
    objects = [compile_source(case.source, flags, machine, directory, compiler)]
    objects += [compile_source(HERE / name, flags, machine, directory, compiler) for name in case.get("Object")]
    words = [
        "-m",
        MACHINES[machine][1],
        "-static",
        *(w for line in case.get("LinkArgs") for w in shlex.split(line)),
        *objects,
    ]
    for number, names in enumerate(case.get("Archive")):
        members = [compile_source(HERE / name, flags, machine, directory, compiler) for name in names.split()]
        archive = directory / f"lib{number}.a"
        subprocess.run(["ar", "rcsD", str(archive), *members], check=True)
        words += [*(w for line in case.get("ArchiveArgs") for w in shlex.split(line)), str(archive)]
    return words


def symbols(path: Path) -> dict[str, tuple[str, str]]:
    """Name -> (binding, section) of all symbols."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        table = elf.get_section_by_name(".symtab")
        result = {}
        for symbol in table.iter_symbols():
            index = symbol["st_shndx"]
            section = elf.get_section(index).name if isinstance(index, int) else index
            result[symbol.name] = (symbol["st_info"]["bind"], section)
        return result


def lines(path: Path) -> list[str]:
    """The functions and line numbers that addr2line finds for some functions."""
    addresses = [
        s.split()[0]
        for s in subprocess.run(["nm", path], capture_output=True, text=True).stdout.splitlines()
        if s.split()[-1] in ("test", "begin", "add")
    ]
    out = subprocess.run(["addr2line", "-f", "-e", path, *addresses], capture_output=True, text=True).stdout
    return out.split("\n")


@pytest.mark.parametrize(("case", "machine", "flags"), parameters())
def test_gcc(case: Case, machine: str, flags: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(arguments(case, machine, flags, tmp_path, ("gcc",)), case, tmp_path, capsys)


@needs("clang")
@pytest.mark.parametrize(("case", "machine", "flags"), parameters(NOT_CLANG, few=True))
def test_clang(case: Case, machine: str, flags: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(arguments(case, machine, flags, tmp_path, ("clang",)), case, tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "machine", "flags"), parameters(NOT_CLANG + "|ifunc"))  # musl's target has none
def test_zig(case: Case, machine: str, flags: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ziglang")
    target = {"x86_64": "x86_64-linux-musl", "i386": "x86-linux-musl"}[machine]
    compiler = (sys.executable, "-m", "ziglang", "cc", "-target", target, "-fno-sanitize=all")
    check(arguments(case, machine, flags, tmp_path, compiler), case, tmp_path, capsys)


def check(words: list[str], case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    status = main(["ld", *words, "-o", str(ours)])
    said = capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:  # as large links are done: passes/columns.py
        patch.setattr(resolution, "MANY", -1)
        assert main(["ld", *words, "-o", str(tmp_path / "columns")]) == status
    assert capsys.readouterr().err == said
    assert status or (tmp_path / "columns").read_bytes() == ours.read_bytes()
    if case.get("ExpectError"):
        assert status == 1
        assert not ours.exists()
        for pattern in case.get("ExpectError"):
            assert re.search(pattern, said), said
        return
    assert status == 0, said
    check_run(case, words, ours, theirs, said)
    check_symbols(case, ours)
    if "CheckLines" in case.directives:
        assert lines(ours) == lines(theirs)


def check_run(case: Case, words: list[str], ours: Path, theirs: Path, said: str) -> None:
    """The program runs as the one that GNU ld makes does, and readelf has nothing to say."""
    got = subprocess.run([ours], capture_output=True, timeout=20)
    assert got.returncode == 42, (got, said)
    if not case.get("NoGnu"):
        subprocess.run(["ld", *words, "-o", str(theirs)], check=True, capture_output=True)
        wanted = subprocess.run([theirs], capture_output=True, timeout=20)
        assert (got.returncode, got.stdout) == (wanted.returncode, wanted.stdout)
    report = subprocess.run(["readelf", "-aW", ours], capture_output=True, text=True)
    assert "Warning" not in report.stderr and "Error" not in report.stderr


def check_symbols(case: Case, ours: Path) -> None:
    table = symbols(ours)
    for line in case.get("ExpectSym"):
        name, _, section = line.partition(" ")
        assert name in table
        assert not section or table[name][1] == section
    for name in case.get("ExpectLocal"):
        assert table[name][0] == "STB_LOCAL"
    for name in case.get("NoSym"):
        assert name not in table

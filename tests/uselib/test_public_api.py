"""`import uselib`: exactly the public names, each where it belongs, and functions that neither print nor leave half a result."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

import uselib
from support.command import environment
from support.programs import source, sysroot
from uselib import LinkError, ToolError, UsageError, check, link, make_library
from uselib.cli import main
from uselib.commands import cc

NAMES = """
AbiRequest AbiResult Breakpoint Buffer Diagnostic Divergence Exit Export Finding FormatError GuestExited GuestFault Library LinkError
LinkedProgram MadeLibrary MemoryFault Program ProgramOver ProgramReport Replacement Report Severity Stop SymbolError ToolError
UsageError Verdict check compare_runs link make_library
"""


def test_public_names() -> None:
    assert sorted(uselib.__all__) == NAMES.split()
    assert [name for name in dir(uselib) if not name.startswith("_")] == NAMES.split()
    assert {"__all__", "__doc__", "__version__"} <= set(dir(uselib))
    for name in uselib.__all__:
        assert getattr(uselib, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute `nothing`"):
        uselib.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_nothing_else_is_public_before_first_use() -> None:
    code = "import uselib; print([n for n in vars(uselib) if not n.startswith('_')])"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("words", [["-m", "uselib"], ["-m", "uselib.cli"]])
def test_version(words: list[str]) -> None:
    installed = importlib.metadata.version("uselib")
    assert uselib.__version__ == installed
    done = subprocess.run([sys.executable, *words, "--version"], env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"uselib {installed}\n")


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("objects")
    for name, text in (
        ("add", "int add(int a, int b) { return a + b; }"),
        ("main", "int add(), sub(); int main() { return add() + sub(); }"),
    ):
        path = source(folder / f"{name}.c", text)
        assert cc.run(["--sysroot", str(sysroot("i386")), "-c", str(path), "-o", str(folder / f"{name}.o")]) == 0
    return folder


def test_link_refuses_what_prints(objects: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["-M"],
        ["-t"],
        ["-y", "add"],
        ["--help"],
        ["--version"],
        ["-Map=-"],
        ["--print-gc-sections"],
        ["-o", "x"],
    ):
        with pytest.raises(UsageError):
            link(objects / "add.o", *words, output=tmp_path / "out")
    with pytest.raises(UsageError, match="unknown option"):
        link("--no-such-option", output=tmp_path / "out")
    assert capfd.readouterr() == ("", "") and not list(tmp_path.iterdir())


def test_link_reports_every_problem(objects: Path, tmp_path: Path) -> None:
    with pytest.raises(LinkError) as failure:
        link(objects / "main.o", "-e", "main", output=tmp_path / "out")
    assert {"add", "sub"} == {diagnostic.symbol for diagnostic in failure.value.diagnostics}
    (tmp_path / "damaged.o").write_bytes(b"\x7fELF" + bytes(4))
    with pytest.raises(ToolError, match="damaged ELF header"):
        link(tmp_path / "damaged.o", output=tmp_path / "out")
    with pytest.raises(ToolError, match="cannot be written"):
        link(objects / "add.o", "-e", "add", output=tmp_path / "none" / "out")
    assert not (tmp_path / "out").exists()


def test_link_gives_files_map_and_warnings(objects: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = link(objects / "add.o", "-e", "nowhere", "-Map", tmp_path / "map", output=tmp_path / "out")
    assert made.path == tmp_path / "out" and os.access(made.path, os.X_OK)
    assert made.files == (str(objects / "add.o"),) and made.libraries == ()
    assert len(made.warnings) == 1 and "nowhere" in made.warnings[0]
    assert "add" in (tmp_path / "map").read_text()
    with pytest.raises(LinkError, match="nowhere"):
        link(objects / "add.o", "-e", "nowhere", "--fatal-warnings", output=tmp_path / "fatal")
    assert not (tmp_path / "fatal").exists() and capfd.readouterr() == ("", "")


def test_make_library_takes_options_as_arguments(objects: Path, tmp_path: Path) -> None:
    made = make_library(
        objects / "add.o",
        output=tmp_path,
        name="add",
        version="2.1.0",
        address=0x61000000,
        interposable=["add"],
        stub_format="directory",
        strip="all",
    )
    assert (made.name, made.version, made.base) == ("libadd_s", "2.1.0", 0x61000000)
    assert made.target.is_file() and made.stub.is_dir() and "add" in made.map


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"version": "1.0.0", "address": 0x61000000}, "has no name"),
        ({"name": "add", "address": 0x61000000}, "has no version"),
        ({"name": "add", "version": "one", "address": 0x61000000}, "MAJOR.MINOR.PATCH"),
        ({"name": "add", "version": "1.0.0"}, "has no address"),
        ({"name": "add", "version": "1.0.0", "address": 0x61000000, "scheme": "none"}, "not one of 'uselib', 'mmap'"),
    ],
)
def test_make_library_says_what_is_missing(
    objects: Path, tmp_path: Path, arguments: dict[str, object], words: str
) -> None:
    with pytest.raises(ToolError, match=words):
        make_library(objects / "add.o", output=tmp_path, **arguments)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_check_takes_headers_of_both_versions(objects: Path, tmp_path: Path) -> None:
    made = make_library(objects / "add.o", output=tmp_path, name="add", version="1.0.0", address=0x61000000)
    (tmp_path / "old.h").write_text("int add(int a, int b);\n")
    (tmp_path / "new.h").write_text("int add(int a, long long b);\n")
    report = check(made.target, made.target, old_headers=tmp_path / "old.h", new_headers=[tmp_path / "new.h"])
    assert report.verdict is uselib.Verdict.BREAKING
    with pytest.raises(UsageError, match="one version only"):
        check(made.target, made.target, new_headers=tmp_path / "new.h")
    program = link(objects / "add.o", "-e", "add", output=tmp_path / "program")
    with pytest.raises(UsageError, match="is a program"):
        check(program.path, made.target)


@pytest.mark.parametrize(("word", "near"), [("chkslib", "chkshlib"), ("inpsect", "inspect"), ("xyzzy", "")])
def test_a_mistyped_command_gets_a_suggestion(word: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 2
    said = f"did you mean `uselib {near}`?" if near else "`uselib --help` lists them"
    assert capsys.readouterr().err == f"uselib: {word}: no such command; {said}\n"

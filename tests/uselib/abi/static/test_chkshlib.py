"""The command `uselib chkshlib`, in this process and as a process: verdicts and exit status, suppressions, baselines, bad input."""

from __future__ import annotations

import datetime
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.mkshlib import CFLAGS, DRIVER, FLAG, mkshlib
from support.tools import needs
from uselib.cli import main
from uselib.commands import chkshlib
from uselib.linker.image import Machine

pytestmark = needs("gcc")
TODAY = datetime.date(2026, 11, 22)

HEADER = """
#define LIMIT 16
struct point { int x, y; };
int norm(const struct point *p);
int twice(int n);
extern int count;
"""
OLD = """
#include "lib.h"
int count = 3;
int norm(const struct point *p) { return p->x + p->y; }
int twice(int n) { return 2 * n; }
int unused(void) { return 0; }
"""
NEW_HEADER = HEADER.replace("int x, y;", "int x, y, z;").replace("16", "32") + "int thrice(int n);\n"
NEW = OLD.replace("p->x + p->y", "p->x + p->y + p->z").replace(
    "int unused(void) { return 0; }", "int thrice(int n) { return 3 * n; }"
)
PROGRAM = """
#include "lib.h"
struct library libraries[] = {{0}};
int main_(void) { struct point p = {1, 2}; return norm(&p) + count; }
"""


FILES = dict(
    line.split()
    for line in """
old          old/shlib/libsample_s.1.0.0
patch        patch/shlib/libsample_s.1.0.1
minor        minor/shlib/libsample_s.1.1.0
new          new/shlib/libsample_s.1.1.0
i386         i386/shlib/libsample_s.1.0.0
other        other/shlib/libother_s.1.0.0
stub         old/lib/libsample_s.a
new_stub     new/lib/libsample_s.a
program      program
bystander    bystander
old_headers  old/lib.h
new_headers  new/lib.h
so           old/libsample.so.1.0
new_so       new/libsample.so.1.1
stripped     stripped
object       old/lib.o
""".strip().splitlines()
)


@dataclass(frozen=True)
class Files:
    """old 1.0.0; patch 1.0.1 with other code; minor 1.1.0 with one function more; new 1.1.0 with what breaks; i386 and other: other
    libraries; bare: new without debug information; program linked with old, bystander uses twice only."""

    folder: Path

    def __getattr__(self, name: str) -> str:
        if name not in FILES:
            raise AttributeError(name)
        return str(self.folder / FILES[name])


def library(
    folder: Path,
    side: str,
    header: str,
    text: str,
    version: str,
    *options: str,
    machine: Machine = Machine.X86_64,
    name: str = "sample",
) -> Path:
    place = folder / side
    place.mkdir()
    (place / "lib.h").write_text(header)
    (place / "lib.c").write_text(text)
    subprocess.run(
        ["gcc", FLAG[machine], *CFLAGS, "-g", "-fno-common", "-fdata-sections", "-c", "lib.c"], cwd=place, check=True
    )
    mkshlib("--name", name, "--version", version, "--text", "0x61000000", "-o", place, *options, place / "lib.o")
    return place / "shlib" / f"lib{name}_s.{version}"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("chkshlib")
    old = library(folder, "old", HEADER, OLD, "1.0.0")
    library(folder, "patch", HEADER, OLD.replace("2 * n", "n + n + 0 * count"), "1.0.1")
    more = OLD + "int zero(void) { return 0; }\n"
    library(folder, "minor", HEADER, more, "1.1.0", "--previous", str(old))
    library(folder, "new", NEW_HEADER, NEW, "1.1.0")
    library(folder, "i386", HEADER, OLD, "1.0.0", machine=Machine.I386)
    library(folder, "other", HEADER, OLD, "1.0.0", name="other")
    for side, soname in (("old", "1.0"), ("new", "1.1")):
        command = ["gcc", "-shared", "-fPIC", "-w", "lib.c", f"-olibsample.so.{soname}", "-Wl,-soname,libsample.so.1"]
        subprocess.run(command, cwd=folder / side, check=True)
    subprocess.run(["strip", "-o", str(folder / "stripped"), str(old)], check=False, capture_output=True)
    for name, text in (("program", PROGRAM), ("bystander", PROGRAM.replace("norm(&p) + count", "twice(p.x)"))):
        (folder / f"{name}.c").write_text(DRIVER + text)
        subprocess.run(
            ["gcc", "-m64", *CFLAGS, "-g", "-fno-builtin", "-Iold", "-c", f"{name}.c"], cwd=folder, check=True
        )
        words = [
            "-m",
            "elf_x86_64",
            "-o",
            str(folder / name),
            str(folder / f"{name}.o"),
            str(folder / "old/lib/libsample_s.a"),
        ]
        assert main(["ld", *words]) == 0
    return Files(folder)


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def flat(self) -> str:
        """stdout, whatever its lines' length."""
        return " ".join(self.out.split())


@pytest.fixture(autouse=True)
def width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]):
    """Runs the command in this process."""

    def run(*words: str) -> Answer:
        status = main(["chkshlib", *words])
        out, err = capsys.readouterr()
        return Answer(status, out, err)

    return run


def first(answer: Answer) -> str:
    return answer.out.splitlines()[0]


# -- verdicts ----------------------------------------------------------------------------------------------------------


def test_compatible(files: Files, ask) -> None:
    answer = ask(files.old, files.patch)
    assert (answer.status, answer.err) == (0, "")
    assert first(answer) == "compatible; a new patch number will do: 1.0.1 or later (NEW says 1.0.1)"
    assert (
        answer.out.splitlines()[-1] == "  behaviour: what functions do is not compared; run `uselib abi run` for that"
    )


def test_minor(files: Files, ask) -> None:
    answer = ask(files.old, files.minor)
    assert answer.status == 0
    assert (
        first(answer) == "compatible with a minor release; needs a new minor version: 1.1.0 or later (NEW says 1.1.0)"
    )
    assert "function zero was added in slot 4" in answer.out


def test_breaking(files: Files, ask) -> None:
    answer = ask(files.old, files.new)
    assert answer.status == 4
    assert first(answer) == "breaking; needs a new major version: 2.0.0 or later (NEW says 1.1.0)"
    assert "twice moved from slot 2 to slot 3; slot 2 is now thrice" in answer.out
    assert "breaking for programs that use twice" in answer.out
    assert "to avoid it: Keep slots with `mkshlib --previous OLD`" in answer.out


def test_stub_libraries(files: Files, ask) -> None:
    answer = ask(files.stub, files.new_stub)
    assert answer.status == 4 and "twice moved from slot 2 to slot 3" in answer.out
    assert "not checked:" in answer.out and "no debug information" in answer.out


def test_shared_objects(files: Files, ask) -> None:
    answer = ask(files.so, files.new_so)
    assert answer.status == 4
    assert first(answer) == "breaking; needs a new major version"
    assert "function unused was removed" in answer.out and "(version 1.0)" in answer.out
    assert "moved from" not in answer.out  # programs bind by name


# -- not comparable, bad input -----------------------------------------------------------------------------------------


def test_not_comparable(files: Files, ask) -> None:
    for words, because in (
        ((files.old, files.i386), "is for x86_64"),
        ((files.old, files.other), "not two versions of one library"),
        ((files.old, files.so), "programs bind to them in different ways"),
    ):
        answer = ask(*words)
        assert answer.status == 16 and first(answer) == "not comparable", words
        assert because in answer.flat, words


def test_a_stripped_library_is_not_compatible(files: Files, ask) -> None:
    for words in ((files.stripped, files.old), (files.old, files.stripped)):
        answer = ask(*words)
        assert answer.status in (1, 16), answer.out  # damaged, or without symbols; never a verdict
        assert "internal error" not in answer.err


def test_a_library_without_exports(tmp_path: Path, ask) -> None:
    (tmp_path / "a.c").write_text("static int inner;\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-nostdlib", "a.c", "-o", "a.so"], cwd=tmp_path, check=True)
    answer = ask(str(tmp_path / "a.so"), str(tmp_path / "a.so"))
    assert answer.status == 16 and "exports no names: there is nothing to compare" in answer.flat


def test_files_that_are_no_libraries(files: Files, tmp_path: Path, ask) -> None:
    text = tmp_path / "text"
    text.write_text("no library\n")
    (tmp_path / "empty").touch()
    for path, said in (
        (str(text), "is neither an ELF file nor a stub library"),
        (str(tmp_path / "empty"), "is empty"),
        (files.object, "is an object file"),
        (str(tmp_path / "none"), "cannot be read: No such file or directory"),
        (str(tmp_path), ""),
        ("/dev/zero", "cannot be read"),
        (files.program, "is a program, and a library is wanted here"),
    ):
        answer = ask(files.old, path)
        assert answer.status == 1 and answer.out == "" and answer.err.count("\n") == 1, path
        assert path in answer.err and said in answer.err, answer.err


def test_the_same_file_and_the_wrong_way_round(files: Files, ask, tmp_path: Path) -> None:
    answer = ask(files.old, files.old)
    assert answer.status == 0 and "note:  OLD and NEW are the same file" in answer.out
    copy = shutil.copy(files.old, tmp_path / "copy")
    assert "note:  OLD and NEW have the same contents" in ask(files.old, str(copy)).out
    answer = ask(files.minor, files.old)
    assert answer.status == 4 and "NEW is of version 1.0.0, OLD of 1.1.0: are they the wrong way round?" in answer.out
    assert "are they the wrong way round?" in ask(files.new_so, files.so).out


USAGE = [
    ([], "two versions of a library are wanted"),
    (["OLD"], "two versions of a library are wanted"),
    (["OLD", "OLD", "OLD"], "3 files"),
    (["OLD", "OLD", "--json", "--format", "text"], "exclude each other"),
    (["OLD", "OLD", "-o", "text"], "not FORMAT=FILE"),
    (["OLD", "OLD", "-o", "pdf=x"], "not FORMAT=FILE"),
    (["OLD", "OLD", "--format", "pdf"], "invalid choice"),
    (["OLD", "OLD", "-I", "x"], "-I and -D are for headers"),
    (["OLD", "OLD", "--old-headers", "x"], "--old-headers needs --new-headers"),
    (["OLD", "OLD", "--fail-on", "affected"], "only with --program"),
    (["PROG", "OLD", "--program", "x"], "--program is for two versions of a library"),
    (["PROG", "OLD", "--baseline", "x"], "--baseline is for two versions of a library"),
    (["--explain", "no-such-rule"], "no rule `no-such-rule`"),
    (["--explain", "slot"], "did you mean slot-moved"),
    (["--bogus"], "unrecognized arguments: --bogus"),
]


@pytest.mark.parametrize(("words", "said"), USAGE, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_usage_errors(files: Files, ask, words: list[str], said: str) -> None:
    answer = ask(*({"OLD": files.old, "PROG": files.program}.get(word, word) for word in words))
    assert answer.status == 2 and said in answer.err and answer.out == ""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_libraries_raise_nothing_else(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    """Bit flips and cuts in a target library with debug information."""
    whole = bytearray(Path(files.new).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(whole))) if data.draw(st.booleans()) else len(whole)
    path = tmp_path / "damaged"
    path.write_bytes(whole[:cut])
    status = main(["chkshlib", files.old, str(path)])
    assert status in (0, 1, 4, 16)
    assert "internal error" not in capsys.readouterr().err


# -- output ------------------------------------------------------------------------------------------------------------


def test_formats_and_files(files: Files, ask, tmp_path: Path) -> None:
    outputs = {name: tmp_path / f"report.{name}" for name in ("text", "json", "sarif", "junit", "markdown")}
    words = [word for name, path in outputs.items() for word in ("-o", f"{name}={path}")]
    answer = ask(files.old, files.new, "-q", *words)
    assert (answer.status, answer.out, answer.err) == (4, "", "")
    assert outputs["text"].read_text().startswith("breaking; ")
    assert json.loads(outputs["json"].read_text())["verdict"] == "breaking"
    assert json.loads(outputs["sarif"].read_text())["runs"][0]["results"]
    assert int(ET.parse(outputs["junit"]).getroot().get("failures", "0")) >= 2
    assert outputs["markdown"].read_text().startswith("### ABI: breaking\n")
    for name, path in outputs.items():
        words = ["--json"] if name == "json" else ["--format", name]
        assert ask(files.old, files.new, *words).out == path.read_text()


def test_an_output_that_cannot_be_written(files: Files, ask, tmp_path: Path) -> None:
    answer = ask(files.old, files.new, "-o", f"json={tmp_path}/none/report")
    assert answer.status == 1 and "cannot be written" in answer.err


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "uselib.cli", "chkshlib", *words]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


def test_as_a_process(files: Files) -> None:
    done = run(files.old, files.new)
    assert done.returncode == 4 and done.stderr == "" and "\x1b" not in done.stdout
    assert run(files.old, files.i386).returncode == 16
    assert run(files.old, files.minor).returncode == 0
    assert run().returncode == 2


def on_terminal(*words: str, **environment: str) -> str:
    leader, follower = pty.openpty()
    clean = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS")}
    command = [sys.executable, "-m", "uselib.cli", "chkshlib", *words]
    process = subprocess.Popen(
        command, stdout=follower, stderr=subprocess.DEVNULL, env={**clean, "TERM": "xterm", **environment}
    )
    os.close(follower)
    parts = []
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    process.wait()
    os.close(leader)
    return b"".join(parts).decode()


def test_colour_only_on_a_terminal_and_without_no_color(files: Files) -> None:
    assert "\x1b[1;31mbreaking" in on_terminal(files.old, files.new)
    assert "\x1b" not in on_terminal(files.old, files.new, NO_COLOR="1")
    assert "\x1b" not in on_terminal(files.old, files.new, TERM="dumb")
    narrow = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(files.old, files.new, COLUMNS="60"))
    paths = [line for line in narrow.splitlines() if files.old not in line and files.new not in line]
    assert all(len(line) <= 60 for line in paths)


# -- headers -----------------------------------------------------------------------------------------------------------


def headers(files: Files) -> list[str]:
    return ["--old-headers", files.old_headers, "--new-headers", files.new_headers]


def test_headers_give_types_and_constants_where_there_is_no_debug_information(files: Files, ask) -> None:
    plain = ask(files.so, files.new_so)
    assert "struct point" not in plain.out and "types are not compared" in plain.out
    answer = ask(files.so, files.new_so, *headers(files))
    assert answer.status == 4
    assert "struct point: `int z` at byte 8" in answer.out and "LIMIT: 16 became 32" in answer.out
    assert f"at {files.new_headers}:3" in answer.flat
    assert "types are not compared" not in answer.out


def test_headers_limit_the_check_to_the_public_interface(files: Files, ask) -> None:
    found = json.loads(ask(files.old, files.new, "--json", *headers(files)).out)["findings"]
    severities = {row["subject"]: row["severity"] for row in found}
    assert severities["unused"] == "risk"  # no header declares it
    assert severities["twice"] == "breaking" and severities["LIMIT"] == "breaking"


def test_without_a_compiler(files: Files, ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chkshlib, "_compilers", lambda: ())
    answer = ask(files.so, files.new_so, *headers(files))
    assert answer.status == 4 and "struct point: `int z` at byte 8" in answer.out
    assert "headers were read without a C compiler" in answer.out


def test_headers_that_cannot_be_read(files: Files, ask, tmp_path: Path) -> None:
    answer = ask(files.old, files.new, "--headers", str(tmp_path / "none.h"))
    assert answer.status == 1 and "none.h: no such header file or directory" in answer.err
    bad = tmp_path / "bad.h"
    bad.write_text("#include <no_such_header.h>\n")
    answer = ask(files.old, files.new, "--headers", str(bad))
    assert (
        answer.status == 16
        and "nothing could be read of the headers" in answer.out
        and "no_such_header.h" in answer.out
    )
    partly = tmp_path / "partly.h"
    partly.write_text("int twice(int n);\nint norm(int a b);\n")
    answer = ask(files.old, files.new, "--headers", str(partly))
    assert answer.status == 4 and f"declaration not understood: {partly}:2:" in answer.flat


def test_defines_and_include_directories(files: Files, ask, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "config.h").write_text("#define BASE 4\n")
    header = tmp_path / "lib.h"
    header.write_text("#include <config.h>\n#ifdef WANTED\n#define SUM (BASE + WANTED)\n#endif\nint twice(int n);\n")
    words = [files.old, files.patch, "--headers", str(header), "-I", str(tmp_path / "inner"), "-D", "WANTED=3"]
    assert ask(*words).status == 0
    assert ask(*words[:4]).status == 16


# -- programs ----------------------------------------------------------------------------------------------------------


def test_what_it_means_for_programs(files: Files, ask) -> None:
    answer = ask(files.old, files.minor, "--program", files.program, "--program", files.bystander, "--json")
    assert answer.status == 0
    assert [row["verdict"] for row in json.loads(answer.out)["programs"]] == ["unaffected", "unaffected"]
    answer = ask(files.old, files.new, "--program", files.program, "--json")
    row = json.loads(answer.out)["programs"][0]
    assert row["verdict"] == "affected" and row["used"] == 2
    assert any(effect["rule"] == "member-appended" and "norm" in effect["why"] for effect in row["effects"])


def test_fail_on_affected(files: Files, ask) -> None:
    words = [files.so, files.new_so, *headers(files), "--fail-on", "affected"]
    assert ask(*words, "--program", files.bystander).status == 0
    words = [files.old, files.new, "--fail-on", "affected", "--program"]
    assert ask(*words, files.program).status == 4
    assert ask(*words, files.bystander).status == 4  # twice is in another slot


def test_a_program_and_its_libraries(files: Files, ask) -> None:
    answer = ask(files.program, files.old)
    assert answer.status == 0 and f"program {files.program}: unaffected (uses 2 names of the library)" in " ".join(
        answer.out.split()
    )
    answer = ask(files.program, files.new)
    assert answer.status == 4 and "calls norm" in answer.out
    answer = ask(files.bystander, files.new)
    assert answer.status == 4 and "calls twice" in answer.out
    answer = ask(files.bystander, files.minor)
    assert answer.status == 0


def test_a_program_and_libraries_that_are_not_its_own(files: Files, ask) -> None:
    for path, said in (
        (files.other, "was not linked with libother_s"),
        (files.so, "was not linked with"),
        (files.i386, "is for x86_64"),
    ):
        answer = ask(files.program, path)
        assert answer.status == 16 and said in answer.flat, path


# -- suppressions ------------------------------------------------------------------------------------------------------

SUPPRESSIONS = """
[[suppress]]
rule = "slot-moved"
subject = "twice"
reason = "nobody calls it"
expires = 2027-01-01
[[suppress]]
rule = "function-removed"
reason = "was never documented"
expires = 2026-01-01
[[suppress]]
rule = "data-*"
subject = "none"
reason = "typing error"
expires = "never"
[[severity]]
rule = "member-appended"
subject = "point"
severity = "minor"
reason = "programs get it from the library only"
"""


def test_suppressions(files: Files, ask, tmp_path: Path) -> None:
    path = tmp_path / "abi.toml"
    path.write_text(SUPPRESSIONS)
    chosen = [files.old, files.new, "--suppress", str(path)]
    assert chkshlib.run([*chosen, "-q"], TODAY) == 4
    answer = ask(*chosen, "--json")
    found = json.loads(answer.out)
    rows = {row["rule"]: row for row in found["findings"]}
    assert rows["slot-moved"][
        "suppressed"
    ] == "nobody calls it (until 2027-01-01)" or datetime.date.today() > datetime.date(2027, 1, 1)
    assert rows["function-removed"]["suppressed"] == ""
    assert rows["member-appended"]["severity"] == "minor"
    assert found["notices"] == [
        f"suppression expired on 2026-01-01: {path}: suppress 2 (rule function-removed, subject *)",
        f"suppression matches nothing: {path}: suppress 3 (rule data-*, subject none)",
    ] or datetime.date.today() > datetime.date(2027, 1, 1)


def test_when_all_that_breaks_is_suppressed(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "abi.toml"
    rows = "".join(
        f'[[suppress]]\nrule = "{rule}"\nreason = "all programs are built again"\nexpires = 2026-11-22\n'
        for rule in ("slot-moved", "function-removed", "member-*")
    )
    path.write_text(rows)
    words = [files.old, files.new, "--suppress", str(path), "--program", files.program]
    assert chkshlib.run(words, TODAY) == 0  # the last day counts
    text = capsys.readouterr().out
    assert text.startswith(
        "compatible with a minor release; needs a new minor version: 1.1.0 or later (NEW says 1.1.0)\n"
    )
    assert "3 suppressed" in text and "unaffected" in text and "because suppressed" in text
    assert "version-too-small" not in text
    assert chkshlib.run(words, TODAY + datetime.timedelta(days=1)) == 4
    assert capsys.readouterr().out.count("suppression expired on 2026-11-22") == 3


BAD_SUPPRESSIONS = [
    ("[[suppress]]\nrule =", "is not TOML"),
    ("[[suppress]]\nrule = 'slot-moved'\nreason = 'x'", "`expires` is missing; write expires = 2027-06-30"),
    ("[[suppress]]\nrule = 'slot-moved'\nexpires = 'never'", "`reason` is missing"),
    ("[[suppress]]\nrule = 'slot-moved'\nreason = ' '\nexpires = 'never'", "`reason` is not a text"),
    ("[[suppress]]\nrule = 'slot-removed'\nreason = 'x'\nexpires = 'never'", "no rule `slot-removed`"),
    ("[[suppress]]\nrule = 'slot-moved'\nreason = 'x'\nexpires = 'tomorrow'", "`expires` is not a date: tomorrow"),
    ("[[suppress]]\nrule = 'slot-moved'\nreason = 'x'\nexpires = 'never'\nname = 'x'", "`name` is not known here"),
    (
        "[[severity]]\nrule = 'slot-moved'\nreason = 'x'\nseverity = 'bad'",
        "`severity` is not one of compatible, minor, risk, breaking",
    ),
    ("[suppress]\nrule = 'slot-moved'", "`suppress` is not known here"),
    ("[[ignore]]\nrule = 'slot-moved'", "`ignore` is not known here"),
]


@pytest.mark.parametrize(("text", "said"), BAD_SUPPRESSIONS)
def test_suppression_files_that_are_wrong(files: Files, ask, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "abi.toml"
    path.write_text(text)
    answer = ask(files.old, files.new, "--suppress", str(path))
    assert answer.status == 1 and answer.out == "" and f"uselib: {path}" in answer.err and said in answer.err


def test_all_defects_of_a_suppression_file_are_told(files: Files, ask, tmp_path: Path) -> None:
    path = tmp_path / "abi.toml"
    path.write_text("[[suppress]]\nrule = 'x-y'\n[[suppress]]\nreason = 'x'\nexpires = 4\n")
    answer = ask(files.old, files.new, "--suppress", str(path))
    assert answer.err.count("\n") == 5 and "suppress 2: `rule` is missing" in answer.err


# -- baseline ----------------------------------------------------------------------------------------------------------


def test_a_baseline_accepts_what_was_there(files: Files, ask, tmp_path: Path) -> None:
    path = str(tmp_path / "abi.json")
    assert ask(files.old, files.new, "-q", "--write-baseline", path).status == 0
    document = json.loads(Path(path).read_text())
    assert (document["format"], document["version"], document["library"]) == ("uselib-abi-baseline", 1, "libsample_s")
    answer = ask(files.old, files.new, "--baseline", path)
    assert answer.status == 0 and first(answer).startswith("compatible; ")
    assert "no changes found; " in answer.out and "suppressed" in answer.out
    worse = ask(files.old, files.new, "--baseline", path, *headers(files))  # one finding more
    assert worse.status == 4 and "LIMIT: 16 became 32" in worse.out and "twice moved" not in worse.out
    better = ask(files.old, files.patch, "--baseline", path)
    assert better.status == 0 and "in the baseline and no longer found: " in better.out


def test_baselines_that_do_not_fit(files: Files, ask, tmp_path: Path) -> None:
    path = tmp_path / "abi.json"
    assert ask(files.old, files.new, "-q", "--write-baseline", str(path)).status == 0
    good = json.loads(path.read_text())
    for change, said in (
        ({"version": 2}, "is a baseline of format version 2; this is for 1; write it again"),
        ({"library": "libother_s"}, "is the baseline of libother_s; the libraries compared are libsample_s"),
        ({"format": "x"}, "is not a baseline; --write-baseline FILE makes one"),
        ({"findings": 3}, "is a damaged baseline"),
        ({"findings": [{"rule": 1}]}, "is a damaged baseline: finding 1"),
    ):
        path.write_text(json.dumps({**good, **change}))
        answer = ask(files.old, files.new, "--baseline", str(path))
        assert answer.status == 1 and said in answer.err, answer.err
    path.write_text("{")
    assert "is not a baseline" in ask(files.old, files.new, "--baseline", str(path)).err
    path.write_text(json.dumps({**good, "old": "0.9.0"}))
    assert "written against version 0.9.0, OLD is 1.0.0" in ask(files.old, files.new, "--baseline", str(path)).out


# -- what counts, rules ------------------------------------------------------------------------------------------------


def test_fail_on(files: Files, ask) -> None:
    expected = {"breaking": 0, "risk": 0, "minor": 4, "none": 0}
    assert {word: ask(files.old, files.minor, "--fail-on", word).status for word in expected} == expected
    assert ask(files.old, files.new, "--fail-on", "none").status == 0
    assert ask(files.old, files.i386, "--fail-on", "none").status == 16


def test_rules_are_explained(ask) -> None:
    answer = ask("--list-rules")
    assert answer.status == 0 and re.search(r"^  slot-moved +A function is in another slot$", answer.out, re.MULTILINE)
    rows = json.loads(ask("--list-rules", "--json").out)
    assert all(
        row["id"] and row["severity"] in ("breaking", "risk", "minor", "compatible") and row["remedy"] for row in rows
    )
    for row in rows:
        answer = ask("--explain", row["id"])
        assert answer.status == 0 and answer.out.startswith(f"{row['id']}: ")
    assert "program linked with old:\n" in ask("--explain", "slots-swapped").out


def test_a_program_and_several_libraries(files: Files, ask) -> None:
    answer = ask(files.program, files.new, files.other, "--json")
    rows = json.loads(answer.out)["programs"]
    assert [(row["library"], row["verdict"]) for row in rows] == [
        (files.new, "affected"),
        (files.other, "not comparable"),
    ]
    text = ask(files.program, files.old, files.other)
    assert f"program {files.program} with {files.other}: not comparable" in text.flat and text.status == 0
    for name in ("junit", "markdown", "sarif"):
        assert " with " in ask(files.program, files.new, files.other, "--format", name).out


def test_suppressions_of_what_meets_a_program(files: Files, ask, tmp_path: Path) -> None:
    path = tmp_path / "abi.toml"
    path.write_text('[[suppress]]\nrule = "member-appended"\nreason = "built again"\nexpires = "never"\n')
    answer = ask(files.program, files.new, "--suppress", str(path))
    assert answer.status == 0 and "unaffected" in answer.flat and "(suppressed: built again)" in answer.flat
    assert "1 change that it meets, because suppressed" in answer.flat

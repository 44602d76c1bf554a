"""The command `uselib chkshlib`, in this process and as a process: verdicts, exit status, output, headers, programs, bad input."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.chkshlib import SampleFiles, first, headers
from support.tools import needs
from uselib.cli import main
from uselib.commands import chkshlib

pytestmark = needs("gcc")


# -- verdicts ----------------------------------------------------------------------------------------------------------


def test_compatible(sample: SampleFiles, ask) -> None:
    answer = ask(sample.old, sample.patch)
    assert (answer.status, answer.err) == (0, "")
    assert first(answer) == "compatible; a new patch number will do: 1.0.1 or later (NEW says 1.0.1)"
    assert (
        answer.out.splitlines()[-1] == "  behaviour: what functions do is not compared; run `uselib abi run` for that"
    )


def test_minor(sample: SampleFiles, ask) -> None:
    answer = ask(sample.old, sample.minor)
    assert answer.status == 0
    assert (
        first(answer) == "compatible with a minor release; needs a new minor version: 1.1.0 or later (NEW says 1.1.0)"
    )
    assert "function zero was added in slot 4" in answer.out


def test_breaking(sample: SampleFiles, ask) -> None:
    answer = ask(sample.old, sample.new)
    assert answer.status == 4
    assert first(answer) == "breaking; needs a new major version: 2.0.0 or later (NEW says 1.1.0)"
    assert "twice moved from slot 2 to slot 3; slot 2 is now thrice" in answer.out
    assert "breaking for programs that use twice" in answer.out
    assert "to avoid it: Keep slots with `mkshlib --previous OLD`" in answer.out


def test_stub_libraries(sample: SampleFiles, ask) -> None:
    answer = ask(sample.stub, sample.new_stub)
    assert answer.status == 4 and "twice moved from slot 2 to slot 3" in answer.out
    assert "not checked:" in answer.out and "no debug information" in answer.out


def test_shared_objects(sample: SampleFiles, ask) -> None:
    answer = ask(sample.so, sample.new_so)
    assert answer.status == 4
    assert first(answer) == "breaking; needs a new major version"
    assert "function unused was removed" in answer.out and "(version 1.0)" in answer.out
    assert "moved from" not in answer.out  # programs bind by name


# -- not comparable, bad input -----------------------------------------------------------------------------------------


def test_not_comparable(sample: SampleFiles, ask) -> None:
    for words, because in (
        ((sample.old, sample.i386), "is for x86_64"),
        ((sample.old, sample.other), "not two versions of one library"),
        ((sample.old, sample.so), "programs bind to them in different ways"),
    ):
        answer = ask(*words)
        assert answer.status == 16 and first(answer) == "not comparable", words
        assert because in answer.flat, words


def test_a_stripped_library_is_not_compatible(sample: SampleFiles, ask) -> None:
    for words in ((sample.stripped, sample.old), (sample.old, sample.stripped)):
        answer = ask(*words)
        assert answer.status in (1, 16), answer.out  # damaged, or without symbols; never a verdict
        assert "internal error" not in answer.err


def test_a_library_without_exports(tmp_path: Path, ask) -> None:
    (tmp_path / "a.c").write_text("static int inner;\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-nostdlib", "a.c", "-o", "a.so"], cwd=tmp_path, check=True)
    answer = ask(str(tmp_path / "a.so"), str(tmp_path / "a.so"))
    assert answer.status == 16 and "exports no names: there is nothing to compare" in answer.flat


def test_files_that_are_no_libraries(sample: SampleFiles, tmp_path: Path, ask) -> None:
    text = tmp_path / "text"
    text.write_text("no library\n")
    (tmp_path / "empty").touch()
    for path, said in (
        (str(text), "is neither an ELF file nor a stub library"),
        (str(tmp_path / "empty"), "is empty"),
        (sample.object, "is an object file"),
        (str(tmp_path / "none"), "cannot be read: No such file or directory"),
        (str(tmp_path), ""),
        ("/dev/zero", "cannot be read"),
        (sample.program, "is a program, not a library"),
    ):
        answer = ask(sample.old, path)
        assert answer.status == 1 and answer.out == "" and answer.err.count("\n") == 1, path
        assert path in answer.err and said in answer.err, answer.err


def test_the_same_file_and_the_wrong_way_round(sample: SampleFiles, ask, tmp_path: Path) -> None:
    answer = ask(sample.old, sample.old)
    assert answer.status == 0 and "note:  OLD and NEW are the same file" in answer.out
    copy = shutil.copy(sample.old, tmp_path / "copy")
    assert "note:  OLD and NEW have the same contents" in ask(sample.old, str(copy)).out
    answer = ask(sample.minor, sample.old)
    assert answer.status == 4 and "NEW is of version 1.0.0, OLD of 1.1.0: are they the wrong way round?" in answer.out
    assert "are they the wrong way round?" in ask(sample.new_so, sample.so).out


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
def test_usage_errors(sample: SampleFiles, ask, words: list[str], said: str) -> None:
    answer = ask(*({"OLD": sample.old, "PROG": sample.program}.get(word, word) for word in words))
    assert answer.status == 2 and said in answer.err and answer.out == ""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_libraries_raise_nothing_else(
    sample: SampleFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    """Bit flips and cuts in a target library with debug information."""
    whole = bytearray(Path(sample.new).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(whole))) if data.draw(st.booleans()) else len(whole)
    path = tmp_path / "damaged"
    path.write_bytes(whole[:cut])
    status = main(["chkshlib", sample.old, str(path)])
    assert status in (0, 1, 4, 16)
    assert "internal error" not in capsys.readouterr().err


# -- output ------------------------------------------------------------------------------------------------------------


def test_formats_and_files(sample: SampleFiles, ask, tmp_path: Path) -> None:
    outputs = {name: tmp_path / f"report.{name}" for name in ("text", "json", "sarif", "junit", "markdown")}
    words = [word for name, path in outputs.items() for word in ("-o", f"{name}={path}")]
    answer = ask(sample.old, sample.new, "-q", *words)
    assert (answer.status, answer.out, answer.err) == (4, "", "")
    assert outputs["text"].read_text().startswith("breaking; ")
    assert json.loads(outputs["json"].read_text())["verdict"] == "breaking"
    assert json.loads(outputs["sarif"].read_text())["runs"][0]["results"]
    assert int(ET.parse(outputs["junit"]).getroot().get("failures", "0")) >= 2
    assert outputs["markdown"].read_text().startswith("### ABI: breaking\n")
    for name, path in outputs.items():
        words = ["--json"] if name == "json" else ["--format", name]
        assert ask(sample.old, sample.new, *words).out == path.read_text()


def test_an_output_that_cannot_be_written(sample: SampleFiles, ask, tmp_path: Path) -> None:
    answer = ask(sample.old, sample.new, "-o", f"json={tmp_path}/none/report")
    assert answer.status == 1 and "cannot be written" in answer.err


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "uselib.cli", "chkshlib", *words]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


def test_as_a_process(sample: SampleFiles) -> None:
    done = run(sample.old, sample.new)
    assert done.returncode == 4 and done.stderr == "" and "\x1b" not in done.stdout
    assert run(sample.old, sample.i386).returncode == 16
    assert run(sample.old, sample.minor).returncode == 0
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


def test_colour_only_on_a_terminal_and_without_no_color(sample: SampleFiles) -> None:
    assert "\x1b[1;31mbreaking" in on_terminal(sample.old, sample.new)
    assert "\x1b" not in on_terminal(sample.old, sample.new, NO_COLOR="1")
    assert "\x1b" not in on_terminal(sample.old, sample.new, TERM="dumb")
    narrow = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(sample.old, sample.new, COLUMNS="60"))
    paths = [line for line in narrow.splitlines() if sample.old not in line and sample.new not in line]
    assert all(len(line) <= 60 for line in paths)


# -- headers -----------------------------------------------------------------------------------------------------------


def test_headers_give_types_and_constants_where_there_is_no_debug_information(sample: SampleFiles, ask) -> None:
    plain = ask(sample.so, sample.new_so)
    assert "struct point" not in plain.out and "types are not compared" in plain.flat
    answer = ask(sample.so, sample.new_so, *headers(sample))
    assert answer.status == 4
    assert "struct point: `int z` at byte 8" in answer.out and "LIMIT: 16 became 32" in answer.out
    assert f"at {sample.new_headers}:3" in answer.flat
    assert "types are not compared" not in answer.flat


def test_headers_limit_the_check_to_the_public_interface(sample: SampleFiles, ask) -> None:
    found = json.loads(ask(sample.old, sample.new, "--json", *headers(sample)).out)["findings"]
    severities = {row["subject"]: row["severity"] for row in found}
    assert severities["unused"] == "risk"  # no header declares it
    assert severities["twice"] == "breaking" and severities["LIMIT"] == "breaking"


def test_without_a_compiler(sample: SampleFiles, ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chkshlib, "_compilers", lambda: ())
    answer = ask(sample.so, sample.new_so, *headers(sample))
    assert answer.status == 4 and "struct point: `int z` at byte 8" in answer.out
    assert "headers were read without a C compiler" in answer.out


def test_headers_that_cannot_be_read(sample: SampleFiles, ask, tmp_path: Path) -> None:
    answer = ask(sample.old, sample.new, "--headers", str(tmp_path / "none.h"))
    assert answer.status == 1 and "none.h: no such header file or directory" in answer.err
    bad = tmp_path / "bad.h"
    bad.write_text("#include <no_such_header.h>\n")
    answer = ask(sample.old, sample.new, "--headers", str(bad))
    assert (
        answer.status == 16
        and "nothing could be read of the headers" in answer.out
        and "no_such_header.h" in answer.out
    )
    partly = tmp_path / "partly.h"
    partly.write_text("int twice(int n);\nint norm(int a b);\n")
    answer = ask(sample.old, sample.new, "--headers", str(partly))
    assert answer.status == 4 and f"declaration not understood: {partly}:2:" in answer.flat


def test_defines_and_include_directories(sample: SampleFiles, ask, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "config.h").write_text("#define BASE 4\n")
    header = tmp_path / "lib.h"
    header.write_text("#include <config.h>\n#ifdef WANTED\n#define SUM (BASE + WANTED)\n#endif\nint twice(int n);\n")
    words = [sample.old, sample.patch, "--headers", str(header), "-I", str(tmp_path / "inner"), "-D", "WANTED=3"]
    assert ask(*words).status == 0
    assert ask(*words[:4]).status == 16


# -- programs ----------------------------------------------------------------------------------------------------------


def test_what_it_means_for_programs(sample: SampleFiles, ask) -> None:
    answer = ask(sample.old, sample.minor, "--program", sample.program, "--program", sample.bystander, "--json")
    assert answer.status == 0
    assert [row["verdict"] for row in json.loads(answer.out)["programs"]] == ["unaffected", "unaffected"]
    answer = ask(sample.old, sample.new, "--program", sample.program, "--json")
    row = json.loads(answer.out)["programs"][0]
    assert row["verdict"] == "affected" and row["used"] == 2
    assert any(effect["rule"] == "member-appended" and "norm" in effect["why"] for effect in row["effects"])


def test_fail_on_affected(sample: SampleFiles, ask) -> None:
    words = [sample.so, sample.new_so, *headers(sample), "--fail-on", "affected"]
    assert ask(*words, "--program", sample.bystander).status == 0
    words = [sample.old, sample.new, "--fail-on", "affected", "--program"]
    assert ask(*words, sample.program).status == 4
    assert ask(*words, sample.bystander).status == 4  # twice is in another slot


def test_a_program_and_its_libraries(sample: SampleFiles, ask) -> None:
    answer = ask(sample.program, sample.old)
    assert answer.status == 0 and f"program {sample.program}: unaffected (uses 2 names of the library)" in " ".join(
        answer.out.split()
    )
    answer = ask(sample.program, sample.new)
    assert answer.status == 4 and "calls norm" in answer.out
    answer = ask(sample.bystander, sample.new)
    assert answer.status == 4 and "calls twice" in answer.out
    answer = ask(sample.bystander, sample.minor)
    assert answer.status == 0


def test_a_program_and_libraries_that_are_not_its_own(sample: SampleFiles, ask) -> None:
    for path, said in (
        (sample.other, "was not linked with libother_s"),
        (sample.so, "was not linked with"),
        (sample.i386, "is for x86_64"),
    ):
        answer = ask(sample.program, path)
        assert answer.status == 16 and said in answer.flat, path

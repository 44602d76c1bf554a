"""`uselib inspect` against readelf and nm, its JSON, and files that are damaged or of no kind it knows."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.mkshlib import compile_c, mkshlib, run_program
from support.tools import needs
from uselib.cli import main
from uselib.linker.image import Machine

pytestmark = needs("gcc", "readelf")

SOURCE = """
int datum = 4; void *allocate(int n) { return (void *)(long)n; }
int add(int a, int b) { return a + b + (int)(long)allocate(datum); }
__attribute__((constructor)) static void begin(void) { datum++; }
"""


def made(tmp_path: Path, machine: Machine) -> Path:
    source = compile_c(tmp_path, machine, "member", SOURCE)
    (tmp_path / "t.spec").write_text(
        "#name t\n#version 1.2.3\n#address .text 61000000\n#branch\nadd 1-2\n.empty_slot 3 subtract\n.empty_slot 4\n#interposable allocate\n"
    )
    mkshlib("-s", tmp_path / "t.spec", "--format", "both", "-o", tmp_path, source)
    return tmp_path / "shlib/libt_s.1.2.3"


def facts(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["inspect", "--json", str(path)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["file"] == str(path)
    return dict(result)


def test_target_library(tmp_path: Path, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    path = made(tmp_path, machine)
    read = facts(path, capsys)
    assert read["kind"] == "target library" and read["machine"] == machine.label and read["digest_valid"]
    assert read["library"]["name"] == "libt_s" and read["library"]["version"] == "1.2.3"
    rows = [(row["slot"], row["symbol"], row["empty"]) for row in read["slots"]]
    assert rows == [
        (1, "add", False),
        (2, "add", False),
        (3, "subtract", True),
        (4, "slot4", True),
        (5, "allocate", False),
    ]
    assert read["slots"][0]["instruction"] == f"jmp {read['slots'][0]['target']:#x}"
    assert read["slots"][2]["instruction"] == "ud2"
    assert [row["target_symbol"] for row in read["slots"]] == ["add$impl", "add$impl", "", "", "allocate$thunk"]
    assert [row["name"] for row in read["data"]] == ["datum"]
    assert len(read["init_array"]) == 1
    # the same addresses as nm's
    nm = subprocess.run(["nm", str(path)], capture_output=True, text=True, check=True).stdout
    address = {line.split()[-1]: int(line.split()[0], 16) for line in nm.splitlines()}
    assert address["add"] == read["slots"][1]["address"]
    assert address["add$impl"] == read["slots"][0]["target"]
    assert address["subtract$empty"] == read["slots"][2]["address"]
    assert address["begin"] == read["init_array"][0]
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "libt_s 1.2.3" in shown and "(empty: subtract)" in shown and "allocate -> allocate$thunk" in shown
    assert "was changed" not in shown


def test_changed_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = made(tmp_path, Machine.X86_64)
    data = bytearray(path.read_bytes())
    data[0x808] ^= 1  # in the second slot
    path.write_bytes(data)
    assert not facts(path, capsys)["digest_valid"]
    assert main(["inspect", str(path)]) == 0
    assert "it was changed after it was made" in capsys.readouterr().out


def test_stub_library(tmp_path: Path, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, machine)
    archive, directory = facts(tmp_path / "lib/libt_s.a", capsys), facts(tmp_path / "lib/libt_s", capsys)
    for read in (archive, directory):
        assert read["kind"] == "stub library" and read["file_name"] == "libt_s.1.2.3"
        members = {member["name"]: member for member in read["members"]}
        assert set(members) == {"LIBRARY NAME", "library.o", "member.o"}
        symbols = {row["name"]: row for row in members["member.o"]["symbols"]}
        assert symbols["add"]["place"] == "absolute" and symbols["add"]["value"] == 0x61000808
        assert symbols["__NEEDS_SHRLIB_libt_s"]["place"] == "undefined"
        assert symbols["allocate"]["binding"] == "weak"  # a program may define it
    assert main(["inspect", str(tmp_path / "lib/libt_s.a")]) == 0
    assert "A  add" in capsys.readouterr().out


def test_program_of_gnu_ld(tmp_path: Path, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    path = made(tmp_path, machine)
    program = "int add(int, int); int main_(void) { put_number(add(1, 2)); return 0; }"
    assert run_program(tmp_path, machine, program, [path], [tmp_path / "lib/libt_s.a"]) == "8\n"
    capsys.readouterr()
    # without start-up files nothing ends .lib: that is damage, and said so
    assert main(["inspect", str(tmp_path / "program")]) == 1
    assert ".lib" in capsys.readouterr().err
    end = compile_c(tmp_path, machine, "end.s", '.section .lib,"aR"\n.byte 0\n')
    run_program(tmp_path, machine, program, [path], [tmp_path / "lib/libt_s.a", end])
    read = facts(tmp_path / "program", capsys)
    assert read["kind"] == "program" and read["libraries"] == ["libt_s.1.2.3"]
    assert [who["name"] for who in read["needs"]] == ["libt_s"]


def test_objects_and_plain_archives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    member = compile_c(tmp_path, Machine.I386, "member", SOURCE)
    read = facts(member, capsys)
    assert read["kind"] == "object" and read["machine"] == "i386"
    assert {row["name"] for row in read["symbols"]} == {"datum", "allocate", "add"}
    subprocess.run(["ar", "rcs", str(tmp_path / "lib.a"), str(member)], check=True)
    read = facts(tmp_path / "lib.a", capsys)
    assert read["kind"] == "archive" and [m["name"] for m in read["members"]] == ["member.o"]
    assert main(["inspect", str(member), str(tmp_path / "lib.a")]) == 0


def test_what_it_does_not_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").write_bytes(b"")
    for name, message in (
        ("text", "is neither an archive nor a file of a format that is known here"),
        ("empty", "is neither an archive nor a file of a format that is known here"),
        (".", "is a directory without a `LIBRARY NAME`"),
        ("absent", "No such file"),
    ):
        assert main(["inspect", str(tmp_path / name)]) == 1
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1


def test_damaged_files(tmp_path: Path, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    library = made(tmp_path, machine)
    random.seed(4)
    bad = tmp_path / "bad"
    for path in (library, tmp_path / "lib/libt_s.a", tmp_path / "member.o"):
        good = path.read_bytes()
        for trial in range(80):
            data = bytearray(good)
            if trial % 2:
                data = data[: random.randrange(len(data))]
            else:
                for _ in range(3):  # mostly in the headers, where it hurts
                    data[random.randrange(min(0x400, len(data)) if trial % 4 else len(data))] ^= 1 << random.randrange(
                        8
                    )
            bad.write_bytes(data)
            assert main(["inspect", str(bad)]) in (0, 1)
            said = capsys.readouterr().err
            assert not said or said.startswith("uselib: ")

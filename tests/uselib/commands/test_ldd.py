"""`uselib ldd`: what it says is what start-up does; and why each other file is not used."""

import json
import os
import random
import shutil
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.programs import build, source
from support.tools import NATIVE, native
from support.versions import PATHS, TREES, kit, make_tree, message, patched, start
from uselib.cli import main
from uselib.commands import ldd
from uselib.linker.versions import RULES
from uselib.loader.libraries.dependencies import Refusal


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.delenv("USELIB_VERSION_RULE", raising=False)
    monkeypatch.chdir(tmp_path)


def facts(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    status = main(["ldd", "--json", *map(str, words)])
    read = json.loads(capsys.readouterr().out)
    assert isinstance(read, dict) and status == (0 if read["starts"] else 1)
    return read


def text(capsys: pytest.CaptureFixture[str], *words: str | Path) -> list[str]:
    main(["ldd", *map(str, words)])
    return capsys.readouterr().out.splitlines()


@native
def test_agrees_with_start_up(arch: str) -> None:
    """Any directories, any rule: ldd says whether the program starts, and if not, in which words it does not."""
    made = kit(arch, "mmap")
    content = made.foo.read_bytes()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(tree=TREES, path=PATHS, rule=st.sampled_from(list(RULES)))
    def compare(tree: dict[str, dict[str, str] | str | None], path: str, rule: str) -> None:
        with tempfile.TemporaryDirectory(prefix="uselib-ldd-") as name:
            make_tree(Path(name), tree, content)
            status, said = start(made.program, Path(name), LD_LIBRARY_PATH=path, USELIB_VERSION_RULE=rule)
            os.chdir(name)
            options = ldd._parser().parse_args([str(made.program), "--library-path", path, "--rule", rule])
            found = ldd.facts_of(ldd.report(options))
            os.chdir("/")
            assert found["starts"] is (status == 7)
            assert said == (f"{found['message']}\n" if found["message"] else "")
            library = found["libraries"][0]
            used = [candidate["path"] for candidate in library["candidates"] if candidate["used"]]
            assert used == ([library["path"]] if found["starts"] else [])
            for candidate in library["candidates"]:
                assert candidate["used"] or candidate["reasons"], candidate

    compare()


def install(place: Path, content: bytes, *versions: str) -> None:
    place.mkdir(exist_ok=True)
    for version in versions:
        (place / f"libfoo_s.{version}").write_bytes(patched(content, version))


def test_every_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = kit("x86_64", "mmap")
    content = made.foo.read_bytes()
    place, later = tmp_path / "r1", tmp_path / "r2"
    install(place, content, "1.1.9", "1.3.0", "2.0.0", "1.2.1", "1.2.2")
    install(later, content, "1.9.0")
    (place / "libfoo_s.1.3.1").write_bytes(patched(content, "1.3.1", machine=3))
    (place / "libfoo_s.1.3.2").write_bytes(content[:700])
    (place / "libfoo_s.1.3.3").write_bytes(patched(content, "1.3.3", base=0x62000000))
    (place / "libfoo_s.1.3.4").write_bytes(patched(content, "1.3.4", slots=1))
    (place / "libfoo_s.1.3.5").write_bytes(b"#!/bin/sh\n")
    (place / "libfoo_s.1.3.6").write_bytes(patched(content, "1.0.0"))
    (place / "libfoo_s.1.3.7").symlink_to("gone")
    (place / "libfoo_s.1.3.8").symlink_to("libfoo_s.1.3.8")
    shutil.copy(made.bar, place / "libfoo_s.1.3.9")
    shadowed = "shadowed"
    expected = {
        "r1/libfoo_s.1.1.9": ["lower-minor"],
        "r1/libfoo_s.1.2.1": [],
        "r1/libfoo_s.1.2.2": [shadowed],
        "r1/libfoo_s.1.3.0": [shadowed],
        "r1/libfoo_s.2.0.0": ["major"],
        "r2/libfoo_s.1.9.0": [shadowed],
        "r1/libfoo_s.1.3.1": [shadowed, "wrong-machine"],
        "r1/libfoo_s.1.3.2": [shadowed, "truncated"],
        "r1/libfoo_s.1.3.3": [shadowed, "other-base"],
        "r1/libfoo_s.1.3.4": [shadowed, "fewer-slots"],
        "r1/libfoo_s.1.3.5": [shadowed, "bad-format"],
        "r1/libfoo_s.1.3.6": [shadowed, "header-version"],
        "r1/libfoo_s.1.3.7": [shadowed, "dangling"],
        "r1/libfoo_s.1.3.8": [shadowed, "cycle"],
        "r1/libfoo_s.1.3.9": [shadowed, "other-library"],
    }
    found = facts(capsys, made.program)
    listed = {
        c["path"].replace("//", "/"): [r["code"] for r in c["reasons"]] for c in found["libraries"][0]["candidates"]
    }
    assert listed == expected
    assert found["libraries"][0]["same_build"] is True
    (place / "libfoo_s.1.2.1").unlink()
    found = facts(capsys, made.program)  # 1.3.9 is another library, and start-up goes no further
    assert (
        found["message"]
        == "can't load library 'r1/libfoo_s.1.3.9'\n\tExec format error: another library has this name."
    )
    found = facts(capsys, "--rule", "exact-minor", made.program)
    codes = {c["path"]: [r["code"] for r in c["reasons"]] for c in found["libraries"][0]["candidates"]}
    assert codes["r1/libfoo_s.1.3.0"] == ["other-minor"] and codes["r1/libfoo_s.1.2.2"] == []
    found = facts(capsys, "--rule", "exact", made.program)
    codes = {c["path"]: [r["code"] for r in c["reasons"]] for c in found["libraries"][0]["candidates"]}
    assert codes["r1/libfoo_s.1.2.2"] == ["rule"] and not found["starts"]


def test_links_and_what_goes_before_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = kit("x86_64", "mmap")
    for place in ("r1", "r2"):
        install(tmp_path / place, made.foo.read_bytes(), "1.2.1", "1.2.0")
        (tmp_path / place / "libfoo_s.1").symlink_to("libfoo_s.1.2.1")
        (tmp_path / place / "libfoo_s.1.2").symlink_to("gone" if place == "r1" else "libfoo_s.1.2.1")
    words = ["--library-path", "r1:r2", "--rule", "linux", made.program]
    listed = [
        (c["path"], [r["code"] for r in c["reasons"]]) for c in facts(capsys, *words)["libraries"][0]["candidates"]
    ]
    assert listed[:8] == [
        ("r1/libfoo_s.1.2", ["dangling"]),
        ("r1/libfoo_s.1", []),
        ("r1/libfoo_s.1.2.1", ["rule"]),
        ("r1/libfoo_s.1.2.0", ["lower-patch"]),
        ("r2/libfoo_s.1.2", ["shadowed"]),
        ("r2/libfoo_s.1", ["shadowed"]),
        ("r2/libfoo_s.1.2.1", ["rule"]),
        ("r2/libfoo_s.1.2.0", ["lower-patch"]),
    ]
    (tmp_path / "r1" / "libfoo_s.1.2.1").unlink()
    listed = [
        (c["path"], [r["code"] for r in c["reasons"]])
        for c in facts(capsys, made.program)["libraries"][0]["candidates"]
    ]
    assert listed == [
        ("r1/libfoo_s.1.2.0", ["shadowed"]),
        ("r2/libfoo_s.1.2.1", []),
        ("r2/libfoo_s.1.2.0", ["shadowed"]),
    ]


def test_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = kit("i386", "mmap")
    install(tmp_path / "r1", made.foo.read_bytes(), "1.3.0", "2.0.0")
    shutil.copy(made.bar, tmp_path / "r1")
    assert text(capsys, made.both) == [
        f"{made.both}: i386, scheme mmap, rule default",
        "  libbar_s.1.0.0 => r1/libbar_s.1.0.0 (1.0.0 at 0x61400000)",
        "  libfoo_s.1.2.1 => r1/libfoo_s.1.3.0 (1.3.0 at 0x61000000)  (for libbar_s.1.0.0)",
        "      r1/libfoo_s.2.0.0: wrong major version",
    ]
    shown = "\n".join(text(capsys, "-v", "--library-path", "/none:e1", made.both))
    assert "  LD_LIBRARY_PATH: /none:e1; recorded path: r1:r2/" in shown
    assert "      /none: No such file or directory\n" in shown and "      linked with 1.2.1; this build\n" in shown
    (tmp_path / "r1" / "libfoo_s.1.3.0").write_bytes(b"")
    lines = text(capsys, made.both)
    assert lines[2] == "  libfoo_s.1.2.1 => r1/libfoo_s.1.3.0: Exec format error.  (for libbar_s.1.0.0)"
    assert lines[-1] == "  will not start: can't load library 'r1/libfoo_s.1.3.0': Exec format error."
    (tmp_path / "r1" / "libfoo_s.1.3.0").unlink()
    lines = text(capsys, made.both)
    assert (
        lines[2]
        == "  libfoo_s.1.2.1 => not found: No such library. (there is 2.0.0, needs 1.2.1)  (for libbar_s.1.0.0)"
    )


def test_permission_to_execute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """uselib(2), which the emulator has, wants it; start-up on kernels without that call does not."""
    made = kit("i386", "uselib")
    install(tmp_path / "r1", made.foo.read_bytes(), "1.3.0")
    assert text(capsys, made.program)[1:] == [
        "  libfoo_s.1.2.1 => r1/libfoo_s.1.3.0 (1.3.0 at 0x61000000)",
        "      not executable: uselib(2) refuses it, and so does `uselib run`",
    ]
    assert main(["run", str(made.program)]) == 128
    (tmp_path / "r1" / "libfoo_s.1.3.0").chmod(0o755)
    assert len(text(capsys, made.program)) == 2 and main(["run", str(made.program)]) == 7


def test_where_the_rule_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = kit("i386", "uselib")
    assert (facts(capsys, made.program)["rule"], facts(capsys, made.program)["rule_from"]) == ("default", None)
    monkeypatch.setenv("USELIB_VERSION_RULE", "sun")
    assert text(capsys, made.program)[0].endswith("rule sun (from the environment)")
    assert text(capsys, made.program, "--rule", "linux")[0].endswith("rule linux (from the option)")
    monkeypatch.setenv("USELIB_VERSION_RULE", "newest")
    assert main(["ldd", str(made.program)]) == 2
    said = capsys.readouterr().err
    assert (
        said
        == "uselib: USELIB_VERSION_RULE: `newest` is not a version rule; write default, exact, sun, exact-minor, linux\n"
    )


def test_sysroot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Absolute paths that do not exist are looked for below it, and links stay within it, as in `uselib run`."""
    made = kit("x86_64", "mmap")
    root = tmp_path / "root"
    install(tmp_path / "store", made.foo.read_bytes(), "1.2.4")
    (root / "opt" / "foo").mkdir(parents=True)
    shutil.copy(tmp_path / "store" / "libfoo_s.1.2.4", root / "opt" / "foo")
    (root / "uselib-none").symlink_to("/opt/../opt/foo")
    (root / "opt" / "foo" / "libfoo_s.1.2.5").symlink_to("/opt/foo/libfoo_s.1.2.4")
    words = ["--library-path", "/uselib-none", str(made.program)]
    assert not facts(capsys, *words)["starts"]
    assert facts(capsys, "--sysroot", root, *words)["libraries"][0]["path"] == "/uselib-none/libfoo_s.1.2.5"
    assert main(["run", "--sysroot", str(root), "--env", "LD_LIBRARY_PATH=/uselib-none", str(made.program)]) == 7
    (root / "loop").symlink_to("loop")
    assert not facts(capsys, "--sysroot", root, "--library-path", "/loop", made.program)["starts"]
    assert main(["ldd", "--sysroot", str(tmp_path / "none"), str(made.program)]) == 2
    assert capsys.readouterr().err == f"uselib: {tmp_path}/none: --sysroot: is not a directory\n"


def test_secure_execution(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What LD_LIBRARY_PATH says does not count for a set-user-ID program of another user; ldd and start-up agree."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a set-user-ID program of another user")
    made = kit("x86_64", "mmap")
    program = tmp_path / "set-id"
    shutil.copy(made.program, program)
    install(tmp_path / "e1", made.foo.read_bytes(), "1.2.1")
    monkeypatch.setenv("LD_LIBRARY_PATH", "e1")
    monkeypatch.setenv("USELIB_VERSION_RULE", "sun")
    program.chmod(0o4755)
    lines = text(capsys, program)
    assert lines[1] == "  set-user-ID, but that changes nothing for this user: LD_LIBRARY_PATH is honoured"
    assert facts(capsys, program)["starts"]
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    for directory in (tmp_path, *tmp_path.parents):
        if os.stat(directory).st_mode & 0o55 != 0o55:
            os.chmod(directory, os.stat(directory).st_mode | 0o55)
    if os.statvfs(tmp_path).f_flag & os.ST_NOSUID:
        pytest.skip("the file system has no set-user-ID programs")
    lines = text(capsys, program)
    assert lines[:2] == [
        f"{program}: x86_64, scheme mmap, rule default",
        "  set-user-ID: LD_LIBRARY_PATH and USELIB_VERSION_RULE are ignored (secure execution)",
    ]
    found = facts(capsys, program)
    assert (found["secure"], found["starts"], found["library_path"]) == (True, False, "")
    if NATIVE:
        status, said = start(program, tmp_path, LD_LIBRARY_PATH="e1", USELIB_VERSION_RULE="sun")
        assert (status, said) == (128, f"{found['message']}\n")
        assert "No such library." in said


def test_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = kit("x86_64", "mmap")
    static = build(tmp_path / "static", "x86_64", "static", source(tmp_path / "s.c", "int main(void) { return 0; }\n"))
    assert main(["ldd", str(static)]) == 0
    assert capsys.readouterr().out == f"{static}: uses no shared libraries\n"
    assert text(capsys, made.foo) == [f"{made.foo}: uses no shared libraries"]
    lines = text(capsys, "--library-path", made.foo.parent, made.bar)  # a library: what it refers to
    assert lines[1] == f"  libfoo_s.1.2.1 => {made.foo} (1.2.1 at 0x61000000)"
    capsys.readouterr()
    (tmp_path / "text").write_text("hello")
    errors = {"none": "none: No such file or directory", "text": "text: ", str(tmp_path): f"{tmp_path}: Is a directory"}
    for name, begin in errors.items():
        assert main(["ldd", name]) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"uselib: {begin}") and said.count("\n") == 1
    for arguments in ([], ["--rule", "x", str(made.program)]):
        try:
            status = main(["ldd", *arguments])
        except SystemExit as end:
            status = int(end.code or 0)
        assert status == 2


def test_without_section_headers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Start-up needs none; ldd goes by the notes then, and says so."""
    made = kit("x86_64", "mmap")
    data = bytearray(made.both.read_bytes())
    struct.pack_into("<Q", data, 40, 0)
    struct.pack_into("<HH", data, 60, 0, 0)
    (tmp_path / "bare").write_bytes(data)
    (tmp_path / "bare").chmod(0o755)
    lines = text(capsys, "--library-path", made.foo.parent, tmp_path / "bare")
    assert (
        lines[1] == "  it has no section headers: recorded path and rule cannot be read; its notes name these libraries"
    )
    assert [line.split()[0] for line in lines[2:]] == ["libbar_s.1.0.0", "libfoo_s.1.2.1"]
    if NATIVE:
        assert start(tmp_path / "bare", tmp_path, LD_LIBRARY_PATH=str(made.foo.parent)) == (8, "")


def test_damaged_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the bytes of the program are: a report or one line."""
    made = kit("i386", "mmap")
    good = made.both.read_bytes()
    program = tmp_path / "damaged"
    flips = random.Random(5)
    for _ in range(120):
        data = bytearray(good)
        for _ in range(flips.choice([1, 1, 3])):
            data[flips.randrange(min(len(data), 6000))] ^= 1 << flips.randrange(8)
        program.write_bytes(data[: flips.randrange(len(data))] if flips.random() < 0.2 else data)
        status = main(["ldd", str(program)])
        captured = capsys.readouterr()
        assert status in (0, 1, 2) and "internal error" not in captured.err
        assert captured.err.count("\n") <= 3


def test_messages() -> None:
    assert message(Refusal("a", "b")) == "can't load library 'a'\n\tb\n" and message(None) == ""

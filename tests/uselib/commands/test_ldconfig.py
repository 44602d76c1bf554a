"""`uselib ldconfig` and `uselib map scan`: symbolic links to the newest versions, and what is wrong in a directory."""

import json
import os
import random
import shutil
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.tools import NATIVE, native
from support.versions import kit, make_library, patched, start
from uselib.cli import main
from uselib.linker.errors import ToolError
from uselib.linker.versions import split_name
from uselib.loader.libraries.installed import Link, inspect, overlaps, read_directory
from uselib.loader.libraries.links import Action, Step, carry_out, plan


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SHLIB_MAP", raising=False)
    monkeypatch.chdir(tmp_path)


def content(arch: str = "x86_64") -> bytes:
    return kit(arch, "mmap").foo.read_bytes()


def install(place: Path, *versions: str, arch: str = "x86_64") -> Path:
    place.mkdir(exist_ok=True)
    for version in versions:
        (place / f"libfoo_s.{version}").write_bytes(patched(content(arch), version))
    return place


def links(place: Path) -> dict[str, str]:
    return {path.name: os.readlink(path) for path in sorted(place.iterdir()) if path.is_symlink()}


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    status = main(["ldconfig", *map(str, words)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_makes_changes_and_removes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = install(tmp_path / "shlib", "1.2.1", "1.2.3", "1.10.0", "2.0.0")
    expected = {
        "libfoo_s.1": "libfoo_s.1.10.0",
        "libfoo_s.1.10": "libfoo_s.1.10.0",
        "libfoo_s.1.2": "libfoo_s.1.2.3",
        "libfoo_s.2": "libfoo_s.2.0.0",
        "libfoo_s.2.0": "libfoo_s.2.0.0",
    }
    status, said, complaints = run(capsys, "-n", "shlib")
    assert links(place) == {} and status == 0  # a dry run changes nothing
    assert said.splitlines() == [
        "shlib:",
        *(f"    {name} -> {target} (to be made)" for name, target in sorted(expected.items())),
    ]
    assert run(capsys, "shlib") == (0, "", "") and links(place) == expected
    (place / "libfoo_s.1.10.0").unlink()
    (place / "libfoo_s.2.0.0").unlink()
    status, said, complaints = run(capsys, "-v", "shlib")
    assert said.splitlines() == [
        "shlib:",
        "    libfoo_s.1 -> libfoo_s.1.2.3 (changed)",
        "    libfoo_s.1.10 -> libfoo_s.1.10.0 (removed)",
        "    libfoo_s.1.2 -> libfoo_s.1.2.3 (unchanged)",
        "    libfoo_s.2 -> libfoo_s.2.0.0 (removed)",
        "    libfoo_s.2.0 -> libfoo_s.2.0.0 (removed)",
    ]
    assert links(place) == {"libfoo_s.1": "libfoo_s.1.2.3", "libfoo_s.1.2": "libfoo_s.1.2.3"}
    assert sorted(path.name for path in place.iterdir() if not path.is_symlink()) == [
        "libfoo_s.1.2.1",
        "libfoo_s.1.2.3",
    ]
    assert (status, complaints) == (0, "")


def test_rule_linux_uses_the_links(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Upgrade as Linux did it: install, ldconfig, and the old program runs with the new version."""
    if not NATIVE:
        pytest.skip("runs programs natively")
    made = kit("i386", "mmap")
    place = install(tmp_path / "r1", "1.2.1", arch="i386")
    run(capsys, "r1")
    assert start(made.program, tmp_path, USELIB_VERSION_RULE="linux") == (7, "")
    install(place, "1.3.0", arch="i386")
    (place / "libfoo_s.1.2.1").unlink()
    assert start(made.program, tmp_path, USELIB_VERSION_RULE="linux")[0] == 128  # the links dangle
    run(capsys, "r1")
    assert start(made.program, tmp_path, USELIB_VERSION_RULE="linux") == (7, "")


def test_print_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path / "shlib", "1.2.1", "1.3.0")
    status, said, _ = run(capsys, "-p", "shlib")
    assert said.splitlines() == [
        "shlib: 2 libraries",
        "    libfoo_s.1.2.1 (x86_64, 0x61000000-0x61000fff, 2 slots) <= libfoo_s.1.2",
        "    libfoo_s.1.3.0 (x86_64, 0x61000000-0x61000fff, 2 slots) <= libfoo_s.1, libfoo_s.1.3",
    ]
    status, said, _ = run(capsys, "--json", "shlib")
    facts = json.loads(said)
    assert status == 0 and facts["format"] == 1 and facts["overlaps"] == []
    assert facts["directories"][0]["links"][0] == {"name": "libfoo_s.1", "target": "libfoo_s.1.3.0", "action": "keep"}
    assert facts["directories"][0]["libraries"][0]["base"] == 0x61000000


def test_foreign_files_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ordinary shared objects and their links, other links, and files that stand where a link should be."""
    place = install(tmp_path / "lib", "1.2.1")
    (place / "libz.so.1.2.13").write_bytes(b"\x7fELF whatever")
    (place / "libz.so.1").symlink_to("libz.so.1.2.12")  # dangles, but it is not ours
    (place / "python3.11").symlink_to("gone")
    (place / "libold_s.3").symlink_to("../elsewhere/libold_s.3.0.0")
    (place / "libold_s.4").symlink_to("libold_s.5.0.0")
    (place / "libfoo_s.1").write_text("not a link")
    (place / "libfoo_s.9").mkdir()
    before = links(place)
    assert run(capsys, "lib") == (
        1,
        "",
        "uselib: lib/libfoo_s.1: is not a symbolic link; it should lead to libfoo_s.1.2.1; remove it\n",
    )
    assert links(place) == {**before, "libfoo_s.1.2": "libfoo_s.1.2.1"}
    assert (place / "libfoo_s.1").read_text() == "not a link" and (place / "libfoo_s.9").is_dir()


BAD: dict[str, tuple[bytes | None, str]] = {
    "text": (b"#!/bin/sh\n", "is not a shared library"),
    "empty": (b"", "is not a shared library"),
    "other": (None, "says it is libfoo_s 1.2.1"),
    "cut": (None, "is truncated: shorter than its header says"),
    "dangling": (None, "is a dangling symbolic link"),
    "cycle": (None, "is a symbolic link that leads to itself"),
    "directory": (None, "is not a regular file"),
    "fifo": (None, "is not a regular file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_damaged_libraries(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No link leads to what no program can use; the newest whole version serves."""
    place = install(tmp_path / "shlib", "1.2.1")
    path = place / "libfoo_s.1.9.0"
    data, problem = BAD[kind]
    if kind == "other":
        path.write_bytes(content())
    elif kind == "cut":
        path.write_bytes(patched(content(), "1.9.0")[:700])
    elif kind in ("dangling", "cycle"):
        path.symlink_to("gone" if kind == "dangling" else path.name)
    elif kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes(data or b"")
    warning = f"uselib: warning: shlib/libfoo_s.1.9.0: {problem}; no link leads to it\n"
    assert run(capsys, "shlib") == (0, "", warning)
    assert links(place)["libfoo_s.1"] == "libfoo_s.1.2.1" and "libfoo_s.1.9" not in links(place)


def test_cycles_are_replaced_or_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = install(tmp_path / "shlib", "1.2.1")
    (place / "libfoo_s.1").symlink_to("libfoo_s.1.2")
    (place / "libfoo_s.1.2").symlink_to("libfoo_s.1")
    (place / "libbar_s.1").symlink_to("libbar_s.1")
    status, _, said = run(capsys, "shlib")
    assert (status, said) == (1, "uselib: shlib/libbar_s.1: is a symbolic link that leads to itself; remove it\n")
    assert links(place) == {
        "libbar_s.1": "libbar_s.1",
        "libfoo_s.1": "libfoo_s.1.2.1",
        "libfoo_s.1.2": "libfoo_s.1.2.1",
    }


def test_bad_directories(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets its line, and the others are done all the same."""
    place = install(tmp_path / "shlib", "1.2.1")
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    status, _, said = run(capsys, "none", "file", "loop", "a\nb", "shlib")
    assert status == 1 and said.splitlines() == [
        "uselib: none: No such file or directory",
        "uselib: file: Not a directory",
        "uselib: loop: Too many levels of symbolic links",
        "uselib: a\\x0ab: No such file or directory",
    ]
    assert len(links(place)) == 2

    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    (place / "libfoo_s.1").unlink()
    monkeypatch.setattr(os, "symlink", refuse)
    assert run(capsys, "shlib") == (1, "", "uselib: shlib/libfoo_s.1: cannot be made: Permission denied\n")
    (place / "libfoo_s.1.2.1").unlink()
    monkeypatch.setattr(os, "unlink", refuse)
    assert run(capsys, "shlib") == (1, "", "uselib: shlib/libfoo_s.1.2: cannot be removed: Permission denied\n")
    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(ToolError, match=r"^shlib: Permission denied$"):
        read_directory("shlib")


def test_hostile_names(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Control characters, bytes that are no UTF-8, names of the greatest length: nothing breaks lines or ends the run."""
    place = install(tmp_path / "shlib", "1.2.1")
    for name in (
        b"lib\n\x1b[31m_s.1.0.0",
        b"lib\xff\xfe_s.1.0.0",
        b"x" * 244 + b"_s.1.0.0",
        b"-rf_s.1.0.0",
        b"_s.1.0.0",
        b".1.0.0",
    ):
        (place / os.fsdecode(name)).write_bytes(b"")
    os.symlink(b"\xff\n", os.fsencode(place / "lib\x1b_s.2"))
    assert main(["ldconfig", "-v", "-p", str(place)]) == 0
    captured = capfd.readouterr()
    assert "\x1b" not in captured.out + captured.err and "lib\\x0a\\x1b[31m_s.1.0.0" in captured.err
    assert (
        all(line.startswith("uselib: warning: ") for line in captured.err.splitlines())
        and captured.err.count("\n") == 5
    )
    assert links(place)["libfoo_s.1"] == "libfoo_s.1.2.1"


def test_a_failed_rename_leaves_no_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = install(tmp_path / "shlib", "1.2.1")
    (place / "libfoo_s.1").symlink_to("libfoo_s.1.2.0")
    steps = list(plan(read_directory(str(place))))
    assert [step.action for step in steps] == [Action.CHANGE, Action.MAKE]

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="No space left"):
        carry_out(str(place), steps[0])
    assert links(place) == {"libfoo_s.1": "libfoo_s.1.2.0"}


VERSION = st.sampled_from(["1.0.0", "1.0.1", "1.1.0", "1.10.0", "2.0.0"])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.frozensets(VERSION, max_size=4), min_size=1, max_size=3))
def test_any_history(history: list[frozenset[str]]) -> None:
    """Whatever was installed before: afterwards exactly the links of what is there now, each to its newest; and a second
    run finds nothing to do."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for versions in history:
            for path in place.iterdir():
                if split_name(path.name):
                    path.unlink()
            install(place, *versions)
            for step in plan(read_directory(name)):
                carry_out(name, step)
            numbers = {tuple(int(part) for part in version.split(".")) for version in versions}
            expected = {}
            for length in (1, 2):
                for prefix in {number[:length] for number in numbers}:
                    newest = max(number for number in numbers if number[:length] == prefix)
                    expected[".".join(["libfoo_s", *map(str, prefix)])] = ".".join(["libfoo_s", *map(str, newest)])
            assert links(place) == expected
            assert all(step.action is Action.KEEP for step in plan(read_directory(name)))


def test_flipped_bits(tmp_path: Path) -> None:
    """Whatever is in a library: it is whole, or there is a reason why not."""
    place = install(tmp_path / "shlib", "1.2.1")
    good = (place / "libfoo_s.1.2.1").read_bytes()
    flips = random.Random(11)
    for _ in range(400):
        data = bytearray(good)
        for _ in range(flips.choice([1, 2, 8])):
            data[flips.randrange(700)] ^= 1 << flips.randrange(8)
        (place / "libfoo_s.1.2.1").write_bytes(data[: flips.randrange(len(data))] if flips.random() < 0.2 else data)
        contents = read_directory(str(place))
        library = contents.libraries[0]
        assert (library.header is None) is bool(library.problem)
        assert len(list(plan(contents))) == (0 if library.problem else 2)
        assert overlaps(contents.libraries) == ()


@native
def test_programs_start_while_links_change(tmp_path: Path) -> None:
    """There is no moment without a link."""
    made = kit("x86_64", "mmap")
    place = install(tmp_path / "r1", "1.2.1")
    stop = threading.Event()

    def keep_changing() -> None:
        while not stop.is_set():
            install(tmp_path / "new", "1.3.0")
            os.rename(tmp_path / "new" / "libfoo_s.1.3.0", place / "libfoo_s.1.3.0")
            for _ in range(2):
                for step in plan(read_directory(str(place))):
                    if step.action is not Action.REMOVE:
                        carry_out(str(place), step)
                for name in ("libfoo_s.1", "libfoo_s.1.2"):  # as another ldconfig sees it that knows of 1.2.1 only
                    carry_out(str(place), Step(Action.CHANGE, name, "libfoo_s.1.2.1"))
            (place / "libfoo_s.1.3.0").unlink()

    for step in plan(read_directory(str(place))):
        carry_out(str(place), step)
    thread = threading.Thread(target=keep_changing)
    thread.start()
    try:
        for _ in range(100):
            assert start(made.program, tmp_path, USELIB_VERSION_RULE="linux") == (7, "")
    finally:
        stop.set()
        thread.join()


def test_overlaps_and_mixed_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path / "a", "1.2.1", "2.0.0")
    made = make_library(tmp_path / "b", "x86_64", "baz", "int baz(void) { return 1; }\n", "1.0.0", base=0x61000000)
    assert run(capsys, "a", made.parent) == (
        0,
        "",
        f"uselib: warning: ldconfig: a/libfoo_s.1.2.1 at 0x61000000-0x61000fff overlaps {made} at "
        "0x61000000-0x61000fff: no program can use both; `uselib map` finds a free address\n",
    )
    install(tmp_path / "a", "1.5.0", arch="i386")
    _, _, said = run(capsys, "a")
    assert said == (
        "uselib: warning: a/libfoo_s.1.5.0: is for i386, libfoo_s.1.2.1 for x86_64; keep a directory for each machine\n"
    )


def test_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before a version is removed: what would the programs say?"""
    made = kit("x86_64", "mmap")
    place = install(tmp_path / "shlib", "1.2.1")
    shutil.copy(made.bar, place)
    words = ["shlib", "--program", made.both]
    assert run(capsys, *words)[:2] == (
        0,
        f"{made.both}: rule default\n    libbar_s.1.0.0 => shlib/libbar_s.1.0.0\n    libfoo_s.1.2.1 => shlib/libfoo_s.1.2.1\n",
    )
    (place / "libfoo_s.1.2.1").unlink()
    status, said, _ = run(capsys, *words)
    assert status == 1 and "    libfoo_s.1.2.1 => not found\n    will not start: can't load library" in said
    assert main(["ldconfig", "shlib", "--program", "none"]) == 1
    assert capsys.readouterr().err.endswith("uselib: none: No such file or directory\n")


def test_map_scan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The registry against what is installed."""
    place = install(tmp_path / "shlib", "1.2.1")
    shutil.copy(kit("x86_64", "mmap").bar, place)
    (tmp_path / "shlib.map").write_text("libfoo_s 1 0x61000000 0x400000\nlibqux_s 2 0x61400000 0x400000\n")
    assert main(["map", "scan", "shlib"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "shlib/libbar_s.1.0.0: is not registered, and its addresses belong to libqux_s 2",
        "shlib/libfoo_s.1.2.1: as registered at 0x61000000",
        "libqux_s 2: registered at 0x61400000, not installed",
    ]
    (tmp_path / "shlib.map").write_text("libfoo_s 1 0x62000000 0x400000\nlibbar_s 1 0x61400000 0x400000\n")
    assert main(["map", "scan", "shlib", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)["installed"]
    assert [row["problem"] for row in rows] == [None, "lies at 0x61000000; line 1 says 0x62000000"]
    (tmp_path / "shlib.map").write_text("libfoo_s 1 0x61000000 0x400000\nlibbar_s 1 0x61400000 0x400000\n")
    assert main(["map", "scan", "shlib"]) == 0
    capsys.readouterr()
    assert main(["map", "scan", "none"]) == 1
    assert capsys.readouterr().err == "uselib: none: No such file or directory\n"


def test_inspect_and_links(tmp_path: Path) -> None:
    place = install(tmp_path / "shlib", "1.2.1")
    parts = split_name("libfoo_s.1.2.1")
    assert parts is not None
    found = inspect(str(place / "libfoo_s.1.2.1"), *parts)
    assert found.header is not None and found.problem == "" and found.header.identity.file_name == "libfoo_s.1.2.1"
    (place / "libfoo_s.1").symlink_to("gone")
    assert read_directory(str(place)).links == (Link("libfoo_s.1", "libfoo_s", (1,), "gone", 2),)

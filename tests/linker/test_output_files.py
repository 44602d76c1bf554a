"""The files that a command writes: all of them whole, or none (linker/writing.py); and names that cannot be seen."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import aout, coff
from support.command import environment, uselib
from uselib.linker.errors import LinkError, file_of
from uselib.linker.library import specification
from uselib.linker.writing import OutputFile, write_together
from uselib.loader.libraries.links import sweep


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() if path.is_file() else b"" for path in folder.iterdir()}


def files(folder: Path, *names: str) -> list[OutputFile]:
    return [OutputFile(str(folder / name), f"new {name}".encode()) for name in names]


def test_all_are_written(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("old")
    write_together(files(tmp_path, "a", "b", "c"))
    assert content(tmp_path) == {"a": b"new a", "b": b"new b", "c": b"new c"}


@pytest.mark.parametrize("bad", ["none/x", "directory"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_none_if_one_cannot_be_written(bad: str, place: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "directory").mkdir()
    names = ["a", "b"]
    names.insert(place, bad)
    with pytest.raises(LinkError, match=rf"{bad}: cannot be written: (No such file|Is a directory)"):
        write_together(files(tmp_path, *names))
    assert content(tmp_path) == {"a": b"old", "directory": b""}


def test_a_full_disk_leaves_none(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    with pytest.raises(LinkError, match="/dev/full: cannot be written: No space left"):
        write_together([*files(tmp_path, "a"), OutputFile("/dev/full", bytes(1 << 21))])
    assert content(tmp_path) == {}


UNSEEN = {"NUL": "\0", "U+202E": "\u202e", "ESC": "\x1b", "U+200B": "\u200b", "U+0085": "\x85"}


@pytest.mark.parametrize("character", UNSEEN.values(), ids=UNSEEN.keys())
def test_a_specification_with_what_cannot_be_seen(character: str) -> None:
    with pytest.raises(LinkError) as caught:
        specification.parse(f"#name foo\n#hide linker\n\tfo{character}o\n", "spec")
    assert f"spec:3: has the invisible character U+{ord(character):04X}; remove it" in str(caught.value)


def without(folder: Path, before: set[str]) -> set[str]:
    return {path.name for path in folder.iterdir()} - before


def test_coff_files_together(tmp_path: Path) -> None:
    """One line, and neither a target library nor a host library without the other."""
    coff.make_kit(tmp_path)
    (tmp_path / "libx_s").unlink(), (tmp_path / "libx.a").unlink()
    before = {path.name for path in tmp_path.iterdir()}
    (tmp_path / "spec").write_text(coff.SPEC.replace("my_alloc", "my_\u202ealloc"))
    done = uselib("mkshlib", "--format", "coff", "-s", "spec", "-o", ".", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith(
        "uselib: spec:12: has the invisible character U+202E"
    )
    (tmp_path / "spec").write_text(coff.SPEC)
    (tmp_path / "libx_s").mkdir()
    done = uselib("mkshlib", "--format", "coff", "-s", "spec", "-o", ".", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "uselib: libx_s: cannot be written: Is a directory\n")
    assert without(tmp_path, before) == {"libx_s"}


def test_aout_files_together(tmp_path: Path) -> None:
    aout.make_kit(tmp_path)
    (tmp_path / "libcount.sa").unlink(), (tmp_path / "libcount.so.1.2.3").unlink()
    before = {path.name for path in tmp_path.iterdir()}
    aout.control(tmp_path, params=aout.PARAMS.replace("/lib", "/l\0ib"))
    done = aout.make_library(tmp_path, tmp_path / "count.o")
    assert done.returncode == 1 and "has the invisible character U+0000; remove it" in done.stderr
    aout.control(tmp_path)
    (tmp_path / "libcount.so.1.2.3").mkdir()
    done = aout.make_library(tmp_path, tmp_path / "count.o")
    assert done.returncode == 1 and "libcount.so.1.2.3: cannot be written: Is a directory" in done.stderr
    assert without(tmp_path, before) == {"libcount.so.1.2.3"}


def test_a_file_name_in_bytes() -> None:
    """The kernel part of the emulator names files by bytes: no b'x' in a message."""
    assert file_of(OSError(errno.ENOENT, "no", b"a\xff")) == os.fsdecode(b"a\xff")
    assert file_of(OSError(errno.ENOENT, "no", "a")) == "a" and file_of(OSError(errno.ENOENT, "no")) == ""


def test_ldconfig_sweeps_what_a_killed_one_left(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead, alive = int(ended.stdout), os.getpid()
    names = [f".libc_s.1.{dead}.0123abcd", f".libc_s.1.2.{dead}.0123abcd", f".libc_s.1.{alive}.0123abcd", ".other.1.2"]
    for name in names:
        (tmp_path / name).symlink_to("libc_s.1.2.3")
    (tmp_path / f".libx_s.1.{dead}.0123abcd").write_text("a file, and not ours")
    sweep(str(tmp_path))
    assert sorted(content(tmp_path)) == sorted([*names[2:], f".libx_s.1.{dead}.0123abcd"])


def test_interrupt_while_a_command_is_imported(tmp_path: Path) -> None:
    """A module that is slow to import stands for all: status 130 and no traceback."""
    code = (
        "import importlib, os, signal, sys\n"
        "import uselib.cli as cli\n"
        "def slow(name): os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(5)\n"
        "importlib.import_module = slow\n"
        "sys.exit(cli.main(['inspect', 'x']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (130, "")

"""How start-up reads directories: not at all where the recorded name is there, else once, however many and large they are."""

import os
import re
import shutil
from pathlib import Path

import pytest

from support.tools import NATIVE, SHARED, native
from support.versions import kit, patched, predicted, start
from uselib.cli import main


def traced(program: Path, capfd: pytest.CaptureFixture[str], **environment: str) -> list[str]:
    """The names of the system calls that open and read directories, with what they are asked."""
    words = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
    main(["run", "--strace", *words, str(program)])
    lines = capfd.readouterr().err.splitlines()
    return [line for line in lines if re.search(r"O_DIRECTORY|getdents64", line)]


def test_directories_are_read_once(
    arch: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = kit(arch, "mmap")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    for place in ("e1", "r1"):
        (tmp_path / place).mkdir()
    shutil.copy(made.foo, tmp_path / "r1")
    shutil.copy(made.bar, tmp_path / "r1")
    assert traced(made.both, capfd) == []  # the recorded names are there
    for rule in ("exact", "linux"):
        assert traced(made.both, capfd, LD_LIBRARY_PATH="e1", USELIB_VERSION_RULE=rule) == []
    # two libraries are looked for in e1, which has neither: it is opened once and read to its end once
    calls = traced(made.both, capfd, LD_LIBRARY_PATH="e1")
    assert [call.count('"e1/"') for call in calls] == [1, 0, 0] and "getdents64" in calls[1]
    (tmp_path / "r1" / "libfoo_s.1.2.1").rename(tmp_path / "r1" / "libfoo_s.1.2.2")
    calls = traced(made.both, capfd, LD_LIBRARY_PATH="e1")
    assert [call.count('"e1/"') + 2 * call.count('"r1/"') for call in calls] == [1, 0, 0, 2, 0, 0]


def test_the_recorded_name_goes_first_on_each_path(
    arch: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the recorded directories the build that the program was linked with, wherever it is; but LD_LIBRARY_PATH goes
    before them all, with whatever serves."""
    made = kit(arch, "mmap")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    for place, name in (("e1", "1.4.0"), ("e2", "1.2.1"), ("r1", "1.3.0"), ("r2", "1.2.1")):
        (tmp_path / place).mkdir()
        (tmp_path / place / f"libfoo_s.{name}").write_bytes(b"")
    for path, taken in (("", "r2/libfoo_s.1.2.1"), ("e1", "e1/libfoo_s.1.4.0"), ("e1:e2", "e2/libfoo_s.1.2.1")):
        said = predicted(made.program, tmp_path, "default", "mmap", path)
        assert said == f"can't load library '{taken}'\n\tExec format error.\n"
        if NATIVE:
            assert start(made.program, tmp_path, LD_LIBRARY_PATH=path) == (128, said)
        assert len(traced(made.program, capfd, LD_LIBRARY_PATH=path)) == (3 if path == "e1" else 0)
    assert "'r1/libfoo_s.1.3.0'" in predicted(made.program, tmp_path, "sun", "mmap")


def fill(place: Path, count: int, length: int) -> None:
    for number in range(count):
        (place / f"lib{number:0{length}d}_s.1.2.1").write_bytes(b"")


@native
@pytest.mark.parametrize("scheme", SHARED)
def test_many_and_large(arch: str, scheme: str, tmp_path: Path) -> None:
    """More names than start-up keeps, more directories than it remembers, names of the greatest length."""
    made = kit(arch, scheme)
    places = [f"d{number}" for number in range(24)]
    for number, place in enumerate(places):
        (tmp_path / place).mkdir()
        fill(tmp_path / place, *((900, 20) if number in (0, 20) else (40, 200) if number in (1, 2, 3) else (3, 8)))
    path = ":".join(places)
    status, said = start(made.both, tmp_path, LD_LIBRARY_PATH=path)
    assert (status, said) == (128, predicted(made.both, tmp_path, "default", scheme, path))
    shutil.copy(made.bar, tmp_path / "d20" / "libbar_s.1.0.7")
    (tmp_path / "d20" / "libbar_s.1.0.7").write_bytes(patched(made.bar.read_bytes(), "1.0.7"))
    (tmp_path / "d22" / "libfoo_s.1.9.0").write_bytes(patched(made.foo.read_bytes(), "1.9.0"))
    assert start(made.both, tmp_path, LD_LIBRARY_PATH=path) == (8, "")
    (tmp_path / "d0" / "libfoo_s.1.8.0").symlink_to("gone")
    (tmp_path / "d0" / "libfoo_s.1.7.0").symlink_to(os.path.abspath(made.foo))
    assert start(made.both, tmp_path, LD_LIBRARY_PATH=path) == (8, "")
    (tmp_path / "d20" / "libbar_s.1.2.0").write_bytes(b"")
    status, said = start(made.both, tmp_path, LD_LIBRARY_PATH=path)
    assert (status, said) == (128, "can't load library 'd20/libbar_s.1.2.0'\n\tExec format error.\n")


@native
def test_a_directory_that_may_not_be_listed(tmp_path: Path) -> None:
    """Names in it can be opened all the same; otherwise it is passed over."""
    if os.geteuid() != 0:
        pytest.skip("needs another user")
    if not all(os.stat(folder).st_mode & 0o1 for folder in Path(__file__).resolve().parents):
        pytest.skip("the project lies where another user may not read")
    made = kit("x86_64", "mmap")
    (tmp_path / "r1").mkdir()
    (tmp_path / "r2").mkdir()
    (tmp_path / "r2" / "libfoo_s.1.2.9").write_bytes(made.foo.read_bytes())
    (tmp_path / "r1" / "libfoo_s.1.2.9").write_bytes(b"")
    shutil.copy(made.program, tmp_path / "p")
    for directory in (tmp_path, *tmp_path.parents):
        if os.stat(directory).st_mode & 0o55 != 0o55:
            os.chmod(directory, os.stat(directory).st_mode | 0o55)
    (tmp_path / "r1").chmod(0o711)
    (tmp_path / "p").chmod(0o755)
    predicted(tmp_path / "p", tmp_path, "default", "mmap")  # imports what the other user may not be able to read
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            listed = (
                start(tmp_path / "p", tmp_path) == (7, "")
                and predicted(tmp_path / "p", tmp_path, "default", "mmap") == ""
            )
            os._exit(0 if listed else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0

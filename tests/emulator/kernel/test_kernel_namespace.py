"""Path resolution against the host kernel's own: openat2(2) with RESOLVE_IN_ROOT does what `--root` promises."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uselib.emulator.kernel.constants import O_CREAT, O_PATH, O_WRONLY
from uselib.emulator.kernel.errors import GuestError, errno_name
from uselib.emulator.kernel.vfs import entries, inodes
from uselib.emulator.kernel.vfs import namespace as namespace_module
from uselib.emulator.kernel.vfs.filesystem import FileSystem
from uselib.emulator.kernel.vfs.namespace import Namespace
from uselib.emulator.kernel.vfs.open_files import open_file
from uselib.emulator.kernel.vfs.places import Found

SYS_OPENAT2 = 437
RESOLVE_IN_ROOT = 0x10
RESOLVE_NO_MAGICLINKS = 0x02
libc = ctypes.CDLL(None, use_errno=True)


def openat2(root: int, path: bytes, flags: int) -> int:
    """Raises OSError."""
    how = struct.pack("<QQQ", flags | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    fd = libc.syscall(SYS_OPENAT2, root, ctypes.c_char_p(path), ctypes.c_char_p(how), len(how))
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return fd


@pytest.fixture(scope="module", autouse=True)
def need_openat2() -> None:
    root = os.open("/", os.O_PATH)
    try:
        os.close(openat2(root, b"/", os.O_PATH))
    except OSError as failure:
        pytest.skip(f"openat2 is not available: {failure}")
    finally:
        os.close(root)


NAMES = st.sampled_from(["a", "b", "c", "d", "l", "m", "n"])
PARTS = st.one_of(NAMES, st.sampled_from(["..", ".", "", "..", "x"]))
PATHS = st.builds(
    lambda absolute, parts, slash: ("/" if absolute else "") + "/".join(parts) + ("/" if slash else ""),
    st.booleans(),
    st.lists(PARTS, min_size=1, max_size=6),
    st.booleans(),
)
# (where, what): "d" a directory, "f" a file, or the target of a link
ENTRIES = st.lists(
    st.tuples(st.lists(NAMES, min_size=1, max_size=3), st.one_of(st.just("d"), st.just("f"), PATHS)), max_size=14
)


def build(root: Path, entries: list[tuple[list[str], str]]) -> None:
    for parts, what in entries:
        place = root
        for part in parts[:-1]:
            place /= part
            if place.is_symlink() or (place.exists() and not place.is_dir()):
                break
            place.mkdir(exist_ok=True)
        else:
            target = place / parts[-1]
            if target.is_symlink() or target.exists():
                continue
            if what == "d":
                target.mkdir()
            elif what == "f":
                target.write_bytes(b"")
            elif what:
                target.symlink_to(what)


def identity(found: Found) -> tuple[int, int]:
    handle = found.directory.handle if found.directory is not None else found.handle
    assert handle is not None
    status = os.fstat(handle.fd)
    return status.st_dev, status.st_ino


def ours(namespace: Namespace, path: bytes, follow: bool) -> tuple[int, int] | str:
    try:
        found = namespace.resolve(namespace.top(), path, follow)
        return identity(found) if found.exists else "ENOENT"
    except GuestError as failure:
        return errno_name(failure.errno)


def kernels(root: int, path: bytes, follow: bool) -> tuple[int, int] | str:
    try:
        fd = openat2(root, path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
    except OSError as failure:
        return errno.errorcode[failure.errno or 0]
    status = os.fstat(fd)
    os.close(fd)
    return status.st_dev, status.st_ino


@pytest.fixture
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="namespace"))
    yield made
    shutil.rmtree(made)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(entries=ENTRIES, paths=st.lists(PATHS, min_size=1, max_size=12))
@pytest.mark.parametrize("strides", [True, False], ids=["strides", "steps"])
def test_like_the_kernel(strides: bool, entries: list[tuple[list[str], str]], paths: list[str]) -> None:
    """With and without the host's openat2 as a short cut."""
    with mock.patch.object(namespace_module, "available", lambda: strides), tempfile.TemporaryDirectory() as name:
        root = Path(name)
        build(root, entries)
        namespace = Namespace.build(root=name)
        fd = os.open(name, os.O_PATH)
        try:
            for path in map(os.fsencode, paths):
                if not path:
                    continue
                for follow in (True, False):
                    assert ours(namespace, path, follow) == kernels(fd, path, follow), (path, follow)
        finally:
            os.close(fd)


def changes(files: FileSystem, old: bytes, new: bytes) -> list[Callable[[], object]]:
    return [
        lambda: os.close(open_file(files, None, old, O_CREAT | O_WRONLY, 0o666).fd),
        lambda: entries.symlink(files, new, None, old),
        lambda: entries.rename(files, None, old, None, new),
        lambda: entries.link(files, None, old, None, new, True),
        lambda: inodes.chmod(files, None, old, 0o700),
        lambda: inodes.truncate(files, None, old, 0),
        lambda: entries.mkdir(files, None, old, 0o755),
        lambda: entries.unlink(files, None, old),
        lambda: entries.rmdir(files, None, old),
        lambda: os.close(open_file(files, None, old, O_PATH, 0).fd),
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(entries=ENTRIES, paths=st.lists(PATHS, min_size=1, max_size=8))
def test_changes_stay_inside(entries: list[tuple[list[str], str]], paths: list[str]) -> None:
    """Creating, removing and renaming below a writable directory full of links does not change the directory beside it."""
    with tempfile.TemporaryDirectory() as name:
        inside, outside = Path(name) / "inside", Path(name) / "outside"
        inside.mkdir()
        outside.mkdir()
        for letter in "abcdlmn":
            (outside / letter).write_bytes(b"kept")
        build(inside, entries)
        for letter in "lmn":
            if not (inside / letter).is_symlink() and not (inside / letter).exists():
                (inside / letter).symlink_to(f"../outside/{letter}")
        files = FileSystem(Namespace.build(cwd=str(inside), writable=[str(inside)]), os.fsencode(inside))
        for first, second in zip(paths, [*paths[1:], paths[0]], strict=True):
            old, new = os.fsencode(first), os.fsencode(second)
            for action in changes(files, old, new):
                try:
                    action()
                except (GuestError, OSError):
                    continue
        assert sorted(path.name for path in Path(name).iterdir()) == ["inside", "outside"]
        assert {path.name: path.read_bytes() for path in outside.iterdir()} == dict.fromkeys("abcdlmn", b"kept")


def test_dotdot_after_the_directory_moved(directory: Path) -> None:
    """The directory that a guest stands in is renamed; `..` still ends within the grant."""
    (directory / "a/b").mkdir(parents=True)
    files = FileSystem(Namespace.build(cwd=str(directory), writable=[str(directory)]), os.fsencode(directory / "a/b"))
    (directory / "a/b").rename(directory / "c")
    files.existing(None, b"..")
    assert files.cwd.handle is not None
    assert os.fstat(files.cwd.handle.fd).st_ino == (directory / "c").stat().st_ino

"""A hostile program tries more than fifty ways out (tests/programs/hostile/escapes.c): the host's tree is the same afterwards, the program
has read nothing that it was not granted, and a process of the host's lives."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from support.command import uselib
from support.paths import ROOT
from support.programs import musl_program

SOURCE = (ROOT / "tests" / "programs" / "hostile" / "escapes.c").read_text()
SECRET = "the secret of the host"
LEAST = 50
"""Attempts; fewer would mean that the program's table was cut."""

Seen = dict[str, tuple[int, int, int, bytes, dict[str, bytes]]]


def seen(top: Path) -> Seen:
    """Path -> mode, owner, time of the last change, contents or target, extended attributes."""
    found: Seen = {}
    for path in [top, *sorted(top.rglob("*"))]:
        status = path.lstat()
        content = b""
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = os.fsencode(os.readlink(path))
        names = os.listxattr(path, follow_symlinks=False)
        attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
        found[str(path)] = (status.st_mode, status.st_uid, status.st_mtime_ns, content, attributes)
    return found


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """outside/ with a secret and a socket; work/, which is granted."""
    for name in ("outside/empty", "work"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "outside/secret").write_text(SECRET + "\n")
    (tmp_path / "outside/link").symlink_to("secret")
    (tmp_path / "outside/program").write_text("#!/bin/cat secret\n")
    (tmp_path / "outside/program").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    "sandbox", [(), pytest.param(("--no-sandbox",), marks=pytest.mark.slow)], ids=["", "emulator alone"]
)
def test_no_attempt_gets_out(world: Path, arch: str, sandbox: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    program = musl_program(SOURCE, arch, world, "escapes")
    outside = world / "outside"
    monkeypatch.chdir(outside)  # the name of a socket has at most 107 bytes
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket")
    listener.listen()
    listener.setblocking(False)
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        before = seen(outside)
        words = ["run", *sandbox, "--writable", ".", program, outside, str(bystander.pid)]
        ran = uselib(*words, cwd=world / "work", timeout=100)
        assert bystander.poll() is None
        assert os.getpriority(os.PRIO_PROCESS, bystander.pid) == os.getpriority(os.PRIO_PROCESS, 0)
        with pytest.raises(BlockingIOError):
            listener.accept()
    finally:
        bystander.kill()
        bystander.wait()
        listener.close()
    lines = ran.stdout.splitlines()
    assert (lines[-1:], ran.returncode) == (["the end"], 0), ran.stderr
    assert len([line for line in lines if ": " in line]) >= LEAST
    assert "secret" not in ran.stdout.replace(": ", "") and SECRET not in ran.stderr
    assert seen(outside) == before
    kept = [path for path in (world / "work").rglob("*") if path.is_file() and not path.is_symlink()]
    assert kept and not any(SECRET.encode() in path.read_bytes() for path in kept)
    modes = [path.stat().st_mode for path in kept]
    assert not any(mode & (stat.S_ISUID | stat.S_ISGID) for mode in modes)
    assert "Traceback" not in ran.stderr


def test_a_secret_that_comes_out_is_seen(world: Path) -> None:
    """The check above can fail: with a grant the program finds what it looks for."""
    program = musl_program(SOURCE, "x86_64", world, "escapes")
    ran = uselib(
        "run", "--readable", world / "outside", program, world / "outside", "1", cwd=world / "work", timeout=100
    )
    assert SECRET in ran.stdout

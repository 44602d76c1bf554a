"""The host's kernel holds back an emulator that has been subverted: its own system calls reach nothing that was not granted."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import environment, uselib
from support.programs import musl_program
from uselib.emulator.kernel.families import FAMILIES
from uselib.emulator.sandbox import landlock, seccomp
from uselib.emulator.sandbox import system_calls as calls

VERSION = landlock.version()
pytestmark = pytest.mark.skipif(
    not VERSION or os.uname().machine != "x86_64", reason="the kernel has no Landlock, or the host is not x86-64"
)
OF_SIGNALS = {"kill", "tgkill", "pidfd", "parent"}

COPY = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int c, char **v)
{
	char line[64] = "";
	if (c < 3) { puts("guest"); return 0; }
	int in = open(v[1], O_RDONLY), out = open(v[2], O_CREAT | O_WRONLY, 0600), status;
	int size = read(in, line, sizeof line);
	write(out, line, size);
	fchmod(out, 0640);
	if (!fork()) { rename(v[2], "moved"); execl(v[0], v[0], (char *)0); _exit(9); }
	wait(&status);
	printf("%d bytes, child %d\n", size, status);
	return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return musl_program(COPY, "x86_64", tmp_path_factory.mktemp("copy"))


@pytest.mark.parametrize("grants", [(), ("--writable", "granted")], ids=["nothing", "writable"])
def test_calls_of_the_process_itself(program: Path, grants: tuple[str, ...], tmp_path: Path) -> None:
    outside, work = tmp_path / "outside", tmp_path / "work"
    outside.mkdir()
    (work / "granted").mkdir(parents=True)
    (outside / "there").write_text("kept")
    (outside / "secret").write_text("secret")
    before = sorted(path.name for path in outside.iterdir())
    bystander = subprocess.Popen(["sleep", "100"])
    try:
        done = subprocess.run(
            [
                sys.executable,
                Path(__file__).with_name("attempts.py"),
                program,
                outside / "secret",
                outside,
                str(bystander.pid),
                *grants,
            ],
            cwd=work,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    *lines, last = done.stdout.splitlines()
    assert (last, done.returncode) == ("guest", 0), done.stderr
    errors = {name: int(number) for name, number in (line.split() for line in lines)}
    assert len(errors) == 33
    carried_out = {name for name, number in errors.items() if number == 0}
    assert carried_out <= (set() if VERSION >= landlock.SCOPES_SINCE else OF_SIGNALS), errors
    assert set(errors.values()) <= {errno.EPERM, errno.EACCES, errno.EXDEV}, errors
    assert sorted(path.name for path in outside.iterdir()) == before
    assert (outside / "there").read_text() == "kept"


def test_what_is_granted_works(program: Path, tmp_path: Path) -> None:
    """Reading, writing, modes, renaming, fork and the guest's execve."""
    (tmp_path / "in").write_text("content")
    ran = uselib("run", "--writable", ".", program, "in", "out", cwd=tmp_path)
    assert (ran.stdout, ran.returncode) == ("guest\n7 bytes, child 0\n", 0), ran.stderr
    assert (tmp_path / "moved").read_text() == "content"
    assert (tmp_path / "moved").stat().st_mode & 0o777 == 0o640


WAITS = r"""
#include <stdio.h>
#include <unistd.h>
int main(void) { puts("ready"); fflush(stdout); char c; return read(0, &c, 1) != 0; }
"""


def test_recording_with_prototypes_is_confined(tmp_path: Path) -> None:
    """The files of --prototypes are read before: the kernel says what holds for the process while the program runs."""
    waits = musl_program(WAITS, "x86_64", tmp_path)
    (tmp_path / "own.h").write_text("int own(int number);\n")
    words = ["trace", "record", "-o", tmp_path / "trace", "--prototypes", tmp_path / "own.h", waits]
    with subprocess.Popen(
        [sys.executable, "-m", "uselib.cli", *words],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        status = Path(f"/proc/{process.pid}/status").read_text()
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        process.stdin.close()
        assert process.wait() == 0
    rows = {line[:26].strip(): line[26:].split() for line in limits.splitlines()}
    assert all(
        rows[name][:2] == ["0", "0"] for name in ("Max core file size", "Max locked memory", "Max realtime priority")
    )
    assert rows["Max open files"][0] == rows["Max open files"][1]
    assert "\nSeccomp:\t2\n" in status and "\nNoNewPrivs:\t1\n" in status


def test_it_is_explained(program: Path) -> None:
    ran = uselib("run", "--explain-confinement", program)
    assert ran.returncode == 0
    assert f"Landlock {VERSION}: files are opened only where the options grant it" in ran.stdout
    assert "seccomp: on; no execve" in ran.stdout
    assert "not for `uselib abi probe`" in ran.stdout
    assert "guest" not in ran.stdout
    off = uselib("run", "--explain-confinement", "--no-sandbox", program)
    assert off.stdout == "sandbox: off (--no-sandbox); the emulator alone confines the program\n"


def test_without_landlock_it_says_so(monkeypatch: pytest.MonkeyPatch, program: Path, tmp_path: Path) -> None:
    """Another process, whose kernel is said to have none."""
    script = (
        "import sys; from uselib.emulator.sandbox import landlock; landlock.version = lambda: 0\n"
        "sys.modules['__main__'].__file__ = 'uselib'; sys.argv.insert(1, 'run')\n"
        "from uselib.commands.run import run; sys.exit(run(['--explain-confinement', sys.argv[2]]))"
    )
    done = subprocess.run([sys.executable, "-c", script, program], capture_output=True, text=True, env=environment())
    assert "Landlock: not to be had from this kernel" in done.stdout and "seccomp: on" in done.stdout


def test_the_api_leaves_its_process_alone(program: Path) -> None:
    script = "import os, sys; from uselib import Program; Program(sys.argv[1]).run(); os.listdir('/'); os.execv('/bin/echo', ['echo', 'free'])"
    done = subprocess.run([sys.executable, "-c", script, program], capture_output=True, text=True, env=environment())
    assert done.stdout.endswith("free\n"), done.stderr


def test_each_call_is_named_once() -> None:
    rows = calls.numbers(calls.ALWAYS, calls.LOOKING, calls.CHANGING, calls.SOCKETS, calls.SIGNALS)
    rows += [*calls.CONDITIONAL, *calls.ABSENT]
    assert len(rows) == len(set(rows))
    assert len(seccomp.program(rows, {}, ())) // 8 <= 4096  # BPF_MAXINSNS


def test_a_checkout_gets_its_byte_code_before_it_is_confined(program: Path, tmp_path: Path) -> None:
    """An import after that has to compile a module that has none."""
    cache = tmp_path / "cache"
    cache.mkdir()
    outer = {**environment(), "PYTHONPYCACHEPREFIX": str(cache)}
    outer.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "uselib.cli", "run", str(program)]
    assert subprocess.run(command, env=outer, capture_output=True, timeout=100).stdout == b"guest\n"
    kept = {path.name.split(".")[0] for path in cache.rglob("calls/*.pyc")}
    assert kept - {"__init__"} == set(FAMILIES)
    ran = subprocess.run([command[0], "-v", *command[1:]], env=outer, capture_output=True, text=True, timeout=100)
    used = set(re.findall(r"^import 'uselib\.emulator\.kernel\.calls\.(\w+)'", ran.stderr, re.MULTILINE))
    assert ran.stdout == "guest\n" and "execve" in used and not used & {"sockets", "ipc", "xattrs", "timers"}

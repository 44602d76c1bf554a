"""Options of `uselib run`, and programs that cannot be started: one line, the right status."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command import uselib
from support.programs import musl_program

SHOW = r"""
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
extern char **environ;
int main(int c, char **v)
{
	unsigned r = 0;
	getrandom(&r, sizeof r, 0);
	for (int i = 0; i < c; i++) printf("<%s>", v[i]);
	for (int i = 0; environ[i]; i++) printf("[%s]", environ[i]);
	printf(" %u %ld %p\n", r, (long)time(0), (void *)&r);
	return 42;
}
"""


@pytest.fixture(scope="module")
def program(arch: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return musl_program(SHOW, arch, tmp_path_factory.mktemp("options"), "show")


def test_arguments_environment_status(program: Path) -> None:
    done = uselib("run", "--env", "A=b=c", "--env", "HOME=/h", "--argv0", "zero", "--", program, "-x", "--env", "")
    assert done.returncode == 42
    assert done.stdout.startswith("<zero><-x><--env><>[PATH=/usr/local/bin:/usr/bin:/bin][HOME=/h][LANG=C][A=b=c]")


def test_runs_are_reproducible(program: Path) -> None:
    first = uselib("run", program).stdout
    assert uselib("run", program).stdout == first
    assert uselib("run", "--seed", "7", program).stdout != first
    assert uselib("run", "--realtime", program).stdout != first


def test_library_path_becomes_ld_library_path(program: Path, tmp_path: Path) -> None:
    done = uselib("run", "--library-path", f"{tmp_path}:/nowhere", program)
    assert f"[LD_LIBRARY_PATH={tmp_path}:/nowhere]" in done.stdout


def test_script(program: Path, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"#! {program} one two \nrest\n")
    script.chmod(0o755)
    done = uselib("run", "--readable", program, script, "three")
    assert done.stdout.startswith(f"<{program}><one two><{script}><three>")


def test_usage_errors() -> None:
    for words, message in (
        (["--bogus", "x"], "uselib: --bogus: no such option; see `uselib run --help`\n"),
        ([], "uselib: no program given; usage: uselib run [OPTIONS] PROG [ARGUMENTS]\n"),
        (["--max-seconds"], "uselib: --max-seconds: needs a value (S)\n"),
        (["--max-seconds", "-1", "x"], "uselib: --max-seconds: `-1` is not a value for S\n"),
        (["--strace=1", "x"], "uselib: --strace: takes no value\n"),
        (["--sysroot", "/nowhere", "x"], "uselib: /nowhere: is not a directory (--sysroot)\n"),
        (["--env", "novalue", "/bin/true"], "uselib: --env: `novalue` is not NAME=VALUE\n"),
    ):
        done = uselib("run", *words)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


def test_programs_that_cannot_start(program: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("text")
    short = tmp_path / "short"
    short.write_bytes(program.read_bytes()[:100])
    text = tmp_path / "text"
    text.write_text("text")
    for path in (short, text):
        path.chmod(0o755)
    for path, message in (
        (tmp_path / "none", "No such file or directory"),
        (plain, "Permission denied"),
        (tmp_path, "Permission denied"),
    ):
        done = uselib("run", path)
        assert (done.returncode, done.stderr) == (1, f"uselib: {path}: {message}\n")
    for path in (short, text):
        done = uselib("run", path)
        assert done.returncode == 1
        assert done.stderr.startswith(f"uselib: {path}: ") and done.stderr.count("\n") == 1


def test_damaged_programs_never_give_a_traceback(program: Path, tmp_path: Path) -> None:
    """Bytes of the headers set to 0xff, one at a time. (The readers' own tests cover many more; here is a process each.)"""
    data = program.read_bytes()
    for offset in range(16, 64 + 3 * 56, 15):
        damaged = tmp_path / "damaged"
        damaged.write_bytes(data[:offset] + b"\xff" + data[offset + 1 :])
        damaged.chmod(0o755)
        done = uselib("run", "--max-seconds", "5", "--max-memory", "500", damaged)
        assert "Traceback" not in done.stderr and "internal" not in done.stderr, (offset, done.stderr)

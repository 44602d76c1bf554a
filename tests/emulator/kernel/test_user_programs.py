"""Programs that print what their user may do (`--user`) print the same natively, as the user who runs the tests, and emulated."""

from __future__ import annotations

import difflib
import os
import subprocess
from pathlib import Path

import pytest

from support import paths
from support.command import uselib
from support.programs import musl_program
from support.tools import native

PROGRAMS = paths.PROGRAMS / "user_programs"


@native
@pytest.mark.parametrize("name", sorted(path.stem for path in PROGRAMS.glob("*.c")))
def test_same_natively_and_emulated(name: str, arch: str, tmp_path: Path) -> None:
    program = musl_program((PROGRAMS / f"{name}.c").read_text(), arch, tmp_path)
    works = [tmp_path / way for way in ("native", "emulated")]
    for work in works:
        work.mkdir()
    done = subprocess.run([program], cwd=works[0], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    user = f"{os.getuid()}:{os.getgid()}"
    other = uselib("run", "--user", user, "--writable", ".", str(program), cwd=works[1])
    pairs = ((run.stdout + run.stderr).splitlines() for run in (done, other))
    difference = "\n".join(difflib.unified_diff(*pairs, "native", "emulated", n=0, lineterm=""))
    assert not difference and done.returncode == other.returncode, difference


WHO = r"""
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void)
{
	struct stat status;
	stat(".", &status);
	printf("%d %d %d %d\n", getuid(), getgid(), status.st_uid, status.st_gid);
	return 0;
}
"""


@pytest.mark.parametrize(("option", "shown"), [("0", "0 0"), ("7", "7 7"), ("7:8", "7 8")])
def test_who_the_program_is(option: str, shown: str, tmp_path: Path) -> None:
    """The host's user is the guest's: files that it owns belong to the program."""
    program = musl_program(WHO, "x86_64", tmp_path)
    done = uselib("run", "--user", option, str(program), cwd=tmp_path)
    assert (done.stdout, done.stderr) == (f"{shown} {shown}\n", "")


@pytest.mark.parametrize("wrong", ["root", "-1", "1:", "4294967295"])
def test_a_user_is_a_number(wrong: str, tmp_path: Path) -> None:
    done = uselib("run", f"--user={wrong}", "nothing", cwd=tmp_path)
    assert done.returncode != 0 and done.stderr == f"uselib: --user: `{wrong}` is not a value for UID[:GID]\n"

"""Programs that exercise the system calls: the same bytes come out natively and in the emulator, on both machines."""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import paths
from support.command import uselib
from support.paths import ROOT
from support.programs import musl_program

PROGRAMS = paths.PROGRAMS / "kernel_programs"


def outputs(program: Path, directory: Path, *arguments: str) -> tuple[str, str]:
    """(native, emulated), each run in a new directory."""
    found = []
    for name, command in (
        ("native", []),
        ("emulated", [sys.executable, "-m", "uselib.cli", "run", "--writable", "."]),
    ):
        work = directory / name
        work.mkdir()
        done = subprocess.run(
            [*command, str(program), *arguments],
            cwd=work,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=200,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        found.append(
            done.stdout.decode("utf-8", "replace")
            + done.stderr.decode("utf-8", "replace")
            + f"exit {done.returncode}\n"
        )
    return found[0], found[1]


@pytest.mark.parametrize("name", sorted(path.stem for path in PROGRAMS.glob("*.c")))
def test_same_natively_and_emulated(name: str, arch: str, tmp_path: Path) -> None:
    program = musl_program((PROGRAMS / f"{name}.c").read_text(), arch, tmp_path)
    native, emulated = outputs(program, tmp_path)
    difference = "\n".join(
        difflib.unified_diff(native.splitlines(), emulated.splitlines(), "native", "emulated", n=0, lineterm="")
    )
    assert not difference, difference


MOVED = """
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void)
{
	char target[64];
	struct stat status;
	mkdir("a", 0777), mkdir("a/b", 0777);
	int below = open("a/b", O_PATH | O_DIRECTORY);
	rename("a", "moved");
	snprintf(target, sizeof target, "/proc/self/fd/%d/..", below);
	symlink(target, "a");
	printf("%s\\n", fstatat(below, "../x", &status, 0) ? strerror(errno) : "found");
	return 0;
}
"""


def test_links_through_a_moved_directory_end_with_eloop(arch: str, tmp_path: Path) -> None:
    """`..` is looked up by name: here it leads through a link to itself."""
    program = musl_program(MOVED, arch, tmp_path)
    done = uselib("run", "--writable", ".", str(program), cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("Symbolic link loop\n", "", 0)


DEEP = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void)
{
	static char up[4096];
	struct stat here, there;
	int deep = 0, top = open(".", O_RDONLY);
	while (deep < 2000 && !mkdir("d", 0777) && !chdir("d"))
		deep++;
	for (int i = 0; i < 1300; i++)
		strcpy(up + 3 * i, "../");
	printf("%d %d\\n", deep, stat(up, &here));
	for (int i = 0; i < 1300; i++)
		chdir("..");
	printf("%d\\n", !stat(".", &there) && here.st_ino == there.st_ino);
	for (; deep > 1300; deep--)
		chdir("..");
	fstat(top, &there), stat(".", &here);
	printf("%d\\n", here.st_ino == there.st_ino);
	return 0;
}
"""


def test_a_path_of_thousands_of_directories(tmp_path: Path) -> None:
    """The `..`s of a path do not each walk from the root: 1,300 of them would take minutes."""
    program = musl_program(DEEP, "x86_64", tmp_path)
    try:
        native, emulated = outputs(program, tmp_path)
    finally:  # deeper than pytest could remove
        subprocess.run(["rm", "-rf", *tmp_path.glob("*/d")], check=True)
    assert native == emulated == "2000 0\n1\n1\nexit 0\n"


KILLED = """
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
	for (int number = 31; number < 36; number++) {
		int status = 0, child = fork();
		if (!child) {
			syscall(SYS_kill, getpid(), number);
			_exit(7);
		}
		waitpid(child, &status, 0);
		printf("%d: %x\\n", number, status & ~0x80);
		fflush(stdout);
	}
	return 0;
}
"""


def test_signals_that_the_hosts_c_library_keeps(arch: str, tmp_path: Path) -> None:
    """A child that signal 32 or 33 kills has that status, and not a traceback."""
    program = musl_program(KILLED, arch, tmp_path)
    done = uselib("run", str(program), cwd=tmp_path)
    assert done.stdout == "31: 1f\n32: 20\n33: 21\n34: 22\n35: 23\n" and done.returncode == 0
    assert len(done.stderr.splitlines()) == 5 and "Traceback" not in done.stderr


PROCESSES = """
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    struct rlimit two = {2, 2};
    int hold[2];
    pipe(hold);
    printf("%d\\n", setrlimit(RLIMIT_NPROC, &two));
    if (!fork()) { char byte; close(hold[1]); read(hold[0], &byte, 1); _exit(0); }
    pid_t second = fork();
    if (!second) _exit(0);
    printf("%d %d\\n", second, errno == EAGAIN);
    close(hold[1]);
    wait(0);
    second = fork();
    if (!second) _exit(0);
    printf("%d\\n", second > 0);
    return 0;
}
"""


def test_limit_of_processes(arch: str, tmp_path: Path) -> None:
    """Not natively: root has no such limit."""
    program = musl_program(PROCESSES, arch, tmp_path)
    done = uselib("run", program)
    assert done.stdout == "0\n-1 1\n1\n", done.stderr


NICE = """
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
int main(void) { printf("%d", getpriority(PRIO_PROCESS, 0)); return nice(2) != getpriority(PRIO_PROCESS, 0); }
"""


def test_nice_value_is_inherited(arch: str, tmp_path: Path) -> None:
    program = musl_program(NICE, arch, tmp_path)
    emulated = [sys.executable, "-m", "uselib.cli", "run", program]
    for command in ([program], emulated):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(["nice", "-n", "5", *command], capture_output=True, env=environment, timeout=60)
        assert (int(done.stdout), done.returncode) == (min(os.getpriority(os.PRIO_PROCESS, 0) + 5, 19), 0)

"""A guest's signals reach processes of its own, and nobody else: not the process that was given the number of one that has ended."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from support.command import environment, uselib
from support.programs import musl_program

ORPHAN = r"""
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
	int ends[2], orphan = 0, never[2];
	char line[8];
	pipe(ends);
	pipe(never);
	pid_t child = fork();
	if (!child) {
		pid_t grandchild = fork();
		if (!grandchild) { read(never[0], line, 1); _exit(0); }
		write(ends[1], &grandchild, sizeof grandchild);
		_exit(0);
	}
	waitpid(child, 0, 0);
	read(ends[0], &orphan, sizeof orphan);
	printf("there %d\n", kill(orphan, 0));
	printf("not mine %d\n", waitpid(orphan, 0, 0) < 0 ? errno : 0);
	fflush(stdout);
	read(0, line, 1);
	int result = kill(orphan, SIGKILL);
	printf("kill %d %d\n", result, result ? errno : 0);
	return 0;
}
"""

# Process 1 of a new namespace: the guest's orphan ends, its number goes to a process of ours, and the guest kills "the orphan".
FORCED = textwrap.dedent(
    """
    import os, subprocess, sys
    guest = subprocess.Popen([sys.executable, "-m", "uselib.cli", "run", sys.argv[1]], stdin=-1, stdout=-1, text=True)
    shown = [guest.stdout.readline(), guest.stdout.readline()]
    def parent(pid):
        return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    orphan, = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in (1, guest.pid) and parent(name) == 1]
    os.kill(orphan, 9)
    os.waitpid(orphan, 0)
    try:
        with open("/proc/sys/kernel/ns_last_pid", "w") as last:
            last.write(str(orphan - 1))
    except OSError as failure:
        print("cannot", failure)
        os._exit(77)
    bystander = subprocess.Popen(["sleep", "60"])
    if bystander.pid != orphan:
        print("cannot: the number was not given again")
        os._exit(77)
    rest, _ = guest.communicate("x")
    print(*shown, rest, "bystander ", bystander.poll(), sep="")
    bystander.kill()
    """
)


def test_a_number_that_was_given_again_is_somebody_else(arch: str, tmp_path: Path) -> None:
    program = musl_program(ORPHAN, arch, tmp_path)
    if shutil.which("unshare") is None:
        pytest.skip("no unshare(1)")
    done = subprocess.run(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--mount-proc",
            sys.executable,
            "-c",
            FORCED,
            str(program),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"the reuse cannot be forced here: {done.stdout}{done.stderr}")
    assert done.stdout == "there 0\nnot mine 10\nkill -1 3\nbystander None\n", done.stderr


FAMILY = r"""
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static int result(int value) { return value ? errno : 0; }
int main(void)
{
	int status, ends[2];
	pipe(ends);
	printf("alone %d\n", result(kill(-1, 0)) == ESRCH);
	fflush(stdout);
	pid_t child = fork();
	if (!child) { pause(); _exit(1); }
	printf("child %d\n", result(kill(child, 0)));
	kill(-1, SIGTERM);
	siginfo_t info;
	waitid(P_PID, child, &info, WEXITED | WNOWAIT);
	printf("zombie %d\n", result(kill(child, SIGKILL)));
	printf("waited %d", waitpid(child, &status, 0) == child);
	printf(" signal %d\n", WTERMSIG(status));
	printf("gone %d\n", result(kill(child, 0)) == ESRCH);
	printf("outside %d %d\n", result(kill(1, SIGKILL)) == EPERM, result(kill(-77, SIGKILL)) == ESRCH);
	return 0;
}
"""


def test_who_is_there(arch: str, tmp_path: Path) -> None:
    """kill(-1) reaches everybody else; a child that was not waited for is there; process 1 of the host is not."""
    ran = uselib("run", musl_program(FAMILY, arch, tmp_path))
    assert ran.stdout == "alone 1\nchild 0\nzombie 0\nwaited 1 signal 15\ngone 1\noutside 1 1\n"

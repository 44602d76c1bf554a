"""Jobs at a terminal: Ctrl-C, Ctrl-Z and a shell with job control behave the same natively and emulated."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from support.paths import ROOT
from support.programs import musl_program
from support.tools import native, needs

LIMIT = 60  # s without any output
JOB = "job: "

FOREGROUND = r"""
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static volatile int got;
static void on(int number) { got++; }
int main(void)
{
	int status;
	signal(SIGINT, on), signal(SIGTTOU, SIG_IGN);
	pid_t child = fork();
	if (!child) {
		setpgid(0, 0), tcsetpgrp(0, getpid()), signal(SIGINT, SIG_DFL);
		puts("ready"), fflush(stdout);
		for (;;)
			pause();
	}
	setpgid(child, child), tcsetpgrp(0, child);
	while (waitpid(child, &status, 0) < 0)
		;
	printf("child: signal %d; parent: %d interrupts\n", WTERMSIG(status), got);
	return 0;
}
"""


def wait_for_job(master: int, shell: int) -> None:
    """Waits until a job has the terminal, and echo is on. Text typed before that, while the shell edits a line, is not echoed."""
    until = time.monotonic() + LIMIT
    while os.tcgetpgrp(master) == shell or not termios.tcgetattr(master)[3] & termios.ECHO:
        assert time.monotonic() < until, "no job got the terminal"
        time.sleep(0.01)


def converse(command: list[str], steps: list[tuple[str, bytes]]) -> str:
    """Runs it on a new terminal: types each text when its pattern has come since the one before. A pattern that begins with JOB
    is typed to a job of the shell. Returns all that was shown."""
    pid, master = pty.fork()
    if not pid:
        os.environ |= {"PYTHONPATH": str(ROOT), "TERM": "dumb"}
        os.execvp(command[0], command)
    shown, mark = "", 0
    try:
        for pattern, text in [*steps, ("$never", b"")]:
            to_job, pattern = pattern.startswith(JOB), pattern.removeprefix(JOB)
            while not re.search(pattern, shown[mark:], re.DOTALL):
                if not select.select([master], [], [], LIMIT)[0]:
                    pytest.fail(f"nothing matches {pattern}: {shown}")
                try:
                    shown += os.read(master, 4096).decode()
                except OSError:  # EIO: the other side is closed
                    return shown
            mark = len(shown)
            if to_job:
                wait_for_job(master, pid)
            os.write(master, text)
    finally:
        os.close(master)
        os.waitpid(pid, 0)
    return shown


def emulated(*words: str) -> list[str]:
    return [sys.executable, "-m", "uselib.cli", "run", *words]


@native
def test_ctrl_c_ends_the_foreground_job(arch: str, tmp_path: Path) -> None:
    program = str(musl_program(FOREGROUND, arch, tmp_path))
    steps = [("ready\r\n", b"\x03")]
    expected = "ready\r\n^Cchild: signal 2; parent: 0 interrupts\r\n"
    assert converse([program], steps) == converse(emulated(program), steps) == expected


SHELL = [
    (r"[$#] $", b"PS1='ready> '\n"),
    (r"\nready> $", b"cat\n"),
    (JOB + r"cat\r\n", b"word\n"),
    (r"word\r\nword\r\n", b"\x1a"),
    (r"Stopped.*ready> $", b"jobs\n"),
    (r"Stopped.*ready> $", b"fg\n"),
    (JOB + r"cat\r\n", b"again\n"),
    (r"again\r\nagain\r\n", b"\x1a"),
    (r"Stopped.*ready> $", b"bg\n"),
    (r"Stopped.*ready> $|cat &.*ready> $", b"kill -9 %1; wait; echo waited\n"),
    (r"\nwaited\r\n.*ready> $", b"sh -c 'echo started; exec sleep 1000'\n"),
    (r"\nstarted\r\n", b"\x03"),
    (r"ready> $", b"exit 7\n"),
]


@native
@needs("bash")
@pytest.mark.slow
def test_a_shell_has_job_control() -> None:
    """Debian's bash: Ctrl-Z, jobs, fg, bg, kill %1, Ctrl-C."""
    words = ["/bin/bash", "--norc", "--noprofile", "-i"]
    shown = converse(emulated("--root", "/", *words), SHELL)
    for line in ("[1]+  Stopped                 cat", "cat &", "waited", "^C", "exit"):
        assert line in shown
    assert "no job control" not in shown


READS_THE_MASTER = """
import os, pty, signal
signal.signal(signal.SIGTTIN, signal.SIG_IGN)
pid, master = pty.fork()
if not pid:
    os.write(1, b"from the child")
    os.read(0, 1)
    os._exit(0)
text = b""
while b"child" not in text:
    text += os.read(master, 100)
os.write(master, b"x\\n")
print(text, os.waitpid(pid, 0)[1])
"""


def test_the_master_of_a_terminal_has_no_background() -> None:
    """It answers TIOCGPGRP with the group in the foreground of its slave; whoever ignores SIGTTIN got EIO (tmux)."""
    python = "/usr/bin/python3"
    if not os.path.exists(python):
        pytest.skip(f"needs {python}")
    expected = subprocess.run([python, "-c", READS_THE_MASTER], capture_output=True, timeout=60, check=True)
    found = subprocess.run(emulated("--root", "/", python, "-c", READS_THE_MASTER), capture_output=True, timeout=60)
    assert (found.stdout, found.stderr, found.returncode) == (expected.stdout, b"", 0)

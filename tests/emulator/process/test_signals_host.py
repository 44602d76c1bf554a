"""Signals from outside: Ctrl-C and kill end a run at once, or reach the guest's handler, in the middle of a computation."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.command import environment
from support.programs import musl_program

SOURCE = r"""
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static volatile sig_atomic_t got;
static void note(int sig) { got = sig; }
int main(int c, char **v)
{
	if (strchr(v[1], 'h')) signal(SIGINT, note);
	if (strchr(v[1], 'i')) signal(SIGTERM, SIG_IGN);
	if (strchr(v[1], 'b')) {
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGINT);
		sigprocmask(SIG_BLOCK, &set, 0);
	}
	write(1, "ready\n", 6);
	if (strchr(v[1], 'b')) {
		sleep(1);
		sigset_t set;
		do
			sigpending(&set);
		while (!sigismember(&set, SIGINT));
		write(1, "pending\n", 8);
		return 3;
	}
	if (strchr(v[1], 'p')) pause();
	if (strchr(v[1], 'r')) { char b; write(1, read(0, &b, 1) < 0 ? "EINTR\n" : "data\n", 6); }
	while (!got)
		;
	write(1, "caught\n", 7);
	return got;
}
"""


@pytest.fixture(scope="module")
def program(arch: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return musl_program(SOURCE, arch, tmp_path_factory.mktemp("signals"))


def interrupted(program: Path, mode: str, *signals: int, command: str = "run") -> tuple[int, str, float, str]:
    """Status, output, seconds from the last signal to the end, errors."""
    process = subprocess.Popen(
        [sys.executable, "-m", "uselib.cli", command, str(program), mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    first = process.stdout.readline()
    for number in signals:
        time.sleep(0.2)
        process.send_signal(number)
    start = time.monotonic()
    try:
        status = process.wait(20)
    finally:
        process.kill()
    return status, first + process.stdout.read(), time.monotonic() - start, process.stderr.read()


@pytest.mark.parametrize("mode", ["-", "p", "r"])
def test_ctrl_c_ends_at_once(program: Path, mode: str) -> None:
    status, output, seconds, errors = interrupted(program, mode, signal.SIGINT)
    assert status in (-signal.SIGINT, 130)
    assert output == "ready\n" and "Traceback" not in errors
    assert seconds < 10


@pytest.mark.parametrize("mode", ["h", "hp"])
def test_handler_runs(program: Path, mode: str) -> None:
    assert interrupted(program, mode, signal.SIGINT)[:2] == (2, "ready\ncaught\n")


def test_read_goes_on_after_a_handler(program: Path) -> None:
    """musl's signal() asks for SA_RESTART: the read is restarted and the guest never sees EINTR."""
    status, output, _, _ = interrupted(program, "hr", signal.SIGINT, signal.SIGTERM)
    assert status in (-signal.SIGTERM, 143) and output == "ready\n"


def test_ignored_and_fatal(program: Path) -> None:
    status, output, _, _ = interrupted(program, "i", signal.SIGTERM, signal.SIGINT)
    assert status in (-signal.SIGINT, 130) and output == "ready\n"


def test_blocked_signal_is_pending(program: Path) -> None:
    assert interrupted(program, "b", signal.SIGINT)[:2] == (3, "ready\npending\n")


def test_trace_is_finished_on_ctrl_c(program: Path) -> None:
    status, _, _, errors = interrupted(program, "-", signal.SIGINT, command="trace")
    assert status == 130
    assert "killed by SIGINT" in errors and "Traceback" not in errors


BLOCKED = r"""
#include <unistd.h>
int main(int c, char **v) { char b; if (v[1][0] == 'a') alarm(1); if (v[1][0] == 'p') pause(); return read(0, &b, 1); }
"""


@pytest.mark.parametrize(
    "mode, options, status, message",
    [
        ("r", ["--max-seconds", "0.5"], 137, "the limit of 0.5 s is used up"),
        ("p", ["--max-seconds", "0.5"], 137, "the limit of 0.5 s is used up"),
        ("a", [], 142, "killed by SIGALRM"),
    ],
)
def test_a_call_that_waits_is_ended(mode: str, options: list[str], status: int, message: str, tmp_path: Path) -> None:
    program = musl_program(BLOCKED, "x86_64", tmp_path)
    with subprocess.Popen(
        [sys.executable, "-m", "uselib.cli", "run", *options, str(program), mode],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
    ) as process:
        assert process.wait(30) == status
        assert process.stderr is not None and message in process.stderr.read()

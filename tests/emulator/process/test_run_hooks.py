"""RunHooks: each participant is told of every event of a run, in the documented order, in parent and child; and a run that cannot start
leaves nothing behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import environment
from support.programs import musl_program
from uselib.emulator.process.run import Runner
from uselib.emulator.process.run_options import RunOptions
from uselib.linker.errors import ToolError

SOURCE = r"""
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static void note(int sig) { (void)sig; }
int main(int c, char **v)
{
	if (c == 3) return atoi(getenv("ADDED"));
	mmap(0, 0x7b000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	getppid();
	signal(SIGUSR1, note);
	raise(SIGUSR1);
	if (!fork()) _exit(3);
	wait(0);
	if (c == 2) abort();
	execl(v[0], v[0], "again", "b", (char *)0);
	return 1;
}
"""
DRIVER = r"""
import os, sys
from uselib.emulator.process.hooks import RunHooks
from uselib.emulator.process.kernel_tap import KernelTap
from uselib.emulator.process.run import Runner
from uselib.emulator.process.run_options import RunOptions

GETPPID = 64, 110  # i386, x86-64
MAPPED = 0x7b000

class Log(RunHooks):
    def __init__(self, name, file):
        self.name, self.file, self.role = name, file, "parent"
    def note(self, *words):
        os.write(self.file, (" ".join(map(str, (self.role, self.name, *words))) + "\n").encode())
    def before_run(self, process, environment):
        environment["ADDED"] = "7"
        self.note("before_run")
    def on_exec(self, machine, space, process, program):
        self.note("on_exec", process, os.path.basename(program))
    def wrap_kernel(self, kernel):
        self.note("wrap_kernel")
        return KernelTap(kernel, system_call=self.system_call)
    def system_call(self, kernel, number, arguments):
        if number in GETPPID:
            self.note("getppid")
        return kernel.system_call(number, arguments)
    def on_mapped(self, vma):
        if vma.end - vma.start == MAPPED:
            self.note("on_mapped")
    def on_signal(self, number, address):
        self.note("on_signal", number)
    def before_fork(self):
        self.note("before_fork")
    def on_fork(self, process):
        self.role = "child"
        self.note("on_fork", process)
    def last_calls(self):
        self.note("last_calls")
        return []
    def finished(self, end):
        self.note("finished", end.code, end.signal)

log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
program, *arguments = sys.argv[2:]
hooks = Log("a", log), Log("b", log)
sys.exit(Runner(RunOptions(program, tuple(arguments), environment=("HOME=/x",)), hooks).run())
"""


@pytest.fixture(scope="module")
def program(arch: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return musl_program(SOURCE, arch, tmp_path_factory.mktemp("hooks"))


def logged(program: Path, tmp_path: Path, *arguments: str) -> tuple[int, list[str], list[str]]:
    """Status; the events of the parent and those of the child."""
    words = [sys.executable, "-c", DRIVER, str(tmp_path / "log"), str(program), *arguments]
    done = subprocess.run(words, env=environment(), stderr=subprocess.DEVNULL, timeout=60)
    lines = (tmp_path / "log").read_text().splitlines()
    parent, child = ([line.split(" ", 1)[1] for line in lines if line.startswith(role)] for role in ("parent", "child"))
    return done.returncode, parent, child


def both(*events: str) -> list[str]:
    """Every event reaches both participants, one after the other."""
    return [f"{name} {event}" for event in events for name in "ab"]


def test_order_of_events(program: Path, tmp_path: Path) -> None:
    status, parent, child = logged(program, tmp_path)
    exec_ = f"on_exec 1000 {program.name}"
    started = both(exec_, "wrap_kernel")
    assert status == 7  # the environment that a participant changed
    called = ["b getppid", "a getppid"]  # the kernel that the last participant returned is called first
    before_fork = both("on_mapped") + called + both("on_signal 10", "before_fork")
    assert parent == both("before_run") + started + before_fork + started + both("finished 7 0")
    assert child == both("on_fork 1001", "finished 3 0")


def test_death_asks_for_the_last_calls(program: Path, tmp_path: Path) -> None:
    status, parent, _ = logged(program, tmp_path, "die")
    assert status == 128 + signal.SIGABRT
    assert parent[-6:] == both("on_signal 6", "last_calls", "finished 0 6")


def open_and_handled() -> tuple[list[str], object, int]:
    """Descriptors (directories are closed with the objects that hold them), SIGINT's handler, umask."""
    gc.collect()
    umask = os.umask(0o22)
    os.umask(umask)
    return os.listdir("/proc/self/fd"), signal.getsignal(signal.SIGINT), umask


def test_a_run_that_cannot_start_leaves_nothing(tmp_path: Path) -> None:
    before = open_and_handled()
    failed = False
    try:
        Runner(RunOptions(str(tmp_path / "missing")))
    except ToolError:
        failed = True
    assert failed
    assert open_and_handled() == before

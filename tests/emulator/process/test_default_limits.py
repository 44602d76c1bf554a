"""Limits that nobody gave: memory, the size of files, processes, open files. One line says so when one strikes."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import environment, uselib
from support.programs import musl_program
from uselib.emulator.process import default_limits
from uselib.emulator.process.default_limits import MemoryGuard, limit_file_size, restore_file_size
from uselib.emulator.process.interfaces import ProcessEnded

SOURCE = r"""
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	long count = 0, size = 1L << 30;
	static char block[1 << 16];
	char *memory;
	switch (atoi(argv[1])) {
	case 1: /* maps much and touches little */
	case 2: /* touches it */
		memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		for (long at = 0; at < (argv[1][0] == '1' ? 1 << 20 : size); at += 4096)
			memory[at] = 1;
		puts("touched");
		for (volatile long n = 0; argv[1][0] == '2' && n < 3000000000; n++)
			;
		break;
	case 3:
		for (int file = open("large", O_WRONLY | O_CREAT, 0666); (count = write(file, block, sizeof block)) > 0;)
			;
		printf("%s\n", strerror(errno));
		break;
	case 4: {
		int ends[2], child;
		char byte;
		pipe(ends);
		while ((child = fork()) > 0)
			count++;
		if (!child) {
			close(ends[1]);
			read(ends[0], &byte, 1);
			_exit(0);
		}
		printf("%ld %s\n", count, strerror(errno));
		break;
	}
	case 5:
		while (open("/dev/null", O_RDONLY) >= 0)
			count++;
		printf("%ld %s\n", count, strerror(errno));
	}
	return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return musl_program(SOURCE, "x86_64", tmp_path_factory.mktemp("limits"))


def run_where(change: str, program: Path, case: int, cwd: Path) -> subprocess.CompletedProcess[str]:
    """On a machine that `change` makes smaller."""
    code = f"import os, sys\nimport uselib.emulator.process.default_limits as limits\n{change}\n"
    code += "from uselib.cli import main\nsys.exit(main(sys.argv[1:]))\n"
    words = [sys.executable, "-c", code, "run", "--writable", ".", str(program), str(case)]
    return subprocess.run(words, env=environment(), cwd=cwd, capture_output=True, text=True, timeout=60)


LITTLE_MEMORY = "limits.available = lambda: 600 << 20"
SMALL_DISK = "os.statvfs = lambda path: type('S', (), {'f_bavail': 2048, 'f_frsize': 1024})"


def test_memory_that_is_only_mapped_is_free(program: Path, tmp_path: Path) -> None:
    done = run_where(LITTLE_MEMORY, program, 1, tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("touched\n", "", 0)


def test_memory_that_is_used_is_not(program: Path, tmp_path: Path) -> None:
    done = run_where(LITTLE_MEMORY, program, 2, tmp_path)
    message = r"ended: it uses more than 300 MiB of memory, half of what is free \(--max-memory sets another limit\)"
    assert done.returncode == 137
    assert re.fullmatch(rf"uselib: {re.escape(str(program))}: {message}\n", done.stderr), done.stderr


def test_a_file_of_half_the_disk(program: Path, tmp_path: Path) -> None:
    done = run_where(SMALL_DISK, program, 3, tmp_path)
    assert (done.stdout, done.returncode) == ("File too large\n", 0)
    assert (
        done.stderr == "uselib: a file would take more than half of the free disk, or 16 MiB in memory: it gets EFBIG\n"
    )
    assert (tmp_path / "large").stat().st_size == 1 << 20


def test_processes(program: Path) -> None:
    done = uselib("run", "--max-processes", "8", program, "4", cwd=program.parent)
    assert done.stdout == "7 Resource temporarily unavailable\n"
    assert done.stderr == "uselib: it has 8 processes, as many as it may (--max-processes): fork gets EAGAIN\n"


def test_open_files(program: Path) -> None:
    done = uselib("run", program, "5", cwd=program.parent)
    assert done.stdout == "1021 No file descriptors available\n"
    assert done.stderr == "uselib: it has 1024 files open, as many as it may (--max-files): it gets EMFILE\n"


def test_the_guard_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    moments: list[float] = []
    monkeypatch.setattr(default_limits, "available", lambda: 100)
    monkeypatch.setattr(default_limits, "resident", lambda: 50)
    guard = MemoryGuard(moments.append)
    guard.begin()
    assert guard.most == 50
    guard.check()
    assert len(moments) == 2 and moments[1] >= moments[0]
    monkeypatch.setattr(default_limits, "resident", lambda: 51)
    with pytest.raises(ProcessEnded) as ended:
        guard.check()
    assert ended.value.signal == 9 and "half of what is free" in ended.value.reason


def test_the_host_gets_its_limit_back(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert limit_file_size(()) is None and resource.getrlimit(resource.RLIMIT_FSIZE) == before
    changed = limit_file_size((str(tmp_path),))
    if before[0] == resource.RLIM_INFINITY:
        assert changed == before and 0 < resource.getrlimit(resource.RLIMIT_FSIZE)[0] < 1 << 62
    restore_file_size(changed)
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before

"""The first process ends while another one asks it: its exit status is its own."""

from __future__ import annotations

from pathlib import Path

from support.command import uselib
from support.programs import musl_program

ASKS = r"""
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(void)
{
	char name[64], text[4096];
	snprintf(name, sizeof name, "/proc/%d/maps", getpid());
	if (fork()) {
		usleep(30000);
		return 5;
	}
	for (int i = 0, file; i < 4000 && (file = open(name, O_RDONLY)) >= 0; i++) {
		while (read(file, text, sizeof text) > 0)
			;
		close(file);
	}
	return 0;
}
"""


def test_the_status_of_a_process_that_is_asked_as_it_ends(arch: str, tmp_path: Path) -> None:
    program = musl_program(ASKS, arch, tmp_path)
    assert [uselib("run", program).returncode for _ in range(6)] == [5] * 6

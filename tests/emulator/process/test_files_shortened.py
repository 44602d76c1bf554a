"""A mapped file that becomes shorter gives the guest SIGBUS with the right address, whoever does it, and never ends the emulator."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import paths
from support.command import environment, uselib
from support.programs import musl_program
from support.tiny_kernel import TinyKernel
from support.tools import require_native
from uselib.emulator.machine import core
from uselib.emulator.machine.engine import library
from uselib.emulator.machine.machine import VirtualMachine
from uselib.emulator.process.interfaces import ProcessEnded
from uselib.linker.image import READ, WRITE, Segment
from uselib.loader.memory.address_space import PAGE, PROT_EXEC, PROT_READ, AddressSpace, MemoryFault
from uselib.loader.memory.vma import MappedFile
from uselib.loader.programs.segments import map_segment

pytestmark = pytest.mark.skipif(
    core.attach(library()) is None, reason="without native/core a fault of the host's is the emulator's end"
)
SOURCES = paths.PROGRAMS / "bus_programs"
ADDRESS = 0x40_0000


@pytest.fixture(scope="module")
def program(arch: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return musl_program((SOURCES / "shortened.c").read_text(), arch, tmp_path_factory.mktemp("shortened"))


@pytest.mark.parametrize("how", ["shared", "private", "memfd", "child"])
def test_every_access_faults_as_natively(program: Path, how: str, arch: str, tmp_path: Path) -> None:
    """Loads, stores, atomic and string instructions, SSE and x87, execution, buffers of system calls."""
    require_native(arch)
    native = subprocess.run([program, how], cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    ran = uselib("run", "--writable", ".", program, how, cwd=tmp_path)
    assert (ran.stdout, ran.returncode) == (native.stdout, native.returncode), ran.stderr
    assert ran.stdout.count("signal 7 code 2") == 15


@pytest.mark.parametrize("how", ["shared", "memfd"])
def test_without_a_handler(program: Path, how: str, tmp_path: Path) -> None:
    ran = uselib("run", "--writable", ".", program, how, "plain", cwd=tmp_path)
    assert (ran.stdout, ran.returncode) == ("start\nsum += p[5]: ", 128 + 7)
    (line,) = ran.stderr.splitlines()
    assert "killed by SIGBUS: read of 0x" in line and "behind the end of the mapped file" in line


LOOP = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
int main(int c, char **v)
{
	volatile char *p = mmap(0, 4096, PROT_READ, MAP_SHARED, open(v[1], O_RDONLY), 0);
	puts("ready");
	fflush(stdout);
	for (;;) p[77];
}
"""


def test_somebody_else_while_the_guest_computes(arch: str, tmp_path: Path) -> None:
    program = musl_program(LOOP, arch, tmp_path)
    file = tmp_path / "file"
    file.write_bytes(bytes(PAGE))
    process = subprocess.Popen(
        [sys.executable, "-m", "uselib.cli", "run", "--readable", str(file), str(program), str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    os.truncate(file, 0)
    try:
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 128 + 7
    (line,) = errors.splitlines()
    assert "killed by SIGBUS: read of 0x" in line and "04d, behind the end" in line


def test_another_process_in_the_middle(arch: str, tmp_path: Path) -> None:
    ran = uselib("run", "--writable", ".", musl_program((SOURCES / "race.c").read_text(), arch, tmp_path), cwd=tmp_path)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("faults\n", "", 0)


def test_longer_again_when_the_fault_is_looked_at(tmp_path: Path) -> None:
    """The page was behind the end when the CPU asked for it: SIGBUS, whatever the file is when the run loop gets to it."""
    space, file = AddressSpace(64), tmp_path / "file"
    file.write_bytes(bytes(2 * PAGE))
    fd = os.open(file, os.O_RDWR)
    space.map(ADDRESS, 2 * PAGE, PROT_READ, fd=fd, shared=True, placement="fixed")
    space.map(ADDRESS + 2 * PAGE, PAGE, PROT_READ | PROT_EXEC, placement="fixed")
    space.poke(
        ADDRESS + 2 * PAGE, bytes.fromhex("8a0425") + (ADDRESS + PAGE + 5).to_bytes(4, "little")
    )  # mov al, [...]
    os.truncate(file, PAGE)
    machine = VirtualMachine(space)
    machine.cpu.reset(ADDRESS + 2 * PAGE, 0)
    resolve = machine.pages.resolve

    def lengthen(page: int, access: int, pc: int) -> bool:
        os.truncate(file, 2 * PAGE)
        return resolve(page, access, pc)

    machine.pages.resolve = lengthen  # type: ignore[method-assign]
    with pytest.raises(ProcessEnded) as end:
        machine.run(TinyKernel())
    os.close(fd)
    machine.close()
    space.release()
    fault = end.value.fault
    assert fault is not None
    assert (fault.signal, fault.code, fault.address) == (7, 2, ADDRESS + PAGE + 5)
    assert fault.note == "behind the end of the mapped file"


@pytest.fixture
def space(tmp_path: Path) -> Iterator[AddressSpace]:
    """Three pages of a file, shared; a machine runs over it."""
    space = AddressSpace(64)
    file = tmp_path / "file"
    file.write_bytes(b"x" * 3 * PAGE)
    fd = os.open(file, os.O_RDWR)
    space.map(ADDRESS, 3 * PAGE, 3, fd=fd, shared=True, placement="fixed", name="file")
    os.close(fd)
    machine = VirtualMachine(space)
    yield space
    machine.close()
    space.release()


def test_before_there_is_a_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program's file becomes shorter while exec maps it."""
    space, file = AddressSpace(64), tmp_path / "file"
    file.write_bytes(b"x" * 2 * PAGE)
    fd = os.open(file, os.O_RDONLY)
    monkeypatch.setattr(MappedFile, "size", lambda self: 2 * PAGE)
    segment = Segment(ADDRESS, 4 * PAGE, 0, PAGE + 100, READ | WRITE)
    map_segment(space, segment, fd, "file", 3)
    assert space.read(ADDRESS + PAGE, PAGE) == b"x" * 100 + bytes(PAGE - 100)
    os.truncate(file, PAGE)
    for number, access in enumerate((space.read, lambda at, size: space.write(at, bytes(size)))):
        with pytest.raises(MemoryFault) as caught:
            space.map(ADDRESS, 2 * PAGE, 3, fd=fd, placement="fixed")
            access(ADDRESS + 100, PAGE)
        assert (caught.value.address, caught.value.beyond_file) == (ADDRESS + PAGE, True), number
    with pytest.raises(OSError) as refused:
        map_segment(space, segment, fd, "file", 3)
    assert refused.value.errno == errno.ENOEXEC
    os.close(fd)
    space.release()


def test_between_the_check_and_the_access(space: AddressSpace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This process's own access; afterwards the mapping is the file's again."""
    monkeypatch.setattr(MappedFile, "size", lambda self: 3 * PAGE)
    os.truncate(tmp_path / "file", PAGE)
    with pytest.raises(MemoryFault) as caught:
        space.read(ADDRESS + 10, 3 * PAGE - 10)
    assert (caught.value.address, caught.value.beyond_file) == (ADDRESS + PAGE, True)
    with pytest.raises(MemoryFault):
        space.write(ADDRESS + PAGE, b"lost")
    os.truncate(tmp_path / "file", 3 * PAGE)
    assert space.read(ADDRESS + PAGE, 4) == bytes(4)
    space.write(ADDRESS + PAGE, b"kept")
    assert (tmp_path / "file").read_bytes()[PAGE : PAGE + 4] == b"kept"

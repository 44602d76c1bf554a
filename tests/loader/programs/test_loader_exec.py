"""exec and uselib(2): segments, the start-up stack, scripts; what is refused and with which errno."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uselib.linker.errors import FormatError
from uselib.linker.formats.elf_image import read_image
from uselib.linker.image import EXEC, READ, WRITE, Machine, Segment
from uselib.loader.memory.address_space import PAGE, AddressSpace, MemoryFault
from uselib.loader.programs.elf import start_program
from uselib.loader.programs.exec import StartInfo, build_stack, script_interpreter
from uselib.loader.programs.headers import library_header, read_headers
from uselib.loader.programs.segments import map_segment
from uselib.loader.programs.uselib import load_library

BASE = 0x6000_0000


def elf(machine: Machine, headers: list[tuple[int, int, Segment]], kind: int = 2, size: int = 3 * PAGE) -> bytes:
    """An ELF file with the given program headers (type, flags, segment), filled with its own offsets."""
    wide = machine is Machine.X86_64
    table = 64 if wide else 52
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    fixed = struct.pack("<HHI", kind, machine.value, 1) + struct.pack("<QQQ" if wide else "<III", BASE + 0x80, table, 0)
    fixed += struct.pack("<IHHHHHH", 0, table, 56 if wide else 32, len(headers), 0, 0, 0)
    for type_, flags, s in headers:
        if wide:
            fixed += struct.pack(
                "<IIQQQQQQ", type_, flags, s.offset, s.address, s.address, s.file_size, s.memory_size, PAGE
            )
        else:
            fixed += struct.pack(
                "<IIIIIIII", type_, s.offset, s.address, s.address, s.file_size, s.memory_size, flags, PAGE
            )
    return (ident + fixed).ljust(256, b"\0") + bytes(i // PAGE + 1 for i in range(256, size))


def opened(data: bytes) -> int:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return os.dup(file.fileno())


def test_stack(machine: Machine) -> None:
    """The stack as create_elf_tables lays it out; read back by the psABI's rules."""
    image = read_headers(elf(machine, [(1, 5, Segment(BASE, PAGE, 0, PAGE, 5))]), "x")
    space = AddressSpace(8 * machine.word)
    info = StartInfo(b"./prog", bytes(range(16)), 5, 6, secure=True)
    arguments, environment = [b"./prog", b"", b"long" * 100], [b"A=1", b"B="]
    started = start_program(space, image, opened(elf(machine, [])), "x", arguments, environment, info)
    word, code = machine.word, "I" if machine.word == 4 else "Q"
    assert started.stack_pointer % 16 == 0 and started.entry == BASE + 0x80
    position = started.stack_pointer

    def pop() -> int:
        nonlocal position
        (value,) = struct.unpack(f"<{code}", space.read(position, word))
        position += word
        return int(value)

    assert pop() == 3
    assert [space.read_string(pop()) for _ in range(3)] == arguments and pop() == 0
    assert [space.read_string(pop()) for _ in range(2)] == environment and pop() == 0
    auxiliary = {}
    while (key := pop()) != 0:
        auxiliary[key] = pop()
    assert auxiliary[6] == PAGE and auxiliary[9] == BASE + 0x80
    assert auxiliary[3] == BASE + (52 if word == 4 else 64) and auxiliary[5] == 1
    assert (auxiliary[11], auxiliary[12], auxiliary[13], auxiliary[14], auxiliary[23]) == (5, 5, 6, 6, 1)
    assert space.read(auxiliary[25], 16) == bytes(range(16))
    assert space.read_string(auxiliary[31]) == b"./prog"
    assert space.read_string(auxiliary[15]) == (b"i686" if word == 4 else b"x86_64")
    with pytest.raises(OSError) as failure:
        build_stack(AddressSpace(8 * word), image, [b"x" * 200_000], [], info)
    assert failure.value.errno == errno.E2BIG
    space.release()


def test_segment_tail_is_cleared() -> None:
    space = AddressSpace(64)
    fd = opened(bytes([7]) * 3 * PAGE)
    map_segment(space, Segment(BASE + 0x100, 3 * PAGE, 0x100, 0x200, READ | WRITE), fd, "f", 3)
    assert space.read(BASE, 0x300) == bytes([7]) * 0x300
    assert space.read(BASE + 0x300, 3 * PAGE - 0x300 + 0x100) == bytes(3 * PAGE - 0x200)
    with pytest.raises(MemoryFault):
        space.read(BASE + 4 * PAGE, 1)
    map_segment(space, Segment(0x1000_0000, PAGE, 0, 0x200, READ | EXEC), fd, "f", 5)
    assert space.read(0x1000_0200, 4) == bytes([7]) * 4  # not writable: the kernel leaves the rest of the page
    for segment in (Segment(BASE + 1, PAGE, 0, PAGE, 5), Segment(BASE, 5, 0, PAGE, 5)):
        with pytest.raises(OSError) as failure:
            map_segment(space, segment, fd, "f", 5)
        assert failure.value.errno == errno.ENOEXEC
    space.release()
    os.close(fd)


NOTE = (4, 4, Segment(BASE, 16, 0, 16, 4))
LOAD = (1, 7, Segment(BASE, 4 * PAGE, 0, 2 * PAGE + 10, 7))


def test_uselib(machine: Machine) -> None:
    bits = 8 * machine.word
    space = AddressSpace(bits)

    def load(data: bytes) -> int:
        fd = opened(data)
        try:
            load_library(space, read_headers(data, "lib"), fd, "lib", bits)
        except OSError as failure:
            return failure.errno or -1
        finally:
            os.close(fd)
        return 0

    good = elf(machine, [LOAD, NOTE])
    assert load(good) == 0
    vma = space.find(BASE)
    assert vma is not None and vma.prot == 7 and vma.name == "lib"
    assert space.read(BASE, 2 * PAGE + 10) == good[: 2 * PAGE + 10]
    assert space.read(BASE + 2 * PAGE + 10, 2 * PAGE - 10) == bytes(2 * PAGE - 10)
    space.write(BASE + 100, b"written")
    assert load(good) == errno.EEXIST
    elsewhere = (1, 7, Segment(BASE + (1 << 20), PAGE, 0, PAGE, 7))
    assert load(elf(machine, [LOAD, NOTE, NOTE])) == errno.ENOEXEC  # three headers
    assert load(elf(machine, [LOAD, elsewhere])) == errno.ENOEXEC  # two segments
    assert load(elf(machine, [NOTE])) == errno.ENOEXEC
    assert load(elf(machine, [elsewhere], size=300)) == 0  # the page that the file has is there
    assert load(elf(machine, [(1, 7, Segment(BASE + (2 << 20), 4 * PAGE, 0, 2 * PAGE, 7))], size=300)) == errno.ENOEXEC
    other = Machine.I386 if machine is Machine.X86_64 else Machine.X86_64
    assert load(elf(other, [elsewhere])) == errno.ENOEXEC
    overlap = (1, 7, Segment(BASE - PAGE, 2 * PAGE, 0, PAGE, 7))
    before = [(vma.start, vma.end) for vma in space]
    assert load(elf(machine, [overlap])) == errno.EEXIST
    assert [(vma.start, vma.end) for vma in space] == before
    space.release()


def test_scripts() -> None:
    assert script_interpreter(b"\x7fELF") is None
    assert script_interpreter(b"#!/bin/sh\n") == (b"/bin/sh", None)
    assert script_interpreter(b"#! \t/bin/sh  -e -x \nmore") == (b"/bin/sh", b"-e -x")
    assert script_interpreter(b"#!/bin/sh") == (b"/bin/sh", None)
    for bad in (b"#!\n", b"#!   \n", b"#!/" + b"x" * 300):
        with pytest.raises(OSError) as failure:
            script_interpreter(bad)
        assert failure.value.errno == errno.ENOEXEC


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("elf")
    (folder / "p.c").write_text("int x = 5, y; void _start(void) { y = x; for (;;); }")
    command = ["gcc", "-nostdlib", "-static", "-no-pie", "-fno-pie", "-o", folder / "p", folder / "p.c"]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs gcc")
    return Path(folder / "p").read_bytes()


def test_same_as_read_image(program: bytes) -> None:
    ours, full = read_headers(program, "p"), read_image(program, "p")
    for name in ("machine", "entry", "segments", "tls", "program_headers", "stack_executable", "interpreter"):
        assert getattr(ours, name) == getattr(full, name), name


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_headers(data: st.DataObject) -> None:
    machine = data.draw(st.sampled_from(list(Machine)))
    page = bytearray(elf(machine, [LOAD, NOTE]))
    for _ in range(data.draw(st.integers(1, 4))):
        page[data.draw(st.integers(0, 300))] = data.draw(st.integers(0, 255))
    page = page[: data.draw(st.integers(0, PAGE))]
    library_header(bytes(page), "x")  # never an exception
    try:
        image = read_headers(bytes(page), "x")
    except FormatError:
        return
    space = AddressSpace(8 * image.machine.word)
    fd = opened(bytes(page))
    try:
        start_program(space, image, fd, "x", [b"x"], [], StartInfo(b"x", bytes(16)))
    except OSError:
        pass
    finally:
        os.close(fd)
        space.release()

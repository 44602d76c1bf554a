"""Start-up, natively, with libraries whose header page has one damaged field: it runs the program or refuses with status 128.

The ELF header, the program headers and the notes are changed, never code. A crash here would be a field that start-up trusts.
"""

import random
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.schemes import OUTPUT, World, make_world
from support.tools import ARCHES, native
from uselib.linker.formats import notes

SCHEMES = ("uselib", "mmap", "bsdos", "interp")
FAST, SLOW = 60, 2000  # variants for each machine and scheme


@pytest.fixture(scope="module", params=ARCHES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("startup") / "root", request.param)


@pytest.fixture(scope="module", params=SCHEMES)
def program(request: pytest.FixtureRequest, world: World) -> Path:
    path = world.root / f"program-{request.param}"
    if request.param == "bsdos":
        assert world.shlicc(path, world.root / "program.c", "-louter") == 0
    else:
        assert world.cc(request.param, path, world.root / "program.c", "-louter") == 0
    return path


def header_end(data: bytes) -> int:
    """The end of the notes of uselib on the first page."""
    at = data.index(struct.pack("<I", notes.NT_LIBRARY) + notes.NOTE_NAME) - 8
    while data[at + 12 : at + 19] == notes.NOTE_NAME:
        at += 20 + (struct.unpack_from("<I", data, at + 4)[0] + 3 & -4)
    return at


def variants(data: bytes, choose: random.Random, first: int) -> Iterator[tuple[str, bytes]]:
    """Endlessly: what was done, and the file; one field from offset `first` on is changed."""
    end = header_end(data)
    while True:
        size = choose.choice((1, 2, 4, 4, 4, 8))
        at = choose.randrange(first, end - size) // min(size, 4) * min(size, 4)
        limit = (1 << 8 * size) - 1
        old = int.from_bytes(data[at : at + size], "little")
        other = choose.randrange(first, end - size)
        values = [0, 1, limit, limit >> 1, choose.randint(0, limit), old ^ 1 << choose.randrange(8 * size)]
        values += [old + 8 & limit, old - 8 & limit, old + 4096 & limit]
        value = choose.choice([*values, int.from_bytes(data[other : other + size], "little")])
        yield f"{at:#x}: {old:#x} -> {value:#x}", data[:at] + value.to_bytes(size, "little") + data[at + size :]


def survivors(world: World, program: Path, count: int) -> tuple[int, int]:
    """How many variants ran and how many were refused; anything else fails."""
    choose = random.Random(f"{world.arch} {program.name}")
    libraries = sorted(path for path in world.shlib.iterdir() if path.is_file() and not path.is_symlink())
    ran = refused = 0
    for number in range(count):
        library = libraries[number % len(libraries)]
        good = library.read_bytes()
        by_kernel = "interp" in program.name and library.name.startswith("libc_s")  # which maps it by its ELF header
        first = header_end(good) // 2 if by_kernel else 4
        if by_kernel:
            first = good.index(struct.pack("<I", notes.NT_LIBRARY) + notes.NOTE_NAME) - 8
        what, bad = next(variants(good, choose, first))
        library.write_bytes(bad)
        try:
            done = subprocess.run([program, "x"], capture_output=True, env={"WORD": "here"}, timeout=30)
        finally:
            library.write_bytes(good)
        message = done.stderr.decode(errors="backslashreplace")
        if done.returncode == 128 and "can't load library '" in message and message.endswith("\n"):
            refused += 1
            continue
        seen = (done.returncode, done.stdout, message)
        assert seen == (7, OUTPUT, ""), f"variant {number}, {library.name}: {what}: {seen}"
        ran += 1
    return ran, refused


@native
def test_one_damaged_field(world: World, program: Path) -> None:
    ran, refused = survivors(world, program, FAST)
    assert ran and refused


@native
@pytest.mark.slow
def test_many_damaged_fields(world: World, program: Path) -> None:
    ran, refused = survivors(world, program, SLOW)
    assert ran > SLOW // 20 and refused > SLOW // 4

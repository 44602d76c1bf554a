"""Damaged programs and libraries of the schemes kernel and interp, in process: exec gives an error number and nothing else comes out."""

import errno
import os
import random
import struct
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from support.schemes import World, make_world
from support.tools import ARCHES
from uselib.linker.errors import FormatError
from uselib.loader.memory.address_space import AddressSpace, MemoryFault
from uselib.loader.programs.binfmt import recognise
from uselib.loader.programs.exec import StartInfo
from uselib.loader.programs.headers import program_scheme
from uselib.loader.programs.interpreter import Opened

INFO = StartInfo(b"p", bytes(16))
EXPECTED = {
    errno.EOVERFLOW,  # of mmap: offsets beyond what it counts
    errno.ENOEXEC,
    errno.ENOMEM,
    errno.EPERM,
    errno.EEXIST,
    errno.EINVAL,
    errno.ENOENT,
    errno.EACCES,
    *range(79, 84),
}


@dataclass(frozen=True)
class Files:
    """A world, a program of it, and the bytes of both libraries that exec may read."""

    world: World
    program: bytes = field(repr=False)
    libraries: dict[str, bytes] = field(repr=False)


@pytest.fixture(
    scope="module", params=[(a, s) for a in ARCHES for s in ("kernel", "interp")], ids=lambda p: "-".join(p)
)
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    arch, scheme = request.param
    world = make_world(tmp_path_factory.mktemp("damage") / "root", arch)
    assert world.cc(scheme, world.root / "p", world.root / "program.c", "-louter") == 0
    libraries = {path.name: path.read_bytes() for path in world.shlib.iterdir() if path.is_file()}
    return Files(world, (world.root / "p").read_bytes(), libraries)


def start(directory: Path, program: bytes, libraries: dict[str, bytes]) -> int:
    """What exec would return: 0, or an errno. Any other exception is a defect."""

    def opener(path: str) -> Opened:
        content = libraries.get(os.path.basename(path))
        if content is None or "\0" in path:
            raise OSError(errno.ENOENT, "no such file")
        file = directory / "library"
        file.write_bytes(content)
        file.chmod(0o755)
        return Opened(os.open(file, os.O_RDONLY), path)

    (directory / "program").write_bytes(program)
    try:
        found = recognise(program[:4096], "p")
    except FormatError:
        return errno.ENOEXEC
    space = found.space(AddressSpace(64))
    fd = os.open(directory / "program", os.O_RDONLY)
    try:
        found.format.start(space, found.image, fd, "p", [b"p"], [], replace(INFO, opener=opener))
        assert found.format.map_libraries is not None
        found.format.map_libraries(space, found.image, fd, opener)
    except MemoryFault:
        return errno.ENOEXEC
    except OSError as failure:
        return failure.errno or -1
    finally:
        os.close(fd)
        space.release()
    return 0


def damaged(data: bytes, choose: random.Random, places: list[int]) -> bytes:
    content = bytearray(data)
    for _ in range(choose.choice((1, 1, 2, 4))):
        at = choose.choice(places)
        content[at : at + 4] = choose.choice(
            (
                bytes(4),
                b"\xff\xff\xff\xff",
                b"\xff\xff\xff\x7f",
                struct.pack("<I", choose.getrandbits(32)),
                bytes([choose.getrandbits(8)]) + content[at + 1 : at + 4],
            )
        )
    return bytes(content[: len(data)] if choose.random() < 0.8 else content[: choose.randrange(64, 4200)])


def test_undamaged(files: Files, tmp_path: Path) -> None:
    assert start(tmp_path, files.program, files.libraries) == 0


def test_damaged_libraries(files: Files, tmp_path: Path) -> None:
    choose = random.Random(1)
    for _ in range(150):
        name = choose.choice(sorted(files.libraries))
        changed = {**files.libraries, name: damaged(files.libraries[name], choose, list(range(0, 600, 4)))}
        assert start(tmp_path, files.program, changed) in EXPECTED | {0}


def test_damaged_programs(files: Files, tmp_path: Path) -> None:
    """Headers, notes, and the structure that the mark leads to."""
    choose = random.Random(2)
    mark = program_scheme(files.program[:4096])
    assert mark is not None
    segment = next(
        s for s in recognise(files.program[:4096], "p").image.segments if s.address <= mark[1] < s.address + s.file_size
    )
    structure = mark[1] - segment.address + segment.offset
    places = list(range(0, 1200, 4)) + 20 * list(range(structure, structure + 64, 4))
    for _ in range(200):
        assert start(tmp_path, damaged(files.program, choose, places), files.libraries) in EXPECTED | {0}

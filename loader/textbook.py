"""exec and uselib(2) for files in the textbook's format: segments go where they say; execution begins at `_start`.

The book leaves open who maps a program and its libraries: here the kernel does the one and start-up code asks for the other, as in Linux.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from linker.errors import Diagnostic, FormatError
from linker.formats import textbook
from linker.image import EXEC, READ, WRITE, Image, ImageSymbol, Machine, Segment
from loader import exec
from loader.address_space import AddressSpace, page_down, page_up
from loader.binfmt import Format
from loader.exec import prot_of
from loader.vma import MappedFile

_LARGEST = 64 << 20  # bytes of a file


def _fail(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def read_image(data: bytes, where: str) -> Image:
    """A linked file. Raises FormatError: damaged, or with relocations or undefined symbols left."""
    file = textbook.decode(data, where)
    if file.relocations or any(symbol.type == "U" for symbol in file.symbols):
        raise FormatError(Diagnostic(where, "is an object, not a program", remedy="link it"))
    entry = next((symbol.value for symbol in file.symbols if symbol.name == "_start"), 0)
    segments = tuple(
        Segment(s.start, s.length, 0, len(s.contents), READ | (WRITE if "W" in s.flags else EXEC), 1)
        for s in file.segments
        if s.length
    )
    symbols = tuple(ImageSymbol(s.name, s.value, 0, True) for s in file.symbols if s.segment)
    return Image(Machine.I386, entry, segments, None, (0, 0, 0), True, "", None, (), (), "", (), symbols, ())


def program_image(head: bytes, where: str) -> Image:
    """What the first bytes tell: that it is one. start_program reads the whole file."""
    return Image(Machine.I386, 0, (), None, (0, 0, 0), True, "", None, (), (), "", (), (), ())


def _read(fd: int, name: str) -> textbook.Object:
    """Raises OSError (ENOEXEC)."""
    if os.fstat(fd).st_size > _LARGEST:
        raise _fail(errno.ENOEXEC)
    data = os.pread(fd, _LARGEST, 0)
    try:
        read_image(data, name)
        return textbook.decode(data, name)
    except FormatError:
        raise _fail(errno.ENOEXEC) from None


def _map(space: AddressSpace, file: textbook.Object, fd: int, name: str, placement: str) -> int:
    """Maps the segments; those that share a page become one mapping. Returns the end. Raises OSError (EEXIST, ENOEXEC, ENOMEM)."""
    runs: list[list[int]] = []
    for segment in sorted(file.segments, key=lambda s: s.start):
        if not segment.length:
            continue
        flags = READ | (WRITE if "W" in segment.flags else EXEC)
        start, end = page_down(segment.start), page_up(segment.start + segment.length)
        if end > space.layout.top:
            raise _fail(errno.ENOEXEC)
        if runs and start < runs[-1][1]:
            runs[-1][1], runs[-1][2] = max(end, runs[-1][1]), runs[-1][2] | flags
        else:
            runs.append([start, end, flags])
    if not runs:
        raise _fail(errno.ENOEXEC)
    if placement == "noreplace" and not all(space.is_free(start, end) for start, end, _ in runs):
        raise _fail(errno.EEXIST)
    origin = MappedFile(fd, name)
    for start, end, flags in runs:
        space.map(start, end - start, prot_of(flags), placement="fixed", name=name, origin=origin)
    for segment in file.segments:
        space.poke(segment.start, segment.contents)
    return runs[-1][1]


def start_program(
    space: AddressSpace, image: Image, fd: int, name: str,
    arguments: Sequence[bytes], environment: Sequence[bytes], info: exec.StartInfo,
) -> exec.Started:  # fmt: skip
    """Maps a program and makes the stack that Linux makes. Raises OSError (ENOEXEC, ENOMEM, E2BIG)."""
    file = _read(fd, name)
    entry = next((symbol.value for symbol in file.symbols if symbol.name == "_start"), 0)
    started = exec.build_stack(space, image, arguments, environment, info)
    space.start_brk(_map(space, file, fd, name, "fixed"))
    return exec.Started(entry, started.stack_pointer, started.arguments, started.vectors)


def load_library(space: AddressSpace, fd: int, name: str) -> None:
    """uselib(2). Raises OSError: ENOEXEC, EEXIST for an overlap."""
    _map(space, _read(fd, name), fd, name, "noreplace")


FORMAT = Format("textbook", textbook.is_object, program_image, start_program)

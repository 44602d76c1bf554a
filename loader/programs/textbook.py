"""exec and uselib(2) for files in the textbook's format: segments go where they say; execution begins at `_start`.

The book does not say what maps a program and its libraries. Here the kernel maps the program, and start-up code asks
for the libraries, as in Linux.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.historical.textbook import format as textbook
from uselib.linker.image import EXEC, READ, WRITE, Image, ImageSymbol, Machine, Segment
from uselib.linker.quick_dataclass import replace
from uselib.loader.memory.address_space import AddressSpace
from uselib.loader.programs import exec
from uselib.loader.programs.binfmt import Format
from uselib.loader.programs.copied import fail, map_parts

_LARGEST = 16 << 20  # bytes of a file: they are hexadecimal digits


def read_image(data: bytes, where: str) -> Image:
    """A linked file. Raises FormatError: damaged, or with relocations or undefined symbols left."""
    return linked_image(textbook.decode(data, where), where)


def linked_image(file: textbook.TextbookObject, where: str) -> Image:
    """Likewise, of a decoded file. Segments without bytes are left out. Raises FormatError: relocations or undefined symbols are left."""
    if file.relocations or any(symbol.type == "U" for symbol in file.symbols):
        raise FormatError(Diagnostic(where, "is an object, not a program", remedy="link it"))
    entry = next((symbol.value for symbol in file.symbols if symbol.name == "_start"), 0)
    segments = tuple(
        Segment(s.start, s.length, 0, len(s.contents), READ | (WRITE if "W" in s.flags else EXEC), 1)
        for s in file.segments
        if s.length
    )
    symbols = tuple(ImageSymbol(s.name, s.value, 0, True) for s in file.symbols if s.segment)
    return Image(Machine.I386, entry, segments, None, (0, 0, 0), True, symbols=symbols)


def program_image(head: bytes, where: str, fd: int = -1) -> Image:
    """What the first bytes tell: that it is one. start_program reads the whole file."""
    return Image(Machine.I386, 0, (), None, (0, 0, 0), True)


def _map(space: AddressSpace, fd: int, name: str, occupied: int) -> tuple[int, int]:
    """Maps the segments; returns entry and end. Raises OSError: ENOEXEC (damaged, or an object), and as map_parts."""
    size = os.fstat(fd).st_size
    if size > _LARGEST:
        raise fail(errno.ENOEXEC)
    try:
        file = textbook.decode(os.pread(fd, size, 0), name)
        image = linked_image(file, name)
    except FormatError:
        raise fail(errno.ENOEXEC) from None
    contents = [segment.contents for segment in file.segments if segment.length]
    return image.entry, map_parts(space, image.segments, fd, name, contents, occupied)


def start_program(
    space: AddressSpace,
    image: Image,
    fd: int,
    name: str,
    arguments: Sequence[bytes],
    environment: Sequence[bytes],
    info: exec.StartInfo,
) -> exec.Started:
    """Maps a program and makes the stack that Linux makes. Raises OSError (ENOEXEC, ENOMEM, E2BIG)."""
    started = exec.build_stack(space, image, arguments, environment, info)
    entry, end = _map(space, fd, name, errno.ENOEXEC)
    space.start_brk(end)
    return replace(started, entry=entry)


def load_library(space: AddressSpace, fd: int, name: str) -> None:
    """uselib(2). Raises OSError: ENOEXEC, EEXIST for an overlap."""
    _map(space, fd, name, errno.EEXIST)


FORMAT = Format("textbook", program_image, start_program)

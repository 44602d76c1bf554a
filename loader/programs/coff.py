"""exec of COFF programs of System V Release 3 on i386: the kernel maps the program and each target library that its `.lib` section names.

The checks and errors are that kernel's (docs/historical-systems.md): ENOEXEC for a program that is damaged or whose `.lib` records are,
ELIBSCN for a `.lib` that ends within a record; of a library, ELIBACC (cannot be opened), ELIBBAD (damaged, or no library), ELIBMAX (too
many); ELIBEXEC for executing a library. The numbers are Linux's. Programs use Linux's system calls (int 0x80) and its
initial stack: the emulator has no kernel of System V.

Source: exec(2), coff(4); docs/historical-systems.md, System V Release 3.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.historical.coff import format as coff
from uselib.linker.historical.coff.image import segments
from uselib.linker.image import Image, Machine
from uselib.loader.memory.address_space import AddressSpace
from uselib.loader.memory.layout import LAYOUT_SVR3
from uselib.loader.programs.binfmt import Format
from uselib.loader.programs.copied import fail, map_parts
from uselib.loader.programs.exec import Started, StartInfo, build_stack

if TYPE_CHECKING:
    from uselib.loader.programs.interpreter import Opener

ELIBACC, ELIBBAD, ELIBSCN, ELIBMAX, ELIBEXEC = 79, 80, 81, 82, 83
MAX_LIBRARIES = 16
_HEAD = 4096
_LIB_SIZE = MAX_LIBRARIES * (8 + 4096)  # no `.lib` of that many records is larger (PATH_MAX)


def program_image(head: bytes, where: str, fd: int = -1) -> Image:
    """A program from its first bytes. Raises FormatError; OSError (ELIBEXEC) for a target library."""
    file = coff.decode_headers(head, where)
    if file.optional is not None and file.optional.magic == coff.LIBMAGIC:
        raise fail(ELIBEXEC)
    if not file.flags & coff.F_EXEC or file.optional is None:
        raise FormatError(Diagnostic(where, "is a COFF object, not a program", remedy="link it"))
    return Image(Machine.I386, file.optional.entry, segments(file), None, (0, 0, 0), True)


def library_paths(fd: int) -> tuple[str, ...]:
    """The paths in a program's `.lib`. Raises OSError: ENOEXEC (a damaged record), ELIBSCN (it ends within one), ELIBMAX."""
    file = coff.decode_headers(os.pread(fd, _HEAD, 0), "")
    paths: list[str] = []
    for section in file.sections:
        if not section.flags & coff.STYP_LIB or not section.size:
            continue
        if section.size > _LIB_SIZE:
            raise fail(ELIBSCN)
        content = os.pread(fd, section.size, section.file_offset)
        if len(content) < section.size or section.size % 4:
            raise fail(ELIBSCN)
        try:
            paths += [record.path for record in coff.decode_libraries(content, "")]
        except FormatError:
            raise fail(errno.ENOEXEC) from None
    if len(paths) > MAX_LIBRARIES:
        raise fail(ELIBMAX)
    return tuple(paths)


def load_library(space: AddressSpace, fd: int, name: str) -> None:
    """Maps a target library where it was linked. Raises OSError: ELIBACC (not a regular file), ELIBBAD; EEXIST for an overlap, which the
    kernel did not see."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise fail(ELIBACC)
    try:
        file = coff.decode_headers(os.pread(fd, _HEAD, 0), name)
    except FormatError:
        raise fail(ELIBBAD) from None
    if file.optional is None or file.optional.magic != coff.LIBMAGIC:
        raise fail(ELIBBAD)
    try:
        map_parts(space, segments(file), fd, name)
    except OSError as failure:
        raise fail(ELIBBAD if failure.errno == errno.ENOEXEC else failure.errno or ELIBBAD) from None


def start_program(
    space: AddressSpace,
    image: Image,
    fd: int,
    name: str,
    arguments: Sequence[bytes],
    environment: Sequence[bytes],
    info: StartInfo,
) -> Started:
    """Maps a program and makes the stack that Linux makes. Raises OSError."""
    started = build_stack(space, image, arguments, environment, info)
    space.start_brk(map_parts(space, image.segments, fd, name, occupied=errno.ENOEXEC))
    return started


def map_libraries(space: AddressSpace, program: Image, fd: int, opener: Opener) -> None:
    """Maps every library of `.lib`. Raises OSError: see library_paths and load_library; ELIBACC if one cannot be opened."""
    for path in library_paths(fd):
        try:
            opened = opener(path)
        except OSError:
            raise OSError(ELIBACC, os.strerror(ELIBACC), path) from None
        with closing(opened):
            load_library(space, opened.fd, opened.label)


FORMAT = Format("coff", program_image, start_program, LAYOUT_SVR3, map_libraries=map_libraries)

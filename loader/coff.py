"""exec of COFF programs of System V Release 3 on i386: the kernel maps the program and each target library that its `.lib` section names.

The checks and errors are that kernel's (reference, section 3): ENOEXEC for a program that is damaged or whose `.lib` records are, ELIBSCN for
a `.lib` that ends within a record; of a library, ELIBACC (cannot be opened), ELIBBAD (damaged, or no library), ELIBMAX (too many); ELIBEXEC
for executing a library. The numbers are Linux's. Programs use Linux's system calls (int 0x80) and its initial stack: no kernel of System V
is there to answer others.

Source: exec(2), coff(4); the reference, section 3.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from linker.errors import Diagnostic, FormatError
from linker.formats import coff
from linker.formats.coff_image import segments
from linker.image import Image, Machine, Segment
from loader.address_space import AddressSpace, page_down, page_up
from loader.binfmt import Format
from loader.exec import Started, StartInfo, build_stack, prot_of
from loader.layout import LAYOUT_SVR3
from loader.vma import MappedFile

if TYPE_CHECKING:
    from loader.kernel_libraries import Opener

ELIBACC, ELIBBAD, ELIBSCN, ELIBMAX, ELIBEXEC = 79, 80, 81, 82, 83
MAX_LIBRARIES = 16
_HEAD = 4096


def _fail(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def program_image(head: bytes, where: str) -> Image:
    """A program from its first bytes. Raises FormatError; OSError (ELIBEXEC) for a target library."""
    file = coff.decode_headers(head, where)
    if file.optional is not None and file.optional.magic == coff.LIBMAGIC:
        raise _fail(ELIBEXEC)
    if not file.flags & coff.F_EXEC or file.optional is None:
        raise FormatError(Diagnostic(where, "is a COFF object, not a program", remedy="link it"))
    return Image(
        Machine.I386, file.optional.entry, segments(file), None, (0, 0, 0), True, "", None, (), (), "", (), (), (),
    )  # fmt: skip


def map_sections(space: AddressSpace, parts: tuple[Segment, ...], fd: int, name: str, placement: str) -> int:
    """Maps sections; those that share a page become one mapping with the permissions of all. Contents are copied: sections need not lie
    on pages of their own. Returns the end. Raises OSError (ENOEXEC: shorter than the headers say; EEXIST: an overlap)."""
    if not parts:
        raise _fail(errno.ENOEXEC)
    runs: list[list[int]] = []  # start, end, flags
    for part in sorted(parts, key=lambda part: part.address):
        start, end = page_down(part.address), page_up(part.end)
        if end > space.layout.top:
            raise _fail(errno.ENOEXEC)
        if runs and start < runs[-1][1]:
            runs[-1][1], runs[-1][2] = max(end, runs[-1][1]), runs[-1][2] | part.flags
        else:
            runs.append([start, end, part.flags])
    if placement == "noreplace" and not all(space.is_free(start, end) for start, end, _ in runs):
        raise _fail(errno.EEXIST)
    origin = MappedFile(fd, name)
    for start, end, flags in runs:
        space.map(start, end - start, prot_of(flags), placement="fixed", name=name, origin=origin)
    for part in parts:
        content = os.pread(fd, part.file_size, part.offset)
        if len(content) < part.file_size:
            raise _fail(errno.ENOEXEC)
        space.poke(part.address, content)
    return runs[-1][1]


def library_paths(fd: int) -> tuple[str, ...]:
    """The paths in a program's `.lib`. Raises OSError: ENOEXEC (a damaged record), ELIBSCN (it ends within one), ELIBMAX."""
    file = coff.decode_headers(os.pread(fd, _HEAD, 0), "")
    paths: list[str] = []
    for section in file.sections:
        if not section.flags & coff.STYP_LIB or not section.size:
            continue
        content = os.pread(fd, section.size, section.file_offset)
        if len(content) < section.size or section.size % 4:
            raise _fail(ELIBSCN)
        try:
            paths += [record.path for record in coff.decode_libraries(content, "")]
        except FormatError:
            raise _fail(errno.ENOEXEC) from None
    if len(paths) > MAX_LIBRARIES:
        raise _fail(ELIBMAX)
    return tuple(paths)


def load_library(space: AddressSpace, fd: int, name: str) -> None:
    """Maps a target library where it was linked. Raises OSError: ELIBBAD; EEXIST for an overlap, which the kernel did not see."""
    try:
        file = coff.decode_headers(os.pread(fd, _HEAD, 0), name)
    except FormatError:
        raise _fail(ELIBBAD) from None
    if file.optional is None or file.optional.magic != coff.LIBMAGIC:
        raise _fail(ELIBBAD)
    try:
        map_sections(space, segments(file), fd, name, "noreplace")
    except OSError as failure:
        raise _fail(ELIBBAD if failure.errno == errno.ENOEXEC else failure.errno or ELIBBAD) from None


def start_program(
    space: AddressSpace, image: Image, fd: int, name: str,
    arguments: Sequence[bytes], environment: Sequence[bytes], info: StartInfo,
) -> Started:  # fmt: skip
    """Maps a program and makes the stack that Linux makes. Raises OSError."""
    started = build_stack(space, image, arguments, environment, info)
    space.start_brk(map_sections(space, image.segments, fd, name, "fixed"))
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


FORMAT = Format(
    "coff", coff.is_coff, program_image, start_program, LAYOUT_SVR3, map_libraries=map_libraries,
)  # fmt: skip

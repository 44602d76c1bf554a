"""Whole images of mapped files, of any format that we read: tracer, fault reports and inspector take names from them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from uselib.linker.errors import ToolError
from uselib.linker.formats.magic import format_of, is_aout
from uselib.linker.image import Image, LibraryHeader
from uselib.loader.memory.layout import page_down
from uselib.loader.memory.vma import MappedFile, Vma
from uselib.loader.programs.headers import library_header
from uselib.loader.programs.segments import prot_of

_PAGE = 4096


def host_path(fd: int) -> str:
    """The path that an open file has at the host, or empty."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


def read_image(data: bytes, where: str, host: str = "", stubs: Sequence[str] = ()) -> Image:
    """A program or library from its bytes; addresses of an ET_DYN are those in the file. host: its path at the host, near which
    names of slots are looked for; stubs: files with such names. Raises FormatError."""
    name = format_of(data[:32])  # a format's reader is imported when a file of it is met
    if name == "aout":
        from uselib.loader.programs import aout_names

        return aout_names.read_image(data, where, host, stubs)
    if name == "coff":
        from uselib.linker.historical.coff import image as coff_image

        return coff_image.read_image(data, where)
    if name == "textbook":
        from uselib.loader.programs import textbook

        return textbook.read_image(data, where)
    from uselib.linker.formats import elf_image

    return elf_image.read_image(data, where, relative=True)


def image_of(file: MappedFile) -> Image | None:
    """The Image of a mapped file; None if its format is not known."""
    try:
        return read_image(os.pread(file.fd, file.size(), 0), file.name, host_path(file.fd))
    except (ToolError, OSError):
        return None


def load_bias(image: Image, vma: Vma) -> int:
    """What a mapping of an ET_DYN adds to the addresses in the file; 0 for others."""
    if not image.relative:
        return 0
    fits = [s for s in image.segments if page_down(s.offset) <= vma.offset < s.offset + s.file_size]
    if not fits:
        return 0
    best = min(fits, key=lambda s: prot_of(s.flags) != vma.prot)  # two segments may share a page of the file
    return vma.start - vma.offset - page_down(best.address) + page_down(best.offset)


def mapped_library(file: MappedFile) -> LibraryHeader | None:
    """Name, version and place of a library, from the file's first bytes; None if the file is not a library. Raises OSError."""
    page = os.pread(file.fd, _PAGE, 0)
    if not is_aout(page):
        return library_header(page, file.name)
    from uselib.loader.programs import aout_names

    return aout_names.mapped_library(page, file)

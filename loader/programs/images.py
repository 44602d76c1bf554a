"""Whole images of mapped files, of any format we know: what tracer, fault reports and the inspector name things by."""

from __future__ import annotations

import os
from collections.abc import Sequence

from uselib.linker.errors import ToolError
from uselib.linker.formats.magic import format_of, is_aout
from uselib.linker.image import Image, LibraryHeader
from uselib.loader.memory.vma import MappedFile
from uselib.loader.programs.headers import library_header

_PAGE = 4096


def host_path(fd: int) -> str:
    """The path that an open file has at the host, or empty."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


def read_image(data: bytes, where: str, host: str = "", stubs: Sequence[str] = ()) -> Image:
    """A program or library from its bytes. host: its path at the host, near which names of slots are looked for; stubs: files with
    such names. Raises FormatError."""
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

    return elf_image.read_image(data, where)


def image_of(file: MappedFile) -> Image | None:
    """The Image of a mapped file; None if its format is not known."""
    try:
        return read_image(os.pread(file.fd, file.size(), 0), file.name, host_path(file.fd))
    except (ToolError, OSError):
        return None


def mapped_library(file: MappedFile) -> LibraryHeader | None:
    """Name, version and place of a library, from the file's first bytes; None if the file is not a library. Raises OSError."""
    page = os.pread(file.fd, _PAGE, 0)
    if not is_aout(page):
        return library_header(page, file.name)
    from uselib.loader.programs import aout_names

    return aout_names.mapped_library(page, file)

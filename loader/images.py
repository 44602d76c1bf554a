"""Whole images of mapped files, of any format we know: what tracer, fault reports and the inspector name things by.

An a.out library has no symbols; the names of its slots are looked for in the stub archive that belongs to it (libc.sa for libc.so.4.3.3),
in the library's own folder and in usr/lib of the tree that it lies in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from linker.errors import FormatError, ToolError
from linker.formats import aout, aout_image, aout_stub, coff, coff_image, elf_image
from linker.formats.textbook import is_object
from linker.image import Image, LibraryHeader
from linker.reading import read_file
from loader import textbook
from loader.headers import library_header
from loader.vma import MappedFile

_PAGE = 4096
_TABLE = 1 << 20  # bytes of text that are looked through for slots


def host_path(fd: int) -> str:
    """The path that an open file has at the host, or empty."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


def stub_candidates(library: str) -> Iterator[str]:
    """Where the stub archive of a library may be."""
    folder, name = os.path.dirname(library), aout_image.library_name(library) + ".sa"
    for place in (folder, os.path.join(folder, "..", "usr", "lib"), os.path.join(folder, "..", "..", "usr", "lib")):
        yield os.path.normpath(os.path.join(place, name))


def slot_names(library: str, base: int, stubs: Sequence[str] = ()) -> dict[int, str]:
    """Slot address -> name, from the first stub archive (or jump.funcs) of `stubs`, then of the usual places, that is for a library at
    `base`; empty if there is none. A jump.funcs does not say where its library is: it counts if its name or its folder's is the library's."""
    named = [path for path in stubs if _may_name(path, library)]
    for path in (*named, *(stub_candidates(library) if library else ())):
        try:
            stub = aout_stub.read(read_file(path), path, base)
        except (ToolError, OSError):
            continue
        if stub.base == base:
            return stub.names()
    return {}


def _may_name(path: str, library: str) -> bool:
    """A stub archive says itself what it is for; a control file lies in a folder with the library's name (jump/libm/jump.funcs)."""
    if path.endswith((".sa", ".a")):
        return True
    name = aout_image.library_name(library)
    return name in (os.path.basename(os.path.dirname(os.path.abspath(path))), os.path.basename(path).partition(".")[0])


def read_image(data: bytes, where: str, host: str = "", stubs: Sequence[str] = ()) -> Image:
    """A program or library from its bytes. host: its path at the host, near which names of slots are looked for; stubs: files with
    such names. Raises FormatError."""
    if coff.is_coff(data):
        return coff_image.read_image(data, where)
    if is_object(data):
        return textbook.read_image(data, where)
    if not aout.is_aout(data):
        return elf_image.read_image(data, where)
    header = aout.decode_header(data, where)
    names = (
        slot_names(host or where, header.library_base(), stubs)
        if (host or stubs) and aout_image.is_library(header)
        else {}
    )
    return aout_image.read_image(data, where, names)


def image_of(file: MappedFile) -> Image | None:
    """The Image of a mapped file; None if it is none that we know."""
    try:
        return read_image(os.pread(file.fd, file.size(), 0), file.name, host_path(file.fd))
    except (ToolError, OSError):
        return None


def mapped_library(file: MappedFile) -> LibraryHeader | None:
    """What a file's beginning says of the library it is; None if it is no library. Raises OSError."""
    page = os.pread(file.fd, _PAGE, 0)
    if not aout.is_aout(page):
        return library_header(page, file.name)
    try:
        header = aout.decode_header(page, file.name)
    except FormatError:
        return None
    if not aout_image.is_library(header):
        return None
    return aout_image.library_header(header, os.pread(file.fd, min(header.text, _TABLE), header.text_offset), file.name)

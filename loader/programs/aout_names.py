"""Names of the slots of a.out libraries, which have no symbols: from the stub archive that belongs to one (libc.sa for libc.so.4.3.3), in the
library's own folder and in usr/lib of the tree that it lies in, or from files that the user names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from uselib.linker.errors import FormatError, ToolError
from uselib.linker.historical.aout import format as aout
from uselib.linker.historical.aout import image as aout_image
from uselib.linker.historical.aout import stub as aout_stub
from uselib.linker.image import Image, LibraryHeader
from uselib.linker.reading import read_file
from uselib.loader.memory.vma import MappedFile

_TABLE = 1 << 20  # bytes of text that are looked through for slots


def stub_candidates(library: str) -> Iterator[str]:
    """Where the stub archive of a library may be."""
    folder, name = os.path.dirname(library), aout_image.shared_object_name(library) + ".sa"
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
    """A stub archive names its library; a control file lies in a folder with the library's name (jump/libm/jump.funcs)."""
    if path.endswith((".sa", ".a")):
        return True
    name = aout_image.shared_object_name(library)
    return name in (os.path.basename(os.path.dirname(os.path.abspath(path))), os.path.basename(path).partition(".")[0])


def read_image(data: bytes, where: str, host: str = "", stubs: Sequence[str] = ()) -> Image:
    """An a.out program or library, its slots named: as uselib.loader.programs.images.read_image. Raises FormatError."""
    header = aout.decode_header(data, where)
    names: dict[int, str] = {}
    if (host or stubs) and aout_image.is_library(header):
        names = slot_names(host or where, header.library_base(), stubs)
    return aout_image.read_image(data, where, names)


def mapped_library(page: bytes, file: MappedFile) -> LibraryHeader | None:
    """Name, version and place of an a.out library, from its first page; None if the file is not a library. Raises OSError."""
    try:
        header = aout.decode_header(page, file.name)
    except FormatError:
        return None
    if not aout_image.is_library(header):
        return None
    return aout_image.library_header(header, os.pread(file.fd, min(header.text, _TABLE), header.text_offset), file.name)

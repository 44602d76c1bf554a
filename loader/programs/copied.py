"""Memory of files that are copied in, not mapped: formats whose parts need not lie on pages of their own, in the file or in memory.

a.out text begins at offset 1024 or 32, sections of COFF stand where the linker put them, the textbook's files are hexadecimal digits. ELF is
mapped: loader/programs/exec.py.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from uselib.linker.image import Segment
from uselib.loader.memory.address_space import AddressSpace, page_down, page_up
from uselib.loader.memory.vma import MappedFile
from uselib.loader.programs.segments import prot_of

_CHUNK = 1 << 20
_ZEROES = bytes(_CHUNK)


def fail(number: int) -> OSError:
    """The OSError of an errno."""
    return OSError(number, os.strerror(number))


def map_parts(
    space: AddressSpace,
    parts: Sequence[Segment],
    fd: int,
    name: str,
    contents: Sequence[bytes] | None = None,
    occupied: int = errno.EEXIST,
) -> int:
    """Maps parts and fills them; those that share a page become one mapping with the permissions of all. Returns the end, in whole pages.

    fd, name: of the file; contents: of the parts, where they are not what the file has at their offsets.
    Everything is checked before anything is mapped. Raises OSError: ENOEXEC: no parts, parts that overlap each other, lie outside the
    address space or have more in the file than in memory, a file that is shorter than they say; EPERM: below the lowest address that may be
    mapped; `occupied`: something is mapped there already; ENOMEM: a limit.
    """
    runs = _runs(space, parts)
    size = os.fstat(fd).st_size
    if any(part.file_size > part.memory_size for part in parts):
        raise fail(errno.ENOEXEC)
    if contents is None and any(part.offset + part.file_size > size for part in parts if part.file_size):
        raise fail(errno.ENOEXEC)
    if runs[0][0] < space.layout.lowest:
        raise fail(errno.EPERM)
    if not all(space.is_free(start, end) for start, end, _ in runs):
        raise fail(occupied)
    origin = MappedFile(fd, name)
    for start, end, flags in runs:
        space.map(start, end - start, prot_of(flags), placement="fixed", name=name, origin=origin)
    for number, part in enumerate(parts):
        if contents is not None:
            space.poke(part.address, contents[number])
        else:
            _copy(space, part, fd)
    return runs[-1][1]


def _runs(space: AddressSpace, parts: Sequence[Segment]) -> list[tuple[int, int, int]]:
    """(start, end, flags) of the mappings, in order of address. Raises OSError (ENOEXEC)."""
    runs: list[tuple[int, int, int]] = []
    last = 0  # end of the part before
    for part in sorted((part for part in parts if part.memory_size), key=lambda part: part.address):
        if part.address < last or page_up(part.end) > space.layout.top:
            raise fail(errno.ENOEXEC)
        last = part.end
        start, end = page_down(part.address), page_up(part.end)
        if runs and start < runs[-1][1]:
            first, before, flags = runs[-1]
            runs[-1] = (first, max(end, before), flags | part.flags)
        else:
            runs.append((start, end, part.flags))
    if not runs:
        raise fail(errno.ENOEXEC)
    return runs


def _copy(space: AddressSpace, part: Segment, fd: int) -> None:
    """In pieces; zeroes are there already, so that the holes of a sparse file take no memory. Raises OSError (ENOEXEC: the file was cut)."""
    done = 0
    while done < part.file_size:
        content = os.pread(fd, min(_CHUNK, part.file_size - done), part.offset + done)
        if not content:
            raise fail(errno.ENOEXEC)
        if content != _ZEROES[: len(content)]:
            space.poke(part.address + done, content)
        done += len(content)

"""The libraries that GDB is told of: target libraries, and shared objects where a dynamic linker has mapped them.

They are taken from the mappings, so they are known before the dynamic linker has entered them in its own list, and those of every namespace are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

from uselib.loader.memory.address_space import PAGE, PROT_EXEC, AddressSpace
from uselib.loader.memory.vma import MappedFile, Vma
from uselib.loader.programs.headers import DynamicPlace, dynamic_place, library_header


class ListedLibrary(NamedTuple):
    """base: where it begins; bias, dynamic: l_addr and l_ld of struct link_map, 0 for a target library, which is linked where it is."""

    name: str
    base: int
    bias: int = 0
    dynamic: int = 0


class LibraryList:
    """Of one address space. executable: guest path of the program, which is none of them."""

    def __init__(self, space: AddressSpace, executable: str) -> None:
        self._space, self._executable = space, executable
        self._places: dict[
            str, tuple[tuple[int, int], DynamicPlace | None]
        ] = {}  # by name: which file it was, what it says

    def __iter__(self) -> Iterator[ListedLibrary]:
        for vma in self._space:
            if vma.file is None or vma.offset or vma.name == self._executable:
                continue
            if self._is_target_library(vma):
                yield ListedLibrary(vma.name, vma.start)
                continue
            place = self._place(vma.file)
            if place is not None and place.relative and self._has_code(vma.file, vma.start, place):
                bias = vma.start - place.start
                yield ListedLibrary(vma.name, vma.start, bias, bias + place.dynamic)

    def is_new(self, vma: Vma) -> bool:
        """Whether a mapping that has just been made is what makes a file a library."""
        if vma.file is None or vma.name == self._executable:
            return False
        if not vma.offset and self._is_target_library(vma):
            return True
        return bool(vma.prot & PROT_EXEC) and self._place(vma.file) is not None

    def xml(self) -> bytes:
        """<library-list-svr4>."""
        rows = "".join(
            f'<library name={quoteattr(row.name)} lm="{row.base:#x}" l_addr="{row.bias:#x}" l_ld="{row.dynamic:#x}" lmid="0x0"/>'
            for row in self
        )
        return f'<library-list-svr4 version="1.0">{rows}</library-list-svr4>'.encode()

    @staticmethod
    def _is_target_library(vma: Vma) -> bool:
        assert vma.file is not None
        try:
            header = library_header(os.pread(vma.file.fd, PAGE, 0), vma.name)
        except OSError:
            return False
        return header is not None and header.identity.base == vma.start

    def _place(self, file: MappedFile) -> DynamicPlace | None:
        known = self._places.get(file.name)
        if known is None or known[0] != file.identity:
            try:
                place = dynamic_place(os.pread(file.fd, PAGE, 0))
            except OSError:
                place = None
            known = self._places[file.name] = file.identity, place
        return known[1]

    def _has_code(self, file: MappedFile, start: int, place: DynamicPlace) -> bool:
        """A file that is mapped to be read is no library."""
        mapped = self._space.vmas.overlapping(start, start + place.end - place.start)
        return any(vma.prot & PROT_EXEC and vma.name == file.name for vma in mapped)

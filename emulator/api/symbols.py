"""Names to addresses, over the files that are mapped now. (The other direction is emulator/trace/symbols.py.)"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from uselib.emulator.api.errors import SymbolError
from uselib.linker.errors import ToolError
from uselib.linker.formats.elf_image import read_image
from uselib.linker.image import ExportKind, Image
from uselib.loader.memory.address_space import AddressSpace
from uselib.loader.memory.vma import MappedFile


@dataclass(frozen=True)
class SymbolFile:
    """The names of one mapped file. name: a library's identity name (`libc_s`), or the program's base name."""

    name: str
    image: Image
    own: dict[str, int]  # what the file defines itself (a library's functions at their slots)

    def slot_at(self, address: int) -> tuple[int, str] | None:
        """Number and name of the slot that begins at the address; the name of an empty slot is `slotN`."""
        header = self.image.library
        if header is None:
            return None
        number, rest = divmod(address - header.jump_table, header.slot_size)
        if rest or not 0 <= number < header.identity.slot_count:
            return None
        return number + 1, _slot_names(self.image).get(number + 1, f"slot{number + 1}")


@lru_cache(maxsize=64)
def _slot_names(image: Image) -> dict[int, str]:
    return {export.slot: export.name for export in image.exports if export.kind is ExportKind.FUNCTION and export.slot}


@lru_cache(maxsize=64)
def _read(name: str, _identity: tuple[int, ...], fd: int, size: int) -> SymbolFile | None:
    try:
        image = read_image(os.pread(fd, size, 0), name)
    except (ToolError, OSError):
        return None
    own = {symbol.name: symbol.address for symbol in image.symbols if symbol.name and not symbol.absolute}
    own |= {export.name: export.address for export in image.exports}
    known = os.path.basename(name) if image.library is None else image.library.identity.name
    return SymbolFile(known, image, own)


def read_mapped(file: MappedFile) -> SymbolFile | None:
    """None if it is not a file with symbols. Each file is read once for all programs that map it."""
    status = os.fstat(file.fd)
    return _read(file.name, (status.st_dev, status.st_ino, status.st_mtime_ns), file.fd, status.st_size)


class Symbols:
    """One address space's files."""

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self._files: list[tuple[int, int, SymbolFile]] = []
        self._count = -1

    def files(self) -> list[tuple[int, int, SymbolFile]]:
        """(start, end, file) of each file whose first page is mapped, by address."""
        if len(self._space.vmas) != self._count:
            self._count = len(self._space.vmas)
            self._files = list(self._find())
        return self._files

    def forget(self) -> None:
        """Mappings have changed."""
        self._count = -1

    def _find(self) -> Iterator[tuple[int, int, SymbolFile]]:
        seen: set[str] = set()
        for vma in self._space:
            if vma.file is None or vma.file.name in seen or vma.offset:
                continue
            seen.add(vma.file.name)
            found = read_mapped(vma.file)
            if found is not None and found.image.segments:
                yield vma.start, max(segment.end for segment in found.image.segments), found

    def address(self, name: str) -> int:
        """`NAME` (the program's before the libraries'; a library's function is its slot, `NAME$impl` what is behind it) or
        `FILE:NAME`. Raises SymbolError."""
        where, colon, symbol = name.rpartition(":")
        files = [file for _, _, file in self.files()]
        for file in sorted(files, key=lambda file: file.image.library is not None):
            if (not colon or file.name == where) and symbol in file.own:
                return file.own[symbol]
        names = ", ".join(file.name for file in files)
        raise SymbolError(f"no symbol `{symbol}` in {where if colon else names or 'what is mapped'}")

    def slot(self, address: int) -> tuple[SymbolFile, int, str] | None:
        """The slot that begins at an address: file, number, name."""
        files = self.files()
        position = bisect_right(files, address, key=lambda row: row[0]) - 1
        if position < 0:
            return None
        found = files[position][2].slot_at(address)
        return None if found is None else (files[position][2], *found)

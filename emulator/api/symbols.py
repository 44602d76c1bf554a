"""Names to addresses, over the files that are mapped now. (The other direction is emulator/trace/symbols.py.)"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from uselib.emulator.api.errors import SymbolError
from uselib.linker.errors import ToolError
from uselib.linker.formats import elf
from uselib.linker.formats.dynamic_object import read_dynamic_object
from uselib.linker.formats.elf_image import read_image
from uselib.linker.image import ExportKind, Image
from uselib.loader.memory.address_space import PROT_EXEC, AddressSpace
from uselib.loader.memory.vma import MappedFile
from uselib.loader.programs.images import load_bias


@dataclass(frozen=True)
class SymbolFile:
    """The names of one mapped file. name: a library's identity name (`libc_s`), or the file's base name; soname: DT_SONAME; bias: added to
    what the file says."""

    name: str
    image: Image
    own: dict[str, int]  # what the file defines itself, as in the file (a library's functions at their slots)
    soname: str = ""
    bias: int = 0

    def named(self, where: str) -> bool:
        return where in (self.name, self.soname)

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
        data = os.pread(fd, size, 0)
        image = read_image(data, name, relative=True)
        dynamic = read_dynamic_object(data, name)
    except (ToolError, OSError):
        return None
    own = {symbol.name: symbol.address for symbol in image.symbols if symbol.name and not symbol.absolute}
    own |= {export.name: export.address for export in image.exports}
    if dynamic is not None:  # of several versions the default one
        default = (row for row in dynamic.symbols if row.defined and not row.hidden and row.type != elf.STT_TLS)
        own |= {row.name: row.value for row in default if row.value and not row.absolute}
    known = os.path.basename(name) if image.library is None else image.library.identity.name
    return SymbolFile(known, image, own, "" if dynamic is None else dynamic.soname)


def read_mapped(file: MappedFile) -> SymbolFile | None:
    """None if it is not a file with symbols. Each file is read once for all programs that map it."""
    status = os.fstat(file.fd)
    return _read(file.name, (status.st_dev, status.st_ino, status.st_mtime_ns), file.fd, status.st_size)


class Symbols:
    """One address space's files, made when its program is loaded: what is mapped then is the program, and its dynamic linker if it has one."""

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self._files: list[tuple[int, int, SymbolFile]] = []
        self._count = -1
        self._first = [vma.file.name for vma in space if vma.file is not None and not vma.offset]  # from the lowest up

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
            found = read_mapped(vma.file)
            if found is None or not found.image.segments:
                continue
            bias = load_bias(found.image, vma)
            end = bias + max(segment.end for segment in found.image.segments)
            if found.image.relative and not any(
                other.prot & PROT_EXEC and other.name == vma.name
                for other in self._space.vmas.overlapping(vma.start, end)
            ):
                continue  # a file that is only read
            seen.add(vma.file.name)
            yield vma.start, end, replace(found, bias=bias) if bias else found

    def _in_order(self) -> list[SymbolFile]:
        """The program, then libraries (shared objects as they were mapped: from the highest address down), the dynamic linker last."""
        rows = [(self._rank(file), -start, file) for start, _, file in self.files()]
        return [file for _, _, file in sorted(rows, key=lambda row: row[:2])]

    def _rank(self, file: SymbolFile) -> int:
        names = [os.path.basename(name) for name in self._first]
        if file.name not in names:
            return 1
        return 0 if file.name == names[0] else 2

    def address(self, name: str) -> int:
        """`NAME` (the program's before the libraries'; a library's function is its slot, `NAME$impl` what is behind it) or
        `FILE:NAME`. Raises SymbolError."""
        where, colon, symbol = name.rpartition(":")
        files = self._in_order()
        for file in files:
            if (not colon or file.named(where)) and symbol in file.own:
                return file.own[symbol] + file.bias
        names = ", ".join(file.name for _, _, file in self.files())
        raise SymbolError(f"no symbol `{symbol}` in {where if colon else names or 'what is mapped'}")

    def shared_object(self, address: int) -> str:
        """Name of the shared object that an address lies in; empty for other files."""
        for start, end, file in self.files():
            if start <= address < end and file.image.relative and self._rank(file):
                return file.name
        return ""

    def slot(self, address: int) -> tuple[SymbolFile, int, str] | None:
        """The slot that begins at an address: file, number, name."""
        files = self.files()
        position = bisect_right(files, address, key=lambda row: row[0]) - 1
        if position < 0:
            return None
        found = files[position][2].slot_at(address)
        return None if found is None else (files[position][2], *found)

"""From an address in guest memory to a name: the symbol tables of the files that are mapped there, read when first asked."""

from __future__ import annotations

import os
from bisect import bisect_right

from uselib.linker.image import Image
from uselib.linker.quick_dataclass import dataclass
from uselib.loader.memory.address_space import AddressSpace
from uselib.loader.memory.vma import Vma
from uselib.loader.programs.images import image_of, load_bias


@dataclass(frozen=True)
class SymbolOffset:
    """Where an address lies. symbol: empty if the file has none there; offset: from the symbol, or from the file's start."""

    symbol: str
    offset: int
    file: str

    def __str__(self) -> str:
        """`main+0x1c in hello`, `0x1234 in hello`."""
        where = f" in {os.path.basename(self.file)}" if self.file else ""
        name = f"{self.symbol}+{self.offset:#x}" if self.offset else self.symbol
        return (name if self.symbol else f"{self.offset:#x}") + where


class _NamedSymbols:
    """The functions and data of one file, by address. A name at a slot gives way to the implementation behind it only
    where that is another address."""

    def __init__(self, image: Image) -> None:
        self.image = image
        rows = sorted({(s.address, -s.size, s.name, s.size) for s in image.symbols if s.name and not s.absolute})
        best: dict[int, tuple[str, int]] = {}
        for address, _, name, size in rows:
            best.setdefault(address, (name, size))
        self._addresses = sorted(best)
        self._names = [best[address] for address in self._addresses]

    def find(self, address: int) -> tuple[str, int] | None:
        """(name, offset) of the symbol that contains the address, or of the nearest one below that has no size."""
        index = bisect_right(self._addresses, address) - 1
        if index < 0:
            return None
        name, size = self._names[index]
        offset = address - self._addresses[index]
        return (name, offset) if offset < max(size, 1) or not size else None


class SymbolMap:
    """Symbols of one address space."""

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self._tables: dict[str, _NamedSymbols | None] = {}

    def place(self, address: int) -> SymbolOffset | None:
        """None if nothing is mapped at the address."""
        vma = self._space.find(address)
        if vma is None:
            return None
        table, bias = self._table(vma)
        found = table.find(address - bias) if table is not None else None
        if found is not None:
            return SymbolOffset(found[0], found[1], vma.name)
        return SymbolOffset("", address - vma.start + vma.offset, vma.name)

    def _table(self, vma: Vma) -> tuple[_NamedSymbols | None, int]:
        """The names of a mapping's file, and what is added to their addresses."""
        file, source = vma.known, vma
        if file is None:
            below = self._space.find(vma.start - 1)  # bss lies behind its file's data
            if below is None or below.known is None:
                return None, 0
            file, source = below.known, below
        if file.name not in self._tables:
            image = image_of(file)
            self._tables[file.name] = None if image is None else _NamedSymbols(image)
        table = self._tables[file.name]
        return table, 0 if table is None else load_bias(table.image, source)

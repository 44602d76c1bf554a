"""What the recorder knows of a mapped file: its functions, for naming callers and for recording calls inside it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from uselib.linker.errors import ToolError
from uselib.linker.formats.dynamic_symbols import NO_SYMBOLS, ObjectSymbols, dynamic_symbols
from uselib.linker.formats.library_names import RETIRED_SUFFIX, THUNK_SUFFIX, plain_name
from uselib.linker.image import Identity, Image
from uselib.linker.quick_dataclass import dataclass, replace
from uselib.loader.memory.layout import page_down
from uselib.loader.memory.vma import MappedFile
from uselib.loader.programs.images import host_path, read_image


@dataclass(frozen=True)
class KnownFile:
    """A file that the program has mapped. digest: SHA-256 of its bytes; file: keeps it open; dynamic: of a shared object or dynamic program;
    bias: what is added to the addresses in an ET_DYN; program: it is the program itself."""

    path: str
    digest: str
    image: Image
    file: MappedFile
    dynamic: ObjectSymbols = NO_SYMBOLS
    bias: int = 0
    program: bool = False

    @classmethod
    def read(cls, file: MappedFile, stubs: Sequence[str] = (), *, program: bool = False) -> KnownFile | None:
        """None if it is not a program or library that we know. stubs: files that name slots (loader/programs/images.py)."""
        try:
            data = os.pread(file.fd, file.size(), 0)
            image = read_image(data, file.name, host_path(file.fd), stubs)
            dynamic = dynamic_symbols(data, file.name) if data[:4] == b"\x7fELF" else NO_SYMBOLS
        except (ToolError, OSError):
            return None
        return cls(file.name, hashlib.sha256(data).hexdigest(), image, file, dynamic, program=program)

    def at(self, bias: int) -> KnownFile:
        """The same file, mapped elsewhere."""
        return self if bias == self.bias else replace(self, bias=bias)

    @property
    def host_path(self) -> str:
        """Names the file to the host, wherever the guest has it."""
        return f"/proc/self/fd/{self.file.fd}"

    @property
    def base(self) -> int:
        low = min((segment.address for segment in self.image.segments), default=0)
        return page_down(low + self.bias) if self.image.relative else low

    @property
    def end(self) -> int:
        return max((segment.end for segment in self.image.segments), default=0) + self.bias

    @property
    def identity(self) -> Identity | None:
        """Of a target library."""
        header = self.image.library
        return None if header is None else header.identity

    @property
    def object_name(self) -> str:
        """Of a target library its own, of a shared object its file's. Empty for a program."""
        if self.identity is not None:
            return self.identity.name
        return os.path.basename(self.path) if self.image.relative and not self.program else ""

    @cached_property
    def slot_names(self) -> dict[int, str]:
        names = {export.slot: export.name for export in self.image.exports if export.slot}
        header = self.image.library
        if header is not None and header.slot_size:  # a retired function: what it was, NAME$retired
            end = header.slot_address(header.identity.slot_count + 1)
            for symbol in self.image.symbols:
                if header.jump_table <= symbol.address < end and symbol.name.endswith(RETIRED_SUFFIX):
                    names.setdefault((symbol.address - header.jump_table) // header.slot_size + 1, symbol.name)
        return names

    @cached_property
    def functions(self) -> list[tuple[int, int, str]]:
        """(address, size, name) of the functions, ascending, one name an address: the first in byte order, the largest size.
        Slots are left out: their functions are there under the same names."""
        header = self.image.library
        low = high = 0
        if header is not None:
            low, high = header.jump_table, header.slot_address(header.identity.slot_count + 1)
        best: dict[int, tuple[int, int, str]] = {}
        for symbol in self.image.symbols:
            if not symbol.function or symbol.absolute or not symbol.name or low <= symbol.address < high:
                continue
            if symbol.name.endswith(THUNK_SUFFIX):
                continue
            name = plain_name(symbol.name)
            row = (symbol.address + self.bias, symbol.size, name)
            known = best.get(row[0])
            if known is None or (-row[1], row[2]) < (-known[1], known[2]):
                best[row[0]] = row
        return sorted(best.values())

    @cached_property
    def thunks(self) -> list[tuple[int, str]]:
        """(address, name) of the places where the library calls its interposable functions."""
        found = {
            (s.address, s.name.removesuffix(THUNK_SUFFIX)) for s in self.image.symbols if s.name.endswith(THUNK_SUFFIX)
        }
        return sorted(found)

    def description(self, since: int = 0) -> dict[str, Any]:
        """The FILE chunk. since: events before it was mapped."""
        rows = self.functions
        return {
            "path": self.path,
            "base": self.base,
            "end": self.end,
            "digest": self.digest,
            "addresses": [row[0] for row in rows],
            "sizes": [row[1] for row in rows],
            "names": [row[2] for row in rows],
            **({"since": since} if since else {}),
        }

"""Source lines of return addresses, from the DWARF of the file if it is still there. Loaded only where `--lines` asks for it."""

from __future__ import annotations

import os

from uselib.emulator.trace.reading.places import Place
from uselib.linker.dwarf import sections
from uselib.linker.dwarf.line_programs import LineTables
from uselib.linker.errors import ToolError
from uselib.linker.formats import elf
from uselib.linker.reading import read_file

_MAXIMUM_FILE = 1 << 30


class SourceLines:
    """Opens each file once, when the first address in it is asked for, and keeps what it found for each address."""

    def __init__(self) -> None:
        self._tables: dict[str, LineTables | None] = {}
        self._known: dict[tuple[str, int], str] = {}

    def of(self, place: Place, address: int) -> str:
        """`sort.c:12` of the call that returns to `address`; empty if that is not known."""
        key = place.file.path, address
        text = self._known.get(key)
        if text is None:
            text = self._known[key] = self._find(*key)
        return text

    def _find(self, path: str, address: int) -> str:
        if path not in self._tables:
            self._tables[path] = _tables(path)
        tables = self._tables[path]
        found = tables.find(address - 1) if tables is not None else None
        return f"{os.path.basename(found.file)}:{found.line}" if found is not None else ""


def _tables(path: str) -> LineTables | None:
    """The line tables of a file; None for one without readable lines, or another one by now."""
    try:
        if os.path.getsize(path) > _MAXIMUM_FILE:
            return None
        debug = sections.find(elf.ElfFile(memoryview(read_file(path)), path), path)
    except (OSError, ToolError):
        return None
    return LineTables(debug) if debug is not None else None

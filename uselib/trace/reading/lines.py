"""Source lines of return addresses, from the DWARF of the file if it is still there. Loaded only where `--lines` asks for it."""

from __future__ import annotations

import os

from uselib.linker.dwarf import sections
from uselib.linker.dwarf.line_programs import LineTables
from uselib.linker.errors import ToolError
from uselib.linker.formats import elf
from uselib.linker.reading import read_file
from uselib.loader.programs.headers import dynamic_place
from uselib.trace.reading.places import Place, TracedFile

_MAXIMUM_FILE = 1 << 30
_PAGE = 4096  # holds the headers


class SourceLines:
    """Opens each file once, when the first address in it is asked for, and keeps what it found for each address."""

    def __init__(self) -> None:
        self._tables: dict[str, tuple[LineTables | None, int | None]] = {}
        self._known: dict[tuple[str, int], str] = {}

    def of(self, place: Place, address: int) -> str:
        """`sort.c:12` of the call that returns to `address`; empty if that is not known."""
        key = place.file.path, address
        text = self._known.get(key)
        if text is None:
            text = self._known[key] = self._find(place.file, address)
        return text

    def _find(self, file: TracedFile, address: int) -> str:
        path = file.path
        if path not in self._tables:
            self._tables[path] = _tables(path)
        tables, start = self._tables[path]
        bias = 0 if start is None else file.base - start
        found = tables.find(address - bias - 1) if tables is not None else None
        return f"{os.path.basename(found.file)}:{found.line}" if found is not None else ""


def _tables(path: str) -> tuple[LineTables | None, int | None]:
    """The line tables of a file, and where the file begins by its own addresses if it is an ET_DYN. None: it has no readable lines."""
    try:
        if os.path.getsize(path) > _MAXIMUM_FILE:
            return None, None
        data = read_file(path)
        debug = sections.find(elf.ElfFile(memoryview(data), path), path)
    except (OSError, ToolError):
        return None, None
    place = dynamic_place(bytes(data[:_PAGE]))
    start = place.start if place is not None and place.relative else None
    return (LineTables(debug) if debug is not None else None), start

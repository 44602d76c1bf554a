"""Source lines of return addresses, from the DWARF of the file if it is still there. Loaded only where `--lines` asks for it."""

from __future__ import annotations

import os
from bisect import bisect_right

from uselib.emulator.trace.reading.places import Place, TracedFile

_MAXIMUM_FILE = 1 << 30
# what pyelftools lets through of damaged files
_DEFECTS = (ValueError, KeyError, IndexError, AttributeError, TypeError, AssertionError)


class SourceLines:
    """Reads the line tables of each file once, when the first address in it is asked for."""

    def __init__(self) -> None:
        self._tables: dict[str, tuple[list[int], list[str]]] = {}

    def of(self, place: Place, address: int) -> str:
        """`sort.c:12` of the call that returns to `address`; empty if that is not known."""
        file: TracedFile = place.file
        if file.path not in self._tables:
            self._tables[file.path] = _table(file.path)
        addresses, names = self._tables[file.path]
        index = bisect_right(addresses, address - 1) - 1
        return names[index] if index >= 0 else ""


def _table(path: str) -> tuple[list[int], list[str]]:
    """Sorted addresses, and the line that begins at each (empty: code without lines)."""
    from elftools.common.exceptions import DWARFError, ELFError, ELFParseError
    from elftools.construct import ConstructError
    from elftools.elf.elffile import ELFFile

    rows: list[tuple[int, int, str]] = []
    try:
        if os.path.getsize(path) > _MAXIMUM_FILE:
            return [], []
        with open(path, "rb") as file:
            elf = ELFFile(file)
            if not elf.has_dwarf_info():
                return [], []
            dwarf = elf.get_dwarf_info()
            for unit in dwarf.iter_CUs():
                program = dwarf.line_program_for_CU(unit)
                if program is None:
                    continue
                first = 0 if program["version"] >= 5 else 1
                names = [entry.name.decode("utf-8", "replace") for entry in program["file_entry"]]
                for entry in program.get_entries():
                    state = entry.state
                    if state is None:
                        continue
                    at = state.file - first
                    name = os.path.basename(names[at]) if 0 <= at < len(names) else "?"
                    text = "" if state.end_sequence else f"{name}:{state.line}"
                    rows.append((state.address, 0 if state.end_sequence else 1, text))
    except (OSError, ELFError, ELFParseError, DWARFError, ConstructError, *_DEFECTS):
        return [], []  # a file without readable lines, or another one by now: names are shown without them
    rows.sort()
    return [row[0] for row in rows], [row[2] for row in rows]

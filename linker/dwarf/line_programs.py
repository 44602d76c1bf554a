"""Line programs (6.2.5 of the standard): address -> file and line.

The first entry of a unit gives its range of addresses if there is only one, and the unit's program is run when the first address in that
range is asked for. The other programs are run at the first address that those do not cover: units of several ranges do not list them (and
gcc's strict DWARF 2 names only the first). Damage never raises: the rows before it count, and a unit with a damaged header has none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import itemgetter

from uselib.linker.dwarf import constants as dw
from uselib.linker.dwarf.abbreviations import sleb, uleb
from uselib.linker.dwarf.lines import LineHeader, read_header
from uselib.linker.dwarf.sections import Sections
from uselib.linker.dwarf.units import DAMAGE, Information, Unit
from uselib.linker.quick_dataclass import NamedTuple

# DW_LNS_*; all other standard opcodes change nothing that is asked for here, and have LEB128 arguments
_COPY, _ADVANCE_PC, _ADVANCE_LINE, _SET_FILE, _CONST_ADD_PC, _FIXED_ADVANCE_PC = 1, 2, 3, 4, 8, 9
_END_SEQUENCE, _SET_ADDRESS, _DEFINE_FILE = 1, 2, 3  # DW_LNE_*

LineRow = tuple[int, int, int]  # address, number of the file, line


class SourceLine(NamedTuple):
    """file: as the compiler saw it, or "?" where the table has no such file. line: 0 where code has no line of its own."""

    file: str
    line: int


class LineSequence(NamedTuple):
    """Rows in the order of their addresses; the last one holds up to `end`. names: of the table's files."""

    start: int
    end: int
    rows: list[LineRow]
    names: Sequence[str]


class LineTables:
    """The line tables of one file. Programs are run when they are needed."""

    def __init__(self, sections: Sections) -> None:
        self._sections = sections
        self._waiting: list[tuple[int, int, int]] = []  # first address, end, offset of a table that is not read yet
        information = Information(sections)
        seen: set[int] = set()
        for unit in information.units:
            at = _table_of(information, unit)
            if at >= 0 and at not in seen:
                seen.add(at)
                self._waiting.append((*_range(unit), at))
        self._sequences: list[LineSequence] = []
        self._starts: list[int] = []

    def find(self, address: int) -> SourceLine | None:
        """The line of the instruction at an address (of the file as it was linked); None if no table covers it."""
        for reads_all in (False, True):
            self._read(address, reads_all)
            found = self._covering(address)
            if found is not None:
                row = found.rows[bisect_right(found.rows, address, key=itemgetter(0)) - 1]
                name = found.names[row[1]] if row[1] < len(found.names) else ""
                return SourceLine(name or "?", row[2])
        return None

    def _covering(self, address: int) -> LineSequence | None:
        """Of the sequences that cover an address, the one that begins last: sections that a linker dropped have sequences from 0 on."""
        for index in range(bisect_right(self._starts, address) - 1, -1, -1):
            if address < self._sequences[index].end:
                return self._sequences[index]
        return None

    def _read(self, address: int, reads_all: bool) -> None:
        """Runs the programs of units that cover an address by their first entries, or all that have not been run."""
        chosen: list[tuple[int, int, int]] = []
        kept: list[tuple[int, int, int]] = []
        for entry in self._waiting:
            (chosen if reads_all or entry[0] <= address < entry[1] else kept).append(entry)
        if not chosen:
            return
        self._waiting = kept
        for _, _, at in chosen:
            try:
                header = read_header(self._sections, at)
            except DAMAGE:
                continue
            self._sequences.extend(sequences(self._sections.line, header))
        self._sequences.sort(key=itemgetter(0))
        self._starts = [sequence.start for sequence in self._sequences]


def _table_of(information: Information, unit: Unit) -> int:
    """Where a unit's line table is in .debug_line; -1 if it has none, or its first entry is damaged."""
    try:
        at = information.open(unit).get(dw.STMT_LIST, -1)
    except DAMAGE:
        return -1
    return at if isinstance(at, int) else -1


def _range(unit: Unit) -> tuple[int, int]:
    """The range of addresses in a unit's first entry, or none. DW_AT_high_pc is an address or a size, by its form. The wider range is taken;
    the only cost is that a program may run early.
    """
    low, high = unit.top.get(dw.LOW_PC, 0), unit.top.get(dw.HIGH_PC, 0)
    return (low, max(high, low + high)) if high else (0, 0)


def sequences(data: bytes, header: LineHeader) -> Iterator[LineSequence]:
    """Runs a line program. Rows without DW_LNE_end_sequence behind them belong to no sequence (6.2.5 of the standard)."""
    rows: list[LineRow] = []
    names = list(header.names)
    try:
        for row in _rows(data, header, names):
            if row[2] >= 0:
                rows.append(row)
                continue
            rows.sort(key=itemgetter(0))
            if rows and rows[0][0] < row[0]:
                yield LineSequence(rows[0][0], row[0], rows, names)
            rows = []
    except DAMAGE:
        return


def _rows(data: bytes, header: LineHeader, names: list[str]) -> Iterator[LineRow]:
    """The rows of the line matrix; line -1 ends a sequence. `names` gets the files that the program defines. Raises DAMAGE."""
    at, end, base, step = header.start, min(header.end, len(data)), header.opcode_base, header.step
    line_base, line_range = header.line_base, header.line_range
    address, file, line = 0, 1, 1
    while at < end:
        opcode = data[at]
        at += 1
        if opcode >= base:
            advance, more = divmod(opcode - base, line_range)
            address += advance * step
            line = max(line + line_base + more, 0)
            yield address, file, line
        elif not opcode:
            size, at = uleb(data, at)
            kind = data[at]
            if kind == _END_SEQUENCE:
                yield address, file, -1
                address, file, line = 0, 1, 1
            elif kind == _SET_ADDRESS:
                address = int.from_bytes(data[at + 1 : at + size], "little")
            elif kind == _DEFINE_FILE:
                names.append(data[at + 1 : data.index(0, at + 1)].decode("utf-8", "replace"))
            at += size
        elif opcode == _COPY:
            yield address, file, line
        elif opcode == _ADVANCE_PC:
            advance, at = uleb(data, at)
            address += advance * step
        elif opcode == _ADVANCE_LINE:
            advance, at = sleb(data, at)
            line = max(line + advance, 0)
        elif opcode == _SET_FILE:
            file, at = uleb(data, at)
        elif opcode == _CONST_ADD_PC:
            address += (255 - base) // line_range * step
        elif opcode == _FIXED_ADVANCE_PC:
            address += int.from_bytes(data[at : at + 2], "little")
            at += 2
        else:
            for _ in range(header.arguments[opcode - 1]):
                _, at = uleb(data, at)

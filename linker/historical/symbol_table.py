"""The symbols of a finished link, with section numbers as in the old formats: sections from 1, 0 undefined, -1 absolute (coff(4))."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from uselib.linker.passes.layout import Layout
from uselib.linker.passes.output_symbols import OutputSymbol, named_rows
from uselib.linker.quick_dataclass import NamedTuple

UNDEFINED_SECTION, ABSOLUTE_SECTION = 0, -1


class TableSymbol(NamedTuple):
    """section: number of a section of the layout from 1, or one of the two constants above."""

    name: str
    local: bool
    section: int
    value: int


def table_symbols(rows: Iterable[OutputSymbol], layout: Layout) -> Iterator[TableSymbol]:
    """The symbols that have a name, in order. Values are cut to 32 bits."""
    number_of = {section.index: number for number, section in enumerate(layout.sections, 1)}
    number_of[0] = UNDEFINED_SECTION
    for name, local, index, value in named_rows(rows):
        yield TableSymbol(name, local, number_of.get(index, ABSOLUTE_SECTION), value & 0xFFFF_FFFF)

"""The symbol bindings: a table in the order in which they happened, narrowed by a search; Enter goes to what happened next."""

from __future__ import annotations

import os
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable

from uselib.trace.reading.bindings import BindingEvent
from uselib.trace.reading.text import matches
from uselib.trace.tui.style import Palette

_COLUMNS = {"when": 18, "from": 22, "symbol": 36, "found in": 22, "how": 24, "asked": 5}
_MOST = 5000  # rows in the table


def binding_fits(event: BindingEvent, pattern: str) -> bool:
    """Whether a search for `pattern` means it: a glob, or a part, of its symbol or one of its two objects; any if empty."""
    if not any(character in pattern for character in "*?["):
        pattern = f"*{pattern}*"
    row = event.binding
    names = (row.symbol, row.plain_symbol, os.path.basename(row.referrer), os.path.basename(row.definer))
    return any(matches(name, (pattern,)) for name in names)


class BindingTable(DataTable[Text]):
    """rows_shown: those that fit the pattern, at most so many as are worth a table."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
        Binding("g", "scroll_top", show=False),
        Binding("G", "scroll_bottom", show=False),
    ]

    class ChosenBinding(Message):
        """Enter on a binding."""

        def __init__(self, row: BindingEvent) -> None:
            super().__init__()
            self.row = row

    def __init__(self, palette: Palette, rows: list[BindingEvent], *, id: str) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, cell_padding=1)
        self.palette = palette
        self.rows_shown: list[BindingEvent] = []
        self._all = rows
        self._filled = False

    def fill(self, pattern: str) -> int:
        """Shows those that fit; returns how many they are."""
        found = [row for row in self._all if binding_fits(row, pattern)]
        self.rows_shown = found[:_MOST]
        self._filled = True
        self.clear(columns=True)
        for name, width in _COLUMNS.items():
            self.add_column(Text(name, justify="right" if name == "asked" else "left"), key=name, width=width)
        for number, event in enumerate(self.rows_shown):
            self.add_row(*self._cells(event), key=str(number))
        return len(found)

    def filled(self) -> bool:
        return self._filled

    def _cells(self, event: BindingEvent) -> list[Text]:
        row, style = event.binding, self.palette.style
        definer = os.path.basename(row.definer)
        how = ", ".join(part for part in (row.kind if row.kind != row.when else "", row.result) if part)
        thread = f" [{event.thread}]" if event.thread else ""
        return [
            Text(row.when + thread, style("dim")),
            Text(os.path.basename(row.referrer)),
            Text(row.symbol, style(f"library {definer}")),
            Text(definer or ("nothing" if not row.address else f"{row.address:#x}"), style("" if definer else "late")),
            Text(how, style("dim")),
            Text("?" if row.asked is None else str(row.asked), justify="right"),
        ]

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        if event.cursor_row < len(self.rows_shown):
            self.post_message(self.ChosenBinding(self.rows_shown[event.cursor_row]))

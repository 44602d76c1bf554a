"""The summary: calls and times of each function, sortable, counted by a thread when it is asked for first."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable

from uselib.trace.reading.calltree import build
from uselib.trace.reading.model import TraceFile
from uselib.trace.reading.summary import TotalRow, function_rows, ordered
from uselib.trace.tui.style import Palette

COLUMNS = ("calls", "total", "self", "average", "name")  # also what --sort of `trace summary` takes
_MOST = 5000  # rows in the table


class Stopped(Exception):
    """The application ends while a thread still counts."""


def counted(path: str, processes: set[int], running: Callable[[], bool]) -> list[TotalRow]:
    """A row for each function that was called, in the processes of these indexes. Opens the file again: it is for a thread, and
    a TraceFile is for one. Raises ToolError, OSError, and Stopped as soon as `running` says no."""

    def visit(*_: object) -> None:
        if not running():
            raise Stopped

    with TraceFile(path) as trace:
        return function_rows(trace, build(trace, [p for p in trace.processes if p.index in processes], visit))


class SummaryTable(DataTable[Text]):
    """Functions with their calls and times."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "order(1)", "Sort by next"),
        Binding("O", "order(-1)", "Sort by previous", show=False),
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
        Binding("g", "scroll_top", show=False),
        Binding("G", "scroll_bottom", show=False),
    ]

    class Chosen(Message):
        """Enter on a function."""

        def __init__(self, row: TotalRow) -> None:
            super().__init__()
            self.row = row

    def __init__(self, palette: Palette, *, id: str) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, cell_padding=1)
        self.palette = palette
        self.rows_shown: list[TotalRow] = []
        self.order = "total"
        self._all: list[TotalRow] = []

    def show(self, rows: list[TotalRow]) -> None:
        self._all = rows
        self._fill()

    def _fill(self) -> None:
        self.clear(columns=True)
        for name in COLUMNS:
            mark = " ▾" if name == self.order else ""
            title = "function" if name == "name" else name
            width = {"calls": 10, "total": 12, "self": 12, "average": 10}.get(name)
            head = Text(f"{title}{mark}", justify="left" if name == "name" else "right")
            self.add_column(head, key=name, width=width)
        self.rows_shown = ordered(self._all, self.order)[:_MOST]
        for number, row in enumerate(self.rows_shown):
            style = self.palette.style
            label = Text(f"{row.library}!" if row.library else "", style("dim"))
            label.append(row.symbol, style(f"library {row.library}"))
            label.append(f"[{row.slot}]" if row.slot else "", style("dim"))
            label.append(f"  {row.unfinished:,} without return" if row.unfinished else "", style("late"))
            cells = (f"{row.calls:,}", f"{row.total:,}", f"{row.self_time:,}", f"{row.average:,.1f}")
            self.add_row(*(Text(cell, justify="right") for cell in cells), label, key=str(number))

    def action_order(self, step: int) -> None:
        self.order = COLUMNS[(COLUMNS.index(self.order) + step) % len(COLUMNS)]
        self._fill()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        self.order = str(event.column_key.value)
        self._fill()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        if event.cursor_row < len(self.rows_shown):
            self.post_message(self.Chosen(self.rows_shown[event.cursor_row]))

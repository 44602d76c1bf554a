"""The list of events: a widget that draws the lines it shows and no others."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from uselib.trace.tui.style import Palette
from uselib.trace.tui.text import Lines, Shape
from uselib.trace.tui.view import View

_SIDEWAYS = 8  # columns a step
_KEPT = 1024  # lines


class Listing(ScrollView, can_focus=True):
    """cursor: position in view.rows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup,ctrl+b", "page(-1)", show=False),
        Binding("pagedown,ctrl+f", "page(1)", show=False),
        Binding("home,g", "edge(-1)", show=False),
        Binding("end,G", "edge(1)", show=False),
        Binding("less_than_sign,shift+left", "sideways(-1)", show=False),
        Binding("greater_than_sign,shift+right", "sideways(1)", show=False),
    ]

    class Moved(Message):
        """The cursor is on another row, or the same row has changed."""

    def __init__(self, view: View, lines: Lines, palette: Palette, *, id: str) -> None:
        super().__init__(id=id)
        self.view, self.lines, self.palette = view, lines, palette
        self.cursor = 0
        self.time = False
        self._shift = 0
        self._cache: dict[tuple[int, bool, Shape], list[Segment]] = {}

    # -- contents -----------------------------------------------------------------------------------------------------

    @property
    def row(self) -> int | None:
        """The row under the cursor."""
        rows = self.view.rows
        return int(rows[self.cursor]) if 0 <= self.cursor < len(rows) else None

    def changed(self, row: int | None = None) -> None:
        """The view has other rows: the cursor goes to `row`, or what is listed before it."""
        self._cache.clear()
        count = len(self.view.rows)
        self.virtual_size = Size(1, count)
        at = self.cursor if row is None else self.view.position(row)
        self.cursor = max(min(at, count - 1), 0)
        self._show_cursor()

    def grown(self) -> None:
        """There are more rows at the end."""
        self._cache.clear()
        self.virtual_size = Size(1, len(self.view.rows))
        self.refresh()

    def go(self, position: int) -> None:
        self.cursor = max(min(position, len(self.view.rows) - 1), 0)
        self._show_cursor()

    def _show_cursor(self) -> None:
        height = max(self.scrollable_content_region.height, 1)
        top = int(self.scroll_offset.y)
        margin = min(2, (height - 1) // 2)
        if self.cursor < top + margin:
            top = self.cursor - margin
        elif self.cursor > top + height - 1 - margin:
            top = self.cursor - height + 1 + margin
        self.scroll_to(y=max(top, 0), animate=False, force=True)
        self.refresh()
        self.post_message(self.Moved())

    # -- drawing ------------------------------------------------------------------------------------------------------

    def on_resize(self, _: events.Resize) -> None:
        self._cache.clear()
        self.virtual_size = Size(1, len(self.view.rows))
        self._show_cursor()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        position = int(self.scroll_offset.y) + y
        rows = self.view.rows
        if position >= len(rows):
            return Strip.blank(width, self.rich_style)
        row = int(rows[position])
        strip = Strip(self._segments(row)).crop(self._shift, self._shift + width)
        chosen = position == self.cursor
        style = self.rich_style + self.palette.cursor if chosen else self.rich_style
        if chosen:  # roles have no background, so this one is seen
            strip = strip.apply_style(self.palette.cursor)
        return strip.apply_style(self.rich_style).extend_cell_length(width, style)

    def _segments(self, row: int) -> list[Segment]:
        shape = Shape(max(self.size.width // 3, 8), self.time, len(self.view.index.processes) > 1)
        key = row, row in self.view.folds, shape
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= _KEPT:
                self._cache.clear()
            style = self.palette.style
            found = [Segment(text, style(role)) for role, text in self.lines.line(row, key[1], shape) if text]
            self._cache[key] = found
        return found

    # -- keys and mouse -----------------------------------------------------------------------------------------------

    def action_move(self, step: int) -> None:
        self.go(self.cursor + step)

    def action_page(self, step: int) -> None:
        self.go(self.cursor + step * max(self.scrollable_content_region.height - 1, 1))

    def action_edge(self, side: int) -> None:
        self.go(0 if side < 0 else len(self.view.rows) - 1)

    def action_sideways(self, step: int) -> None:
        self._shift = max(self._shift + step * _SIDEWAYS, 0)
        self.refresh(Region(0, 0, *self.size))

    def toggle_time(self) -> None:
        self.time = not self.time
        self._cache.clear()
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        self.go(int(self.scroll_offset.y) + event.y)

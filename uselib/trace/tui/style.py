"""What the screen looks like: its style sheet, and the roles of text with colours and without (NO_COLOR)."""

from __future__ import annotations

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.color import Color as TextualColor
from textual.filter import LineFilter

from uselib.trace.tui.text import Pieces

ROLES = {
    "": Style(),
    "dim": Style(color="#8a8f98"),
    "label": Style(color="#8a8f98"),
    "mark": Style(color="#ffd75f"),
    "value": Style(color="#87d787"),
    "other": Style(color="#d787d7"),
    "late": Style(color="#ffaf00"),
}
LIBRARIES = ("#5fd7ff", "#ffaf5f", "#afd75f", "#ff87af", "#87afff", "#5fd7af", "#d7afff", "#ffd75f")  # in turn
CURSOR, CURSOR_PLAIN = Style(bgcolor="#2f4f74", bold=True), Style(reverse=True)


class Palette:
    """Styles by role; libraries get theirs in the order of the trace."""

    def __init__(self, libraries: list[str], colours: bool) -> None:
        self.colours = colours
        self._names: dict[str, Style] = {"library ": Style(bold=True)}
        for number, library in enumerate(dict.fromkeys(name for name in libraries if name)):
            self._names[f"library {library}"] = Style(color=LIBRARIES[number % len(LIBRARIES)], bold=True)

    @property
    def cursor(self) -> Style:
        return CURSOR if self.colours else CURSOR_PLAIN

    def style(self, role: str) -> Style:
        return ROLES.get(role) or self._names.get(role, ROLES[""])

    def text(self, lines: list[Pieces]) -> Text:
        out = Text(no_wrap=False)
        for number, line in enumerate(lines):
            out.append("\n" if number else "")
            for role, part in line:
                out.append(part, self.style(role))
        return out


class NoColours(LineFilter):
    """Takes the colours off everything that is drawn, and leaves bold, reverse and underline: NO_COLOR."""

    _PLAIN = Style.from_color(Color.default(), Color.default())

    def apply(self, segments: list[Segment], background: TextualColor) -> list[Segment]:
        return [
            Segment(text, None if style is None else style + self._PLAIN, control) for text, style, control in segments
        ]


SHEET = """
Screen { layout: vertical; }
#title { height: 1; padding: 0 1; background: $primary-darken-2; color: $text; text-style: bold; }
#panes { height: 1fr; }
#events-pane { height: 1fr; layout: vertical; }
#list { height: 1fr; overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1; }
#details { height: 35%; min-height: 4; max-height: 16; border-top: solid $primary; padding: 0 1;
           scrollbar-size-vertical: 1; }
#details:focus { border-top: heavy $accent; }
#summary, #bindings { height: 1fr; scrollbar-size-vertical: 1; }
#prompt { display: none; height: 1; border: none; padding: 0 1; background: $boost; }
#status { height: 1; padding: 0 1; background: $boost; }
Help { align: center middle; }
Help VerticalScroll { width: 82; height: 25; max-height: 100%; border: round $primary; background: $surface;
                      scrollbar-size-vertical: 1; }
.plain #title, .plain #status { text-style: reverse; }
.plain DataTable > .datatable--cursor { text-style: reverse; }
.plain Input > .input--cursor { text-style: reverse; }
"""

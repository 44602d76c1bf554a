"""The keys: what each does, the prompts they open, and the help screen."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

KEYS = (
    ("up down, j k", "one event"),
    ("PgUp PgDn, ^B ^F", "one screen"),
    ("Home End, g G", "first, last event"),
    ("[ ]", "previous, next call in the same call"),
    ("c", "to the caller: the call around this event"),
    ("r", "from a call to its return, and back"),
    ("Enter, Space", "fold, unfold the call"),
    ("U", "unfold all"),
    ("/", "search: part of a name, a glob, LIBRARY!SYMBOL; bindings: only these"),
    ("n N", "next, previous found call"),
    ("f", "filter by library (globs)"),
    ("F", "filter by symbol (globs)"),
    ("d", "only calls nested less than N deep"),
    ("T", "only one thread"),
    ("- +", "one level less, one more"),
    ("x", "no filters"),
    ("t", "show times"),
    ("< >", "scroll sideways"),
    ("Tab", "to the details and back (scroll with up, down)"),
    ("1 2 3", "events, summary, symbol bindings"),
    ("o O, Enter", "summary: sort by the next column; go to calls"),
    ("? q", "this help; quit"),
)


def help_lines() -> str:
    return "\n".join(f"{keys:>18}  {text}" for keys, text in KEYS)


class Help(ModalScreen[None]):
    """The keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss_help", "Close"),
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(Text(help_lines()))

    def action_dismiss_help(self) -> None:
        self.dismiss(None)


BINDINGS: tuple[Binding, ...] = (
    Binding("question_mark", "help", "Help", key_display="?"),
    Binding("q,ctrl+c", "quit", "Quit", key_display="q"),
    Binding("slash", "ask('search')", "Find", key_display="/"),
    Binding("n", "next(1)", "Next"),
    Binding("N", "next(-1)", show=False),
    Binding("enter,space", "fold", "Fold", key_display="⏎"),
    Binding("c", "caller", "Caller"),
    Binding("r", "matching", "Return"),
    Binding("f", "ask('library')", "Libs"),
    Binding("F", "ask('symbol')", show=False),
    Binding("d", "ask('depth')", "Depth"),
    Binding("T", "ask('thread')", show=False),
    Binding("2", "tab('summary')", show=False),
    Binding("3", "tab('bindings')", show=False),
    Binding("1", "tab('events-pane')", show=False),
    Binding("minus", "deeper(-1)", show=False),
    Binding("plus,equals_sign", "deeper(1)", show=False),
    Binding("x", "clear", show=False),
    Binding("U", "unfold", show=False),
    Binding("left_square_bracket", "sibling(-1)", show=False),
    Binding("right_square_bracket", "sibling(1)", show=False),
    Binding("t", "time", show=False),
    Binding("escape", "escape", show=False),
)

TABS = {"events-pane": "1 Events", "summary": "2 Summary", "bindings": "3 Bindings"}
PROMPTS = {
    "search": "search: part of a name, glob, or LIBRARY!SYMBOL",
    "library": "show only these libraries: globs; empty: all",
    "symbol": "show only these functions: globs; empty: all",
    "thread": "show only the thread of this number; empty: all",
    "depth": "show only calls nested less than N deep; empty: all",
}

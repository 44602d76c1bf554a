"""The application: panes, keys, and the threads that read while the screen is in use."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.events import Event, Key
from textual.timer import Timer
from textual.widgets import ContentSwitcher, Footer, Input, Static

from uselib.linker.errors import ToolError
from uselib.trace.reading.bindings import bindings_of
from uselib.trace.reading.decoding import ByPrototype, Decoder, PlainWords
from uselib.trace.reading.lines import SourceLines
from uselib.trace.reading.model import TracedProcess, TraceFile
from uselib.trace.reading.text import plural
from uselib.trace.tui.bindings_tab import BindingTable
from uselib.trace.tui.index import Index
from uselib.trace.tui.keys import BINDINGS, PROMPTS, TABS, Help
from uselib.trace.tui.listing import Listing
from uselib.trace.tui.pages import Pages
from uselib.trace.tui.status import status, title
from uselib.trace.tui.style import SHEET, NoColours, Palette
from uselib.trace.tui.summary_tab import Stopped, SummaryTable, counted
from uselib.trace.tui.text import Lines
from uselib.trace.tui.typed_ahead import TypedAhead
from uselib.trace.tui.view import Filter, View

_GROWTH = 0.1  # seconds between looks at the index while it is built
_SETTLE = 0.03  # seconds the cursor rests before details are made


class TraceApp(App[None]):
    """failure: what ended it, if it was a defect; the terminal is restored by then."""

    TITLE = "uselib trace tui"
    ENABLE_COMMAND_PALETTE = False
    CSS = SHEET
    BINDINGS: ClassVar[list[BindingType]] = list(BINDINGS)

    def __init__(
        self, trace: TraceFile, processes: list[TracedProcess], chosen: Filter, decoder: Decoder, lines: bool = False
    ) -> None:
        self.plain = bool(os.environ.get("NO_COLOR"))
        super().__init__()
        if self.plain:
            self._filters.append(NoColours())
        self.failure: Exception | None = None
        self.trace = trace
        self.index = Index(trace, processes)
        self.view = View(self.index, chosen)
        self._decoder = decoder  # used when it is prepared
        self.lines = Lines(self.index, Pages(self.index), PlainWords(), SourceLines() if lines else None)
        self.ended = False
        self.palette = Palette([function.library for function in trace.functions], not self.plain)
        self.bound = list(bindings_of(processes))
        self._keys = TypedAhead(self, super().on_event)
        self.pattern = ""
        self._asked = ""
        self._note = ""
        self._counting = False
        self._growth: Timer | None = None
        self._settling: Timer | None = None

    async def on_event(self, event: Event) -> None:
        """Of Textual's application, but for keys: these wait for each other."""
        if isinstance(event, Key) and not event.is_forwarded:
            await self._keys.add(event)
        else:
            await super().on_event(event)

    def compose(self) -> ComposeResult:
        yield Static(id="title")
        with ContentSwitcher(initial="events-pane", id="panes"):
            with Vertical(id="events-pane"):
                yield Listing(self.view, self.lines, self.palette, id="list")
                with VerticalScroll(id="details"):
                    yield Static(id="details-text")
            yield SummaryTable(self.palette, id="summary")
            yield BindingTable(self.palette, self.bound, id="bindings")
        yield Static(id="status")
        yield Input(id="prompt")
        yield Footer()

    def on_mount(self) -> None:
        self.screen.set_class(self.plain, "plain")
        self.listing.focus()
        self._title()
        self._steps = self.index.build()
        next(self._steps)  # enough for the first screen
        self.view.update()
        self.listing.grown()
        self._status()
        self.call_after_refresh(self._start)

    def _start(self) -> None:
        """The threads: not before the screen is there, which they would delay."""
        self._settle()
        self.run_worker(self._read, thread=True, exit_on_error=True)
        self._growth = self.set_interval(_GROWTH, self._grow)

    def on_unmount(self) -> None:
        self.ended = True  # threads look at it

    def _fatal_error(self) -> None:
        """Instead of a traceback on the screen: the command line says it in a line."""
        self.failure = self._exception
        self._close_messages_no_wait()

    @property
    def listing(self) -> Listing:
        return self.query_one("#list", Listing)

    @property
    def pane(self) -> str:
        """The one that is shown: a key of TABS."""
        return self.query_one("#panes", ContentSwitcher).current or "events-pane"

    @property
    def on_events(self) -> bool:
        return self.pane == "events-pane"

    # -- threads ------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        for _ in self._steps:
            if self.ended:
                return
        if isinstance(self._decoder, ByPrototype):
            self._prototypes(self._decoder)

    def _prototypes(self, decoder: ByPrototype) -> None:
        """Opens the sources of prototypes: half a second, in which words are shown."""
        machines = {process.machine: process for process in self.index.processes}
        for process in machines.values():
            for number in list(process.functions.values())[:1]:
                decoder.masks(process, self.trace.functions[number])
        self._from_thread(self._decode)

    def _from_thread(self, call: Callable[..., object], *arguments: object) -> None:
        if not self.ended:
            self.call_later(call, *arguments)  # does not wait, so a thread never holds up the end

    def _decode(self) -> None:
        self.lines.decoder = self._decoder
        self.listing.grown()
        self._settle()

    def _grow(self) -> None:
        before = len(self.view.rows)
        complete = self.index.complete
        self.view.update()
        if len(self.view.rows) != before or complete:
            self.listing.grown()
        if not before or complete:
            self._settle()
        if complete and self._growth is not None:
            self._growth.stop()
        self._status()

    # -- title, status, details ---------------------------------------------------------------------------------------

    def _title(self) -> None:
        tabs = {name: title for name, title in TABS.items() if name != "bindings" or self.bound}
        self.query_one("#title", Static).update(title(self.trace, self.index, tabs, self.pane))

    def _status(self) -> None:
        cursor = self.listing.cursor if self.on_events else None
        text = status(self.trace, self.index, self.view, cursor, self._note)
        self.query_one("#status", Static).update(text)

    def _say(self, note: str) -> None:
        self._note = note
        self._status()

    def on_listing_moved(self) -> None:
        self._status()
        if self._settling is not None:
            self._settling.stop()
        self._settling = self.set_timer(_SETTLE, self._settle)

    def _settle(self) -> None:
        row = self.listing.row
        nothing = "no events" if self.index.complete else "reading..."
        if self.index.complete and self.index.count:
            nothing = "no event passes the filters; x shows all"
        text = Text(nothing) if row is None else self.palette.text(self.lines.details(row))
        self.query_one("#details-text", Static).update(text)
        self.query_one("#details", VerticalScroll).scroll_home(animate=False)

    # -- moving about -------------------------------------------------------------------------------------------------

    def _go(self, row: int | None, otherwise: str) -> None:
        if row is None:
            self._say(otherwise)
            return
        self._note = ""
        position = self.view.reveal(row)
        if position is None:
            self._say("the filters leave that event out; x shows all")
            return
        self.listing.changed(row)
        self.listing.go(position)

    def action_caller(self) -> None:
        row = self.listing.row
        if row is not None:
            self._go(self.view.walk.parent(row), "nothing recorded around this event")

    def action_matching(self) -> None:
        row = self.listing.row
        if row is None:
            return
        walk = self.view.walk
        if walk.is_return(row):
            self._go(walk.opening(row), "its call is not in the trace")
        elif walk.is_call(row):
            closing = walk.extent(row).closing
            if closing is not None and self.index.joined[closing]:
                self._say("its return is on the same line")
                return
            if closing is not None and row in self.view.folds:
                self.view.toggle(row)
            self._go(closing, "its return is not in the trace")

    def action_sibling(self, step: int) -> None:
        row = self.listing.row
        if row is not None:
            side = "next" if step > 0 else "previous"
            self._go(self.view.walk.sibling(row, step > 0), f"no {side} call in the same call")

    def action_fold(self) -> None:
        row = self.listing.row
        if row is None:
            return
        if self.view.toggle(row):
            self._note = ""
            self.listing.changed(row)
        else:
            self._say("nothing to fold: no event in this call")

    def action_unfold(self) -> None:
        row = self.listing.row
        self.view.unfold_all()
        self.listing.changed(row)

    def action_next(self, step: int) -> None:
        if not self.pattern:
            self._say("nothing to search for yet: press /")
            return
        row = self.listing.row
        found = self.view.search(self.pattern, -1 if row is None else row, step > 0)
        so_far = "" if self.index.complete else " so far"
        if found is None:
            there = self.view.matching(self.pattern)
            hidden = f"; the filters leave out {there:,}" if there else ""
            self._say(f"no call of {self.pattern}{so_far}{hidden}")
            return
        wrapped = row is not None and (found <= row if step > 0 else found >= row)
        self._go(found, "")
        self._say(
            f"{self.view.matching(self.pattern):,} calls of {self.pattern}{so_far}{', from the other end' * wrapped}"
        )

    # -- filters ------------------------------------------------------------------------------------------------------

    def _filter(self, **changes: Any) -> None:
        row = self.listing.row
        self._note = ""
        self.view.set_filter(replace(self.view.filter, **changes))
        self.listing.changed(0 if row is None else row)

    def action_clear(self) -> None:
        self._filter(library=(), symbol=(), depth=None, thread=None)

    def action_deeper(self, step: int) -> None:
        row = self.listing.row
        depth = self.view.filter.depth
        if depth is None:
            if step > 0 or row is None:
                return
            depth = int(self.index.depth[: self.index.count].max()) + 1
        self._filter(depth=max(depth + step, 1))

    def action_ask(self, what: str) -> None:
        self._asked = what
        prompt = self.query_one("#prompt", Input)
        old = self.view.filter
        now = {
            "search": self.pattern,
            "library": " ".join(old.library),
            "symbol": " ".join(old.symbol),
            "depth": "" if old.depth is None else str(old.depth),
            "thread": "" if old.thread is None else str(old.thread),
        }
        prompt.value = now[what]
        prompt.placeholder = PROMPTS[what]
        prompt.display = True
        prompt.focus()
        prompt.cursor_position = len(prompt.value)
        self._say(f"{PROMPTS[what].partition(':')[0]}: Enter goes, Escape does not")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        words = tuple(event.value.split())
        self.action_escape()
        if self._asked == "search" and self.pane == "bindings":
            self._narrow(event.value.strip())
        elif self._asked == "search":
            self.pattern = event.value.strip()
            self.action_tab("events-pane")
            if self.pattern:
                self.action_next(1)
        elif self._asked in ("depth", "thread"):
            if words and not (words[0].isascii() and words[0].isdigit() and int(words[0]) > 0):
                self._say(f"`{words[0]}` is not a {self._asked}: a number from 1")
                return
            self._filter(**{self._asked: int(words[0]) if words else None})
        else:
            self._filter(**{self._asked: words})

    def action_escape(self) -> None:
        self.query_one("#prompt", Input).display = False
        self._note = ""
        self._focus()
        self._status()

    # -- panes --------------------------------------------------------------------------------------------------------

    def _focus(self) -> None:
        self.query_one("#list" if self.on_events else f"#{self.pane}").focus()

    def action_time(self) -> None:
        self.listing.toggle_time()

    def action_tab(self, name: str) -> None:
        if name == "bindings" and not self.bound:
            self._say("no symbol bindings in this trace: record them with --bindings")
            return
        self.query_one("#panes", ContentSwitcher).current = name
        if name == "bindings" and not self.query_one("#bindings", BindingTable).filled():
            self._narrow("")
        if name == "summary" and not self._counting:
            self._counting = True
            self._note = "counting..."
            self.run_worker(self._count, thread=True, exit_on_error=True)
        self._focus()
        self._title()
        self._status()

    def action_help(self) -> None:
        self.push_screen(Help())

    def _count(self) -> None:
        try:
            rows = counted(self.trace.path, {process.index for process in self.index.processes}, lambda: not self.ended)
        except Stopped:
            return
        except (ToolError, OSError) as failure:
            self._from_thread(self._say, str(failure).partition("\n")[0])
            return
        self._from_thread(self.query_one("#summary", SummaryTable).show, rows)
        self._from_thread(
            self._say, f"{plural(sum(row.calls for row in rows), 'call')} of {plural(len(rows), 'function')}"
        )

    def _narrow(self, pattern: str) -> None:
        """The bindings that a search finds; all if it is empty."""
        self.pattern = pattern
        table = self.query_one("#bindings", BindingTable)
        count, shown = table.fill(pattern), len(table.rows_shown)
        first = f", the first {shown:,} are shown" if shown < count else ""
        self._say(f"{plural(count, 'binding')} of {len(self.bound):,}{first}; Enter goes to the event after it")

    def on_binding_table_chosen_binding(self, message: BindingTable.ChosenBinding) -> None:
        """To the event before which it happened."""
        event = message.row
        row = self.index.row_of(event.process, event.binding.after + 1)
        self.action_tab("events-pane")
        self._go(row, "nothing was recorded after it" if self.index.complete else "not read yet")

    def on_summary_table_chosen(self, message: SummaryTable.Chosen) -> None:
        row = message.row
        self.pattern = f"{row.library}!{row.symbol}" if row.library else row.symbol
        self.action_tab("events-pane")
        self.action_next(1)

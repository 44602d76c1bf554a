"""An event as a line of the list, and as details. Text comes in pieces with the role that each plays; colours are elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from uselib.emulator.trace.prototypes.values import quoted
from uselib.emulator.trace.store.format import EventKind
from uselib.linker.formats.library_names import plain_name
from uselib.trace.reading.decoding import Decoder
from uselib.trace.reading.events import Event
from uselib.trace.reading.lines import SourceLines
from uselib.trace.reading.model import Function
from uselib.trace.reading.names import signal_name, signed, syscall_name
from uselib.trace.reading.text import plural
from uselib.trace.tui.index import Index
from uselib.trace.tui.pages import Pages
from uselib.trace.tui.walk import Extent, Walk

Pieces = list[tuple[str, str]]  # (role, text); the role of a function's name is `library NAME`

_LONGEST = 2000  # characters of one argument in details
_INSIDE = 2  # columns a level


@dataclass(frozen=True)
class Shape:
    """How lines look. indent: most columns of indentation; time, several: a column for the time, and for the process."""

    indent: int = 40
    time: bool = False
    several: bool = False


class Lines:
    """Rows to text."""

    def __init__(self, index: Index, pages: Pages, decoder: Decoder, source: SourceLines | None = None) -> None:
        self.index, self.pages, self.walk = index, pages, Walk(index)
        self.decoder = decoder
        self.unit = index.trace.unit
        self._source = source

    # -- the list -----------------------------------------------------------------------------------------------------

    def line(self, row: int, folded: bool, shape: Shape) -> Pieces:
        event = self.pages.event(row)
        if event is None:
            return [("late", "the file has become shorter: this event is gone")]
        head: Pieces = []
        if shape.several:
            head.append(("dim", f"{event.process.pid:>5} "))
        if event.thread:
            head.append(("dim", f"[{event.thread}] "))
        if shape.time:
            head.append(("dim", f"{event.time:>10} "))
        columns = event.depth * _INSIDE
        indent = " " * columns
        if columns > shape.indent:  # too deep to be shown by space alone
            indent = f"{event.depth} ".rjust(shape.indent)
        head.append(("dim", indent))
        if event.is_call:
            return head + self._call_line(row, event, folded)
        if event.is_return:
            label = event.function.label if event.function is not None else ""
            return [*head, ("", "  }"), *self._end(event, event.function), ("dim", f"  {label}")]
        result: Pieces = []
        if event.kind == EventKind.SYSCALL and row + 1 < self.index.count and self.index.joined[row + 1]:
            after = self.pages.event(row + 1)
            result = [("", " = "), ("value", str(signed(after.words[0], after.process.word)))] if after else []
        return [*head, ("", "  "), ("other", self._other(event)), *result]

    def _call_line(self, row: int, event: Event, folded: bool) -> Pieces:
        children = self.walk.has_children(row)
        out: Pieces = [("mark", ("▸ " if folded else "▾ ") if children else "  ")]
        out.append(("dim", f"{self.caller(event)} {'=>' if event.tail else '->'} "))
        out += self._target(event.function)
        out.append(("", f"({', '.join(self.decoder.arguments(event))})"))
        if not children:
            if row + 1 < self.index.count and self.index.joined[row + 1]:
                out += self._returned(row + 1, event)
        elif not folded:
            out.append(("", " {"))
        else:
            extent = self.walk.extent(row)
            out.append(("dim", f" {{ {plural(self.walk.inside(row, extent), 'event')} }}"))
            if extent.closing is not None:
                out += self._returned(extent.closing, event)
        return out

    def _returned(self, row: int, call: Event) -> Pieces:
        back = self.pages.event(row)
        return [] if back is None else self._end(back, call.function)

    def _end(self, back: Event, function: Function | None) -> Pieces:
        result = self.decoder.result(function, back)
        out: Pieces = [("", " = "), ("value", result)] if result else []
        out.append(("dim", f" <{back.duration}>"))
        return [*out, ("late", " (late)")] if back.late else out

    def _target(self, function: Function | None) -> Pieces:
        if function is None:
            return [("", "?")]
        library: Pieces = [("dim", f"{function.library}!")] if function.library else []
        slot: Pieces = [("dim", f"[{function.slot}]")] if function.slot else []
        return [*library, (f"library {function.library}", function.name), *slot]

    def caller(self, event: Event) -> str:
        """The function that called, or the address of the call."""
        place = event.process.places.caller(event.caller, event.sequence)
        if place is None:
            return f"{event.caller:#x}"
        return plain_name(place.symbol) or str(place)

    def _other(self, event: Event) -> str:
        machine = event.process.machine
        if event.kind == EventKind.SYSCALL:
            words = ", ".join(hex(word) for word in event.words)
            return f"syscall {syscall_name(machine, event.number)}({words})"
        if event.kind == EventKind.SYSCALL_RESULT:
            return f"syscall {syscall_name(machine, event.number)} = {signed(event.words[0], event.process.word)}"
        if event.kind == EventKind.SIGNAL:
            return f"signal {signal_name(event.words[0])} at {event.caller:#x}, address {event.words[1]:#x}"
        return f"event of unknown kind {event.kind}"

    # -- details ------------------------------------------------------------------------------------------------------

    def details(self, row: int) -> list[Pieces]:
        """Lines of the details of one event."""
        event = self.pages.event(row)
        if event is None:
            return []
        head: Pieces = [
            ("dim", f"event {event.sequence:,} of {event.process.title}, at {event.time:,}, depth {event.depth}")
        ]
        if event.thread:
            head.append(("dim", f", thread {event.thread}"))
        if event.is_call:
            return [*self._call_details(row, event), head]
        if event.is_return:
            return [*self._return_details(row, event), head]
        return [[("other", self._other(event))], self._place_details(event), *self._words(event), head]

    def _call_details(self, row: int, event: Event) -> list[Pieces]:
        function = event.function
        out: list[Pieces] = [self._target(function)]
        if function is not None and function.address:
            version = f" {function.version}" if function.version else ""
            out[0].append(("dim", f" at {function.address:#x}  {function.file}{version}"))
        out.append(self._caller_details(event))
        extent = self.walk.extent(row)
        out.append(self._return_of(row, event, extent))
        own, all_ = self.walk.children(row, extent)
        inside = plural(own, "call") + (f", {all_:,} with theirs" if all_ > own else "") if own else "no calls"
        out.append([("label", "made      "), ("", inside)])
        for number, text in enumerate(self.decoder.arguments(event)):
            out.append([("label", f"arg {number}     "), ("value", text[:_LONGEST])])
        for word, (data, cut) in sorted(event.payload.items()):
            if word < len(event.words):
                head = ("label", f"*word {word}   ")
                out.append([head, ("", quoted(data, cut, _LONGEST)), ("dim", f" {len(data)} bytes{', cut' * cut}")])
        return out + self._words(event)

    def _return_of(self, row: int, event: Event, extent: Extent) -> Pieces:
        if extent.closing is None:
            more = "" if self.index.complete else " so far"
            return [("label", "return    "), ("late", f"not in the trace{more}")]
        back = self.pages.event(extent.closing)
        if back is None:
            return []
        result = self.decoder.result(event.function, back) or "nothing"
        late = " (seen late: longjmp or a skipped frame)" if back.late else ""
        out: Pieces = [("label", "return    "), ("value", result)]
        return [*out, ("", f" after {plural(back.duration, self.unit)}"), ("dim", f", event {back.sequence:,}{late}")]

    def _return_details(self, row: int, event: Event) -> list[Pieces]:
        label = event.function.label if event.function is not None else "?"
        result = self.decoder.result(event.function, event) or "nothing"
        out: list[Pieces] = [[("", "return of "), ("value", label)], [("label", "result    "), ("value", result)]]
        for data, cut in event.payload.values():
            out.append([("label", "*result   "), ("", quoted(data, cut, _LONGEST)), ("dim", ", cut" * cut)])
        out.append([("label", "duration  "), ("", plural(event.duration, self.unit))])
        if event.late:
            out.append([("late", "seen late: longjmp, or a frame that was skipped")])
        opening = self.walk.opening(row)
        call = None if opening is None else self.pages.event(opening)
        if call is None:
            out.append([("late", "its call is not in the trace")])
        else:
            arguments = ", ".join(self.decoder.arguments(call))
            out.append([("label", "call      "), ("", f"{label}({arguments})"), ("dim", f", event {call.sequence:,}")])
            out.append(self._caller_details(call))
        return out

    def _caller_details(self, event: Event) -> Pieces:
        place = event.process.places.caller(event.caller, event.sequence)
        out: Pieces = [("label", "caller    "), ("", str(place) if place is not None else f"{event.caller:#x}")]
        if place is not None:
            line = self._source.of(place, event.caller) if self._source is not None else ""
            out.append(("value", f" {line}" if line else ""))
            out.append(("dim", f"  {event.caller:#x} in {place.file.path}"))
        if event.tail:
            out.append(("late", " (jumped to: tail call)"))
        return out

    def _place_details(self, event: Event) -> Pieces:
        """Of a system call or a signal: where the program was."""
        place = event.process.places.place(event.caller)
        file = "" if place is None else f" in {place.file.path}"
        return [
            ("label", "at        "),
            ("", "" if place is None else f"{place}  "),
            ("dim", f"{event.caller:#x}{file}"),
        ]

    def _words(self, event: Event) -> list[Pieces]:
        words = " ".join(f"{word:#x}" for word in event.words)
        return [[("label", "words     "), ("dim", words)], [("label", "sp        "), ("dim", f"{event.sp:#x}")]]

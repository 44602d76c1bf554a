"""A trace as an indented listing, in the manner of ltrace and `uftrace replay`.

    main -> libc_s!malloc[412](0x40, 1, 2, 3) = 0x700000 <12>
    main -> libc_s!qsort[530](0x700000, 3, 8, &compare) {
      compare -> libc_s!strcmp[590]("abc", "b") = 0xffffffff <5>
    } = 0 <211>  libc_s!qsort

A call whose return is the next thing shown is one line with it. Where the next thing is of another thread, the call ends in `...`, and the line
of its return begins with that. Times are in the trace's clock (`--time` shows when, `<...>` is
how long). What filters leave out is left out before lines are joined, so a call keeps its result.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from uselib.emulator.trace.store.bindings import TracedBinding
from uselib.emulator.trace.store.format import EventKind
from uselib.linker.formats.library_names import plain_name
from uselib.trace.reading.bindings import BindingEvent
from uselib.trace.reading.decoding import Decoder
from uselib.trace.reading.events import Event, events_from
from uselib.trace.reading.lines import SourceLines
from uselib.trace.reading.model import Function, TracedProcess, TraceFile
from uselib.trace.reading.names import signal_name, signed, syscall_arity, syscall_name
from uselib.trace.reading.selected_rows import RowSelection
from uselib.trace.reading.text import Colours, matches

_MAXIMUM_INDENT = 40


class EventSelection:
    """Which events are shown: decided once for each function, and once for each calling function.

    library, symbol, caller, objects: globs of the library and the function called, the calling function and the file that it is in; any
    if empty. depth: only calls nested less than that deep; threads: numbers, all if empty.
    """

    def __init__(
        self,
        trace: TraceFile,
        library: tuple[str, ...] = (),
        symbol: tuple[str, ...] = (),
        caller: tuple[str, ...] = (),
        depth: int | None = None,
        objects: tuple[str, ...] = (),
        threads: tuple[int, ...] = (),
    ) -> None:
        self._library, self._symbol, self._caller, self._depth = library, symbol, caller, depth
        self._objects, self._threads = objects, threads
        self._trace = trace
        self._functions: dict[int, bool] = {}
        self._narrow = bool(library or symbol or caller or objects)

    def __call__(self, kept: Iterable[Event | BindingEvent], first: int = 0) -> Iterator[Event | BindingEvent]:
        """The events that are selected; a return goes with its call. A binding's library is the object found, its caller the one that refers.
        first: number of the first event, where these are the last events of a process."""
        inside: dict[
            tuple[int, int], dict[int, int]
        ] = {}  # process, thread -> depth -> sequence of the call shown there
        for event in kept:
            if self._threads and (event.thread or event.process.pid) not in self._threads:
                continue
            if isinstance(event, BindingEvent):
                if self._shows_binding(event.binding):
                    yield event
                continue
            calls = inside.setdefault((event.process.index, event.thread), {})
            if event.is_call:
                shown = self._shows(event)
                if shown:
                    calls[event.depth] = event.sequence
                else:
                    calls.pop(event.depth, None)
            elif event.is_return:
                shown = self._depth is None or event.depth < self._depth
                if shown and self._narrow:
                    shown = calls.get(event.depth) == event.caller or (event.caller < first and self._began(event))
            else:
                shown = not self._narrow and (self._depth is None or event.depth <= self._depth)
            if shown:
                yield event

    def _began(self, back: Event) -> bool:
        """Whether a return is that of a call that is selected, before the first of the events."""
        if not back.caller:
            return False
        for event in events_from(self._trace, back.process, back.caller, self.rows_of(back.process)):
            if event.sequence >= back.caller:
                return event.sequence == back.caller and event.is_call and self._shows(event)
        return False

    def rows_of(self, process: TracedProcess) -> RowSelection | None:
        """What has to be read of a process: None, all of it. It may be more than is selected."""
        if not (self._library or self._symbol):
            return None
        functions = self._trace.functions
        wanted = {index: self._named(functions[number]) for index, number in process.functions.items()}
        return RowSelection(wanted, matches("?", self._library))

    def _shows_binding(self, row: TracedBinding) -> bool:
        return (
            matches(os.path.basename(row.definer), self._library)
            and (matches(row.symbol, self._symbol) or matches(row.plain_symbol, self._symbol))
            and matches(os.path.basename(row.referrer), self._caller)
            and matches(os.path.basename(row.referrer), self._objects)
        )

    def _shows(self, event: Event) -> bool:
        if self._depth is not None and event.depth >= self._depth:
            return False
        if not self._narrow or event.function is None:
            return True
        return self._named(event.function) and self._calls_from(event)

    def _named(self, function: Function) -> bool:
        known = self._functions.get(function.number)
        if known is None:
            known = matches(function.library, self._library) and matches(function.name, self._symbol)
            self._functions[function.number] = known
        return known

    def _calls_from(self, event: Event) -> bool:
        if not (self._caller or self._objects):
            return True
        place = event.process.places.caller(event.caller, event.sequence)
        return (
            place is not None
            and matches(plain_name(place.symbol) or place.file.name, self._caller)
            and matches(place.file.name, self._objects)
        )


@dataclass(frozen=True)
class Columns:
    """What a line says besides the call: when it happened, its number, the caller's source line."""

    time: bool = False
    sequence: bool = False
    source_lines: bool = False


class EventLines:
    """Events to lines."""

    def __init__(self, trace: TraceFile, decoder: Decoder, colour: Colours, shown: Columns = Columns()) -> None:
        self._colour = colour
        self._decoder = decoder
        self._lines = SourceLines() if shown.source_lines else None
        self._time, self._sequence = shown.time, shown.sequence
        self._returns = trace.has_returns()
        self._several = len(trace.processes) > 1
        self._callers: dict[tuple[int, int], str] = {}
        self._targets: dict[int, str] = {}
        self._interrupted: set[tuple[int, int]] = (
            set()
        )  # process, sequence of calls whose line another thread's followed

    def __call__(self, chosen: Iterable[Event | BindingEvent]) -> Iterator[str]:
        """Lines without their newlines."""
        waiting: Event | None = None  # a call, until it is known whether its return comes next
        depths: dict[tuple[int, int], int] = {}  # of what happens next, by process and thread
        for event in chosen:
            thread = event.process.index, event.thread
            if waiting is not None:
                joined = self._joined(waiting, event)
                yield joined if joined is not None else self._alone(waiting, event)
                waiting = None
                if joined is not None and isinstance(event, Event):
                    depths[thread] = event.depth
                    continue
            if isinstance(event, BindingEvent):
                yield self._binding(event, depths.get(thread, 0))
                continue
            depths[thread] = event.depth + (event.is_call and self._returns)
            if event.is_call or event.kind == EventKind.SYSCALL:
                waiting = event
            elif event.is_return:
                yield self._closing(event)
            else:
                yield self._line(event, self._other(event))
        if waiting is not None:
            yield self._alone(waiting, None)

    def _joined(self, waiting: Event, event: Event | BindingEvent) -> str | None:
        """The line of a call and its return, or of a system call and its result; None if these are not next to each other."""
        if isinstance(event, BindingEvent) or event.process is not waiting.process or event.thread != waiting.thread:
            return None
        if waiting.kind == EventKind.SYSCALL and event.kind == EventKind.SYSCALL_RESULT:
            return self._line(waiting, self._other(waiting) + self._result(event))
        if waiting.is_call and event.is_return and event.caller == waiting.sequence:
            return self._line(waiting, self.call(waiting) + self._end(event))
        return None

    def _alone(self, waiting: Event, event: Event | BindingEvent | None) -> str:
        """The line of a call or a system call before an event that is not its end."""
        if not waiting.is_call:
            return self._line(waiting, self._other(waiting))
        text = self.call(waiting)
        if event is not None and event.process is waiting.process and self._returns:
            if event.thread != waiting.thread:
                self._interrupted.add((waiting.process.index, waiting.sequence))
                text += " ..."
            elif isinstance(event, BindingEvent) or event.depth > waiting.depth:
                text += " {"
        return self._line(waiting, text)

    def call(self, event: Event) -> str:
        """`main -> libc_s!malloc[412](0x40)`."""
        arrow = "=>" if event.tail else "->"
        arguments = ", ".join(self._decoder.arguments(event))
        return f"{self.caller(event)} {arrow} {self._target(event)}({arguments})"

    def caller(self, event: Event) -> str:
        key = event.process.index, event.caller
        text = None if event.process.places.changing else self._callers.get(key)
        if text is None:
            place = event.process.places.caller(event.caller, event.sequence)
            if place is None:
                text = f"{event.caller:#x}"
            else:
                line = self._lines.of(place, event.caller) if self._lines is not None else ""
                name = plain_name(place.symbol) or str(place)
                if place.symbol and place.file.path in event.process.shared_objects:
                    name = f"{place.file.name}!{name}"
                text = name + (self._colour("dim", f" {line}") if line else "")
            if len(self._callers) < 1 << 16:
                self._callers[key] = text
        return text

    def _target(self, event: Event) -> str:
        function = event.function
        assert function is not None
        text = self._targets.get(function.number)
        if text is None:
            library = self._colour("dim", f"{function.library}!") if function.library else ""
            slot = self._colour("dim", f"[{function.slot}]") if function.slot else ""
            text = self._targets[function.number] = library + self._colour("cyan", function.name) + slot
        return text

    def _end(self, back: Event) -> str:
        result = self._decoder.result(back.function, back)
        late = self._colour("yellow", " (late)") if back.late else ""
        value = f" = {self._colour('green', result)}" if result else ""
        return f"{value}{self._colour('dim', f' <{back.duration}>')}{late}"

    def _closing(self, event: Event) -> str:
        name = event.function.label if event.function is not None else ""
        key = event.process.index, event.caller
        mark = "..." if key in self._interrupted else "}"
        self._interrupted.discard(key)
        return self._line(event, f"{mark}{self._end(event)}  {self._colour('dim', name)}")

    def _other(self, event: Event) -> str:
        machine, number = event.process.machine, event.number
        if event.kind == EventKind.SYSCALL:
            words = ", ".join(hex(word) for word in event.words[: syscall_arity(machine, number)])
            text = f"syscall {syscall_name(machine, number)}({words})"
        elif event.kind == EventKind.SYSCALL_RESULT:
            return self._colour("magenta", f"syscall {syscall_name(machine, number)}") + self._result(event)
        elif event.kind == EventKind.SIGNAL:
            text = f"signal {signal_name(event.words[0])} at {event.caller:#x}, address {event.words[1]:#x}"
        else:
            text = f"event of unknown kind {event.kind}"
        return self._colour("magenta", text)

    def _result(self, event: Event) -> str:
        """Of a system call; -errno by its name."""
        value = signed(event.words[0], event.process.word)
        text = f"-{errno.errorcode[-value]}" if -4096 < value < 0 and -value in errno.errorcode else str(value)
        return f" = {self._colour('green', text)}"

    def _binding(self, event: BindingEvent, depth: int) -> str:
        text = self._colour("magenta", event.binding.text)
        head = self._head(event) + self._colour("dim", f"{'-':>7} ") * self._sequence
        return head + " " * 11 * self._time + "  " * min(depth, _MAXIMUM_INDENT) + text

    def _line(self, event: Event, text: str) -> str:
        head = self._head(event)
        if self._sequence:
            head += self._colour("dim", f"{event.sequence:>7} ")
        if self._time:
            head += self._colour("dim", f"{event.time:>10} ")
        return head + "  " * min(event.depth, _MAXIMUM_INDENT) + text

    def _head(self, event: Event | BindingEvent) -> str:
        """Process and thread, where there are several."""
        head = ""
        if self._several:
            head += self._colour("blue", f"{event.process.pid:>5} ")
        if event.thread:
            head += self._colour("blue", f"[{event.thread}] ")
        return head

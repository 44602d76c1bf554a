"""Symbol bindings of a trace, in their places between the events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from uselib.emulator.trace.store.bindings import DLSYM, FIRST_CALL, LOAD, TracedBinding
from uselib.trace.reading.events import Event, events_from
from uselib.trace.reading.model import TracedProcess, TraceFile
from uselib.trace.reading.selected_rows import RowSelection

Selections = Callable[[TracedProcess], RowSelection | None]


@dataclass(frozen=True, slots=True)
class BindingEvent:
    """A binding of one process of the trace."""

    process: TracedProcess
    binding: TracedBinding

    @property
    def thread(self) -> int:
        """Number of the guest's thread, if the program had several; else 0."""
        return (self.binding.thread or self.process.pid) if self.process.thread_firsts else 0


def bindings_of(processes: Iterable[TracedProcess]) -> Iterator[BindingEvent]:
    """The bindings alone."""
    for process in processes:
        for row in process.bindings:
            yield BindingEvent(process, row)


def events_and_bindings(
    trace: TraceFile, processes: Iterable[TracedProcess], first: int = 0, selections: Selections | None = None
) -> Iterator[Event | BindingEvent]:
    """Process after process; a binding before the first event that comes after it. first: from about this event on; selections: what is
    to be read of each process (None: everything)."""
    for process in processes:
        rows, at = process.bindings, 0
        while first and at < len(rows) and rows[at].after + 1 < first:
            at += 1
        for event in events_from(trace, process, first, selections(process) if selections is not None else None):
            while at < len(rows) and rows[at].after < event.sequence:
                yield BindingEvent(process, rows[at])
                at += 1
            yield event
        for row in rows[at:]:
            yield BindingEvent(process, row)


def counted(processes: Iterable[TracedProcess]) -> list[tuple[str, int]]:
    """How many were bound when."""
    counts = Counter(row.when for process in processes for row in process.bindings)
    return [(when, counts[when]) for when in (LOAD, FIRST_CALL, DLSYM) if counts[when]]

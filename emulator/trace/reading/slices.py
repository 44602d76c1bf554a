"""Begin and end of each call as a balanced sequence, for viewers that want that: every begin has its end, in proper nesting, also
where returns are missing. Streamed: only the open calls are in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from uselib.emulator.trace.reading.events import Event, events_from
from uselib.emulator.trace.reading.model import TracedProcess, TraceFile


@dataclass(frozen=True, slots=True)
class Slice:
    """begin: a call starts at `time`; else the innermost open one ends. event: the call, the return (None where it was not seen),
    or, with begin and end both False, anything else that happened."""

    begin: bool
    end: bool
    time: int
    event: Event | None


def slices(trace: TraceFile, process: TracedProcess) -> Iterator[Slice]:
    """In order of time. A call that does not return ends with what comes next at its depth, or with the process."""
    depths: list[int] = []
    last = 0
    for event in events_from(trace, process):
        last = max(last, event.time)  # times that run backwards are damage; viewers need them in order
        if event.is_call or event.is_return:
            while depths and (depths[-1] > event.depth or (event.is_call and depths[-1] == event.depth)):
                depths.pop()
                yield Slice(False, True, last, None)
            if event.is_call:
                depths.append(event.depth)
                yield Slice(True, False, last, event)
            elif depths and depths[-1] == event.depth:
                depths.pop()
                yield Slice(False, True, last, event)
        else:
            yield Slice(False, False, last, event)
    for _ in depths:
        yield Slice(False, True, last, None)

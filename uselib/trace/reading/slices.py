"""Begin and end of each call as a balanced sequence, for viewers that want that: every begin has its end, in proper nesting, also
where returns are missing. Streamed: only the open calls are in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from uselib.trace.reading.events import Event, events_from
from uselib.trace.reading.model import TracedProcess, TraceFile


@dataclass(frozen=True, slots=True)
class Slice:
    """begin: a call starts at `time`; else the innermost open one of that thread ends. event: the call, the return (None where it was not
    seen), or, with begin and end both False, anything else that happened. thread: that of a process with one is its pid."""

    begin: bool
    end: bool
    time: int
    event: Event | None
    thread: int


@dataclass(slots=True)
class _OpenCalls:
    """Of one thread: their depths, and the time of its last event."""

    thread: int
    depths: list[int] = field(default_factory=list)
    last: int = 0


def slices(trace: TraceFile, process: TracedProcess) -> Iterator[Slice]:
    """In order of time. A call that does not return ends with what comes next at its depth in its thread; at the end of the process those
    that are open end, with the last event of their thread."""
    threads: dict[int, _OpenCalls] = {}
    for event in events_from(trace, process):
        number = event.thread or process.pid
        calls = threads.get(number)
        if calls is None:
            calls = threads[number] = _OpenCalls(number)
        calls.last = max(calls.last, event.time)  # times that run backwards are damage; viewers need them in order
        yield from _of_event(event, calls)
    for calls in threads.values():
        for _ in calls.depths:
            yield Slice(False, True, calls.last, None, calls.thread)


def _of_event(event: Event, calls: _OpenCalls) -> Iterator[Slice]:
    depths, last, thread = calls.depths, calls.last, calls.thread
    if event.is_call or event.is_return:
        while depths and (depths[-1] > event.depth or (event.is_call and depths[-1] == event.depth)):
            depths.pop()
            yield Slice(False, True, last, None, thread)
        if event.is_call:
            depths.append(event.depth)
            yield Slice(True, False, last, event, thread)
        elif depths and depths[-1] == event.depth:
            depths.pop()
            yield Slice(False, True, last, event, thread)
    else:
        yield Slice(False, False, last, event, thread)

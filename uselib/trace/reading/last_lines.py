"""The last lines of a view of events, without the events before them: from windows at the end that grow until there are enough."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from uselib.emulator.trace.store.format import RECORDS_HEAD
from uselib.trace.reading.model import TracedProcess, TraceFile

_MORE = 64  # events in the first window, beside four a line
_GROWTH = 8

# the lines of a process from about this event on
Lines = Callable[[TracedProcess, int], Iterable[str]]


def last_lines(trace: TraceFile, processes: list[TracedProcess], count: int, lines: Lines) -> list[str]:
    """The last `count` lines of the processes, which are shown one after the other."""
    found: list[str] = []
    for process in reversed(processes):
        if len(found) >= count:
            break
        found = _of_process(trace, process, count - len(found), lines) + found
    return found


def _of_process(trace: TraceFile, process: TracedProcess, count: int, lines: Lines) -> list[str]:
    window = 4 * count + _MORE
    end = _end(trace, process)
    while window < end:
        # one line more: the first may be half of one, a return whose call lies before the window
        found = deque(lines(process, end - window), maxlen=count + 1)
        if len(found) > count:
            return list(found)[1:]
        window *= _GROWTH
    return list(deque(lines(process, 0), maxlen=count))


def _end(trace: TraceFile, process: TracedProcess) -> int:
    """A number not below that of the last event (MORE records count)."""
    if not process.records:
        return 0
    last = process.records[-1]
    head = trace.read(last.offset, RECORDS_HEAD.size)
    return RECORDS_HEAD.unpack(head)[0] + last.count if len(head) == RECORDS_HEAD.size else 0

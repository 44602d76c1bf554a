"""`uselib trace show FILE`: the events of a trace as an indented listing (uselib/trace/reading/show.py)."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from uselib.commands.trace.reader import DECODING, SELECTION, Given, Reader, chosen_processes, chosen_threads, count
from uselib.emulator.option_table import Option
from uselib.trace.reading.bindings import bindings_of, events_and_bindings
from uselib.trace.reading.decoding import decoder_for
from uselib.trace.reading.last_lines import last_lines
from uselib.trace.reading.model import TracedProcess, TraceFile
from uselib.trace.reading.show import Columns, EventLines, EventSelection
from uselib.trace.reading.text import Colours


def show(given: Given, trace: TraceFile) -> None:
    processes = chosen_processes(trace, given)
    decoder = decoder_for(trace, given.get("words", False), given.get("prototypes", ()))
    columns = Columns(given.get("time", False), given.get("sequence", False), given.get("lines", False))
    globs = {key: given.get(key, ()) for key in ("library", "symbol", "caller")}
    threads = chosen_threads(trace, given)
    selected = EventSelection(trace, **globs, depth=given.get("depth"), objects=given.get("from", ()), threads=threads)

    def lines_of(some: Sequence[TracedProcess], first: int = 0) -> Iterator[str]:
        alone = given.get("bindings")
        found = bindings_of(some) if alone else events_and_bindings(trace, some, first, selected.rows_of)
        return EventLines(trace, decoder, Colours(sys.stdout), columns)(selected(found, first))

    lines: Iterable[str]
    if "last" not in given:
        lines = lines_of(processes)
    elif given.get("bindings"):
        lines = deque(lines_of(processes), maxlen=given["last"])
    else:
        lines = last_lines(trace, processes, given["last"], lambda process, first: lines_of([process], first))
    write = sys.stdout.write
    limit = given.get("first", -1)
    for number, line in enumerate(lines):
        if number == limit:
            break
        write(line + "\n")


run = Reader(
    usage="uselib trace show [OPTIONS] FILE",
    about="Shows the events of a trace. Times count the trace's clock.",
    options={
        **SELECTION,
        "--depth": Option("N", "only calls nested less than N deep", count),
        "--first": Option("N", "only the first N lines", count),
        "--last": Option("N", "only the last N lines", count),
        "--bindings": Option("", "only symbol bindings (of `trace record --bindings`)", None),
        "--time": Option("", "when each event happened", None),
        "--sequence": Option("", "the number of each event", None),
        "--lines": Option("", "source lines of callers, where the file has debugging information", None),
        **DECODING,
    },
    show=show,
).run

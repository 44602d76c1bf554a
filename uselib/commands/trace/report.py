"""`uselib trace report -o report.html FILE`: the whole trace as one page (uselib/trace/reading/report)."""

from __future__ import annotations

from uselib.commands.trace.reader import Given, Reader, count
from uselib.emulator.option_table import Option
from uselib.linker.errors import Diagnostic, UsageError
from uselib.trace.reading.export import written
from uselib.trace.reading.model import TraceFile
from uselib.trace.reading.report import page


def check(given: Given) -> None:
    if "o" not in given:
        raise UsageError(Diagnostic("-o", "say where the page goes, `-o report.html`"))


def show(given: Given, trace: TraceFile) -> None:
    from uselib.trace.reading.report.data import collect

    columns = min(max(given.get("bins", 1200), 10), 20_000)
    data = page(collect(trace, given.get("paths", 20_000), columns)).encode("utf-8", "backslashreplace")
    written(given["o"], lambda out: out.write(data))


run = Reader(
    usage="uselib trace report -o REPORT.html [OPTIONS] FILE",
    about="Writes one self-contained HTML page: address space, timeline, call tree, slots or functions with disassembly, symbol bindings.",
    options={
        "-o": Option("FILE", "the page"),
        "--paths": Option("N", "at most N call paths in the tree (default 20000)", count),
        "--bins": Option("N", "columns of the timeline (default 1200)", count),
    },
    show=show,
    check=check,
).run

"""`uselib trace report -o report.html FILE`: the whole trace as one page that needs nothing else.

data          what the page shows, aggregated: its size depends on limits, not on the number of events
code          disassembly of slots and of what they lead to
page.html, page.css, page.js   the page; the data is put into it as JSON
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import BinaryIO

from uselib.emulator.trace.reading.export import written
from uselib.emulator.trace.reading.model import TraceFile
from uselib.emulator.trace.reading.options import Option, count, parse, warn
from uselib.linker.errors import Diagnostic, UsageError

USAGE = "uselib trace report -o REPORT.html [OPTIONS] FILE"
ABOUT = "Writes one self-contained HTML page: address space, timeline, call tree, slots with disassembly."
OPTIONS = {
    "-o": Option("FILE", "the page"),
    "--paths": Option("N", "at most N call paths in the tree (default 20000)", count),
    "--bins": Option("N", "columns of the timeline (default 1200)", count),
}


def page(facts: dict[str, object]) -> str:
    """The page with the data in it."""
    parts = {
        name: files(__package__).joinpath(name).read_text("utf-8") for name in ("page.html", "page.css", "page.js")
    }
    # `<` cannot end the script element or start a comment in it
    data = json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c")
    text = parts["page.html"]
    for mark, value in (("/*STYLE*/", parts["page.css"]), ("/*SCRIPT*/", parts["page.js"]), ("/*DATA*/", data)):
        before, _, after = text.partition(mark)
        text = before + value + after
    return text


def run(arguments: list[str]) -> int:
    """Returns 0. Raises ToolError, OSError."""
    parsed = parse(USAGE, ABOUT, arguments, OPTIONS)
    if parsed is None:
        return 0
    (path,), values = parsed
    if "o" not in values:
        raise UsageError(Diagnostic("-o", "say where the page goes, `-o report.html`"))
    from uselib.emulator.trace.reading.report.data import collect

    with TraceFile(path) as trace:
        text = page(collect(trace, values.get("paths", 20_000), min(max(values.get("bins", 1200), 10), 20_000)))
        warn(trace)

    def write(out: BinaryIO) -> None:
        out.write(text.encode("utf-8", "backslashreplace"))

    written(values["o"], write)
    return 0

"""Commands that read trace files: one driver for all of their command lines, a table of options for each, and shared selections."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from uselib.emulator.option_table import Option, option_rows, read_words
from uselib.linker.errors import Diagnostic, UsageError
from uselib.trace.reading.model import TracedProcess, TraceFile


def count(text: str) -> int:
    """A number from 0; k, M: thousands, millions."""
    factor = {"k": 10**3, "M": 10**6}.get(text[-1:], 1)
    value = int(text[:-1] if factor > 1 else text) * factor
    if value < 0:
        raise ValueError
    return value


def choice(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise ValueError
        return text

    return read


Given = Mapping[str, Any]  # the options of a command line: Option.key -> value

SELECTION: dict[str, Option] = {
    "--library": Option("GLOB", "only functions of these libraries", many=True),
    "--symbol": Option("GLOB", "only these functions", many=True),
    "--caller": Option("GLOB", "only calls from these functions", many=True),
    "--from": Option("GLOB", "only calls from these objects (file names)", many=True),
    "--process": Option("PID", "only this process", count, many=True),
    "--thread": Option("NUMBER", "only this thread", count, many=True),
}
DECODING: dict[str, Option] = {
    "--prototypes": Option("FILE", "C declarations of functions in FILE", many=True),
    "--words": Option("", "arguments as plain words, without prototypes", None),
}


@dataclass(frozen=True)
class Reader:
    """A command that reads trace files. show: prints what it is for, and gives the exit status (None: 0); check: raises
    UsageError for options that do not go together, before a file is opened."""

    usage: str
    about: str
    options: Mapping[str, Option]
    show: Callable[..., int | None]  # (options given, trace, ...)
    check: Callable[[Given], None] = lambda given: None
    files: int = 1

    def run(self, arguments: list[str]) -> int:
        """Returns the exit status. Raises ToolError, OSError."""
        parsed = parse(self, arguments)
        if parsed is None:
            return 0
        paths, given = parsed
        self.check(given)
        with ExitStack() as stack:
            traces = [stack.enter_context(TraceFile(path)) for path in paths]
            status = self.show(given, *traces)
            for trace in traces:
                warn(trace)
        return status or 0


def help_text(reader: Reader) -> str:
    return "\n".join([f"usage: {reader.usage}", "", reader.about, "", *option_rows(reader.options, 22)])


def parse(reader: Reader, arguments: list[str]) -> tuple[list[str], dict[str, Any]] | None:
    """The FILE words and the options given. None: help was asked for and printed. Raises UsageError."""
    words = read_words(arguments, reader.options, " ".join(reader.usage.split()[:3]), mixed=True)
    if words is None:
        print(help_text(reader))
        return None
    if len(words.rest) != reader.files:
        wanted = "one trace file" if reader.files == 1 else f"{reader.files} trace files"
        raise UsageError(Diagnostic("", f"{len(words.rest)} files given, {wanted} wanted; usage: {reader.usage}"))
    return words.rest, words.values


def chosen_processes(trace: TraceFile, given: Given) -> list[TracedProcess]:
    """Those of --process. Raises UsageError for a pid that is not in the trace."""
    wanted: tuple[int, ...] = given.get("process", ())
    for pid in wanted:
        if all(process.pid != pid for process in trace.processes):
            there = ", ".join(str(process.pid) for process in trace.processes)
            raise UsageError(Diagnostic(trace.path, f"there is no process {pid} in it; there are {there}"))
    return [process for process in trace.processes if not wanted or process.pid in wanted]


def chosen_threads(trace: TraceFile, given: Given) -> tuple[int, ...]:
    """Those of --thread. Raises UsageError for one that has no events in the trace."""
    wanted: tuple[int, ...] = given.get("thread", ())
    there = {number for process in trace.processes for number in process.threads}
    for number in wanted:
        if number not in there:
            names = ", ".join(map(str, sorted(there)))
            raise UsageError(Diagnostic(trace.path, f"there is no thread {number} in it; there are {names}"))
    return wanted


def warn(trace: TraceFile) -> None:
    """Prints the defects of the file on stderr."""
    for warning in trace.warnings[:10]:
        print(f"uselib: {trace.path}: {warning}", file=sys.stderr)
    if len(trace.warnings) > 10:
        print(f"uselib: {trace.path}: {len(trace.warnings) - 10} more defects of that kind", file=sys.stderr)

"""The readers of trace files: one driver for their like command lines, a table of options each, and selections that they share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from uselib.emulator.trace.reading.model import Process, TraceFile
from uselib.linker.errors import Diagnostic, UsageError


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


@dataclass(frozen=True)
class ReaderOption:
    """read: value from text; None for a switch. many: repeatable, the value is a tuple."""

    metavar: str
    help: str
    read: Callable[[str], Any] | None = str
    many: bool = False


Given = Mapping[str, Any]  # the options of a command line: name without dashes -> value

SELECTION: dict[str, ReaderOption] = {
    "--library": ReaderOption("GLOB", "only functions of these libraries", many=True),
    "--symbol": ReaderOption("GLOB", "only these functions", many=True),
    "--caller": ReaderOption("GLOB", "only calls from these functions", many=True),
    "--process": ReaderOption("PID", "only this process", count, many=True),
}
DECODING: dict[str, ReaderOption] = {
    "--prototypes": ReaderOption("FILE", "C declarations of functions in FILE", many=True),
    "--words": ReaderOption("", "arguments as plain words, without prototypes", None),
}


@dataclass(frozen=True)
class Reader:
    """A command that reads trace files. show: prints what it is for, and gives the exit status (None: 0); check: raises
    UsageError for options that do not go together, before a file is opened."""

    usage: str
    about: str
    options: Mapping[str, ReaderOption]
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
    rows = [f"  {f'{name} {option.metavar}'.strip():<22} {option.help}" for name, option in reader.options.items()]
    return "\n".join([f"usage: {reader.usage}", "", reader.about, "", *rows, f"  {'-h, --help':<22} this text"])


def parse(reader: Reader, arguments: list[str]) -> tuple[list[str], dict[str, Any]] | None:
    """The FILE words and the options given. None: help was asked for and printed. Raises UsageError."""
    words: list[str] = []
    values: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            words += rest
            break
        if not word.startswith("-") or word == "-":
            words.append(word)
        elif word in ("-h", "--help"):
            print(help_text(reader))
            return None
        else:
            _take_option(reader, word, rest, values)
    if len(words) != reader.files:
        wanted = "one trace file" if reader.files == 1 else f"{reader.files} trace files"
        raise UsageError(Diagnostic("", f"{len(words)} files given, {wanted} wanted; usage: {reader.usage}"))
    return words, values


def _take_option(reader: Reader, word: str, rest: list[str], values: dict[str, Any]) -> None:
    """Enters an option in `values`; takes its value off `rest` if it is a word of its own. Raises UsageError."""
    name, equals, text = word.partition("=")
    option = reader.options.get(name)
    if option is None:
        command = " ".join(reader.usage.split()[:3])
        raise UsageError(Diagnostic(name, "no such option", remedy=f"see `{command} --help`"))
    key = name.lstrip("-")
    if option.read is None:
        if equals:
            raise UsageError(Diagnostic(name, "takes no value"))
        values[key] = True
        return
    if not equals:
        if not rest:
            raise UsageError(Diagnostic(name, f"needs a value ({option.metavar})"))
        text = rest.pop(0)
    try:
        value = option.read(text)
    except ValueError:
        raise UsageError(Diagnostic(name, f"`{text}` is not a value for {option.metavar}")) from None
    values[key] = (*values.get(key, ()), value) if option.many else value


def chosen_processes(trace: TraceFile, given: Given) -> list[Process]:
    """Those of --process. Raises UsageError for a pid that is not in the trace."""
    wanted: tuple[int, ...] = given.get("process", ())
    for pid in wanted:
        if all(process.pid != pid for process in trace.processes):
            there = ", ".join(str(process.pid) for process in trace.processes)
            raise UsageError(Diagnostic(trace.path, f"there is no process {pid} in it; there are {there}"))
    return [process for process in trace.processes if not wanted or process.pid in wanted]


def warn(trace: TraceFile) -> None:
    """What was wrong with the file, on stderr."""
    for warning in trace.warnings[:10]:
        print(f"uselib: {trace.path}: {warning}", file=sys.stderr)
    if len(trace.warnings) > 10:
        print(f"uselib: {trace.path}: {len(trace.warnings) - 10} more defects of that kind", file=sys.stderr)

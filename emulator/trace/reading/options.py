"""The command lines of the readers: a table of options, FILE words, and selections (--library, --symbol...) that they share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TextIO

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
class Option:
    """read: value from text; None for a switch. many: repeatable, the value is a tuple."""

    metavar: str
    help: str
    read: Callable[[str], Any] | None = str
    many: bool = False


SELECTION: dict[str, Option] = {
    "--library": Option("GLOB", "only functions of these libraries", many=True),
    "--symbol": Option("GLOB", "only these functions", many=True),
    "--caller": Option("GLOB", "only calls from these functions", many=True),
    "--process": Option("PID", "only this process", count, many=True),
}


def help_text(usage: str, about: str, table: Mapping[str, Option]) -> str:
    rows = [f"  {f'{name} {option.metavar}'.strip():<22} {option.help}" for name, option in table.items()]
    return "\n".join([f"usage: {usage}", "", about, "", *rows, f"  {'-h, --help':<22} this text"])


def parse(
    usage: str, about: str, arguments: list[str], table: Mapping[str, Option], files: int = 1
) -> tuple[list[str], dict[str, Any]] | None:
    """The FILE words and the options given, by name without its dashes. None: help was asked for and printed. Raises
    UsageError."""
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
            continue
        if word in ("-h", "--help"):
            print(help_text(usage, about, table))
            return None
        name, equals, text = word.partition("=")
        option = table.get(name)
        if option is None:
            raise UsageError(Diagnostic(name, "no such option", remedy=f"see `{' '.join(usage.split()[:3])} --help`"))
        key = name.lstrip("-")
        if option.read is None:
            if equals:
                raise UsageError(Diagnostic(name, "takes no value"))
            values[key] = True
            continue
        if not equals:
            if not rest:
                raise UsageError(Diagnostic(name, f"needs a value ({option.metavar})"))
            text = rest.pop(0)
        try:
            value = option.read(text)
        except ValueError:
            raise UsageError(Diagnostic(name, f"`{text}` is not a value for {option.metavar}")) from None
        values[key] = (*values.get(key, ()), value) if option.many else value
    if len(words) != files:
        wanted = "one trace file" if files == 1 else f"{files} trace files"
        raise UsageError(Diagnostic("", f"{len(words)} files given, {wanted} wanted; usage: {usage}"))
    return words, values


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a name fits one of the globs; any name does if there are none."""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def chosen_processes(trace: TraceFile, values: Mapping[str, Any]) -> list[Process]:
    """Those of --process. Raises UsageError for a pid that is not in the trace."""
    wanted: tuple[int, ...] = values.get("process", ())
    for pid in wanted:
        if all(process.pid != pid for process in trace.processes):
            there = ", ".join(str(process.pid) for process in trace.processes)
            raise UsageError(Diagnostic(trace.path, f"there is no process {pid} in it; there are {there}"))
    return [process for process in trace.processes if not wanted or process.pid in wanted]


def plural(number: int, one: str, many: str) -> str:
    """`1 process`, `2,000 processes`."""
    return f"{number:,} {one if number == 1 else many}"


def warn(trace: TraceFile) -> None:
    """What was wrong with the file, on stderr."""
    for warning in trace.warnings[:10]:
        print(f"uselib: {trace.path}: {warning}", file=sys.stderr)
    if len(trace.warnings) > 10:
        print(f"uselib: {trace.path}: {len(trace.warnings) - 10} more defects of that kind", file=sys.stderr)


class Colours:
    """ANSI colours, or nothing: not on a terminal, NO_COLOR set, TERM=dumb."""

    CODES: Mapping[str, str] = {
        "dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36"
    }  # fmt: skip

    def __init__(self, stream: TextIO) -> None:
        self.on = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def __call__(self, colour: str, text: str) -> str:
        return f"\033[{self.CODES[colour]}m{text}\033[0m" if self.on and text else text

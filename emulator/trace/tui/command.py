"""The command line of `uselib trace tui`. Textual is loaded here and not before, so everything else works without it."""

from __future__ import annotations

import os
import sys

from uselib.emulator.trace.prototypes.damage import said_once
from uselib.emulator.trace.reading.decoding import PLAIN, PROTOTYPES, decoder_for
from uselib.emulator.trace.reading.model import TraceFile
from uselib.emulator.trace.reading.options import SELECTION, Option, chosen_processes, count, parse, warn
from uselib.linker.errors import Diagnostic, ToolError

USAGE = "uselib trace tui [OPTIONS] FILE"
ABOUT = "Shows a trace on the terminal, to move about in, search, filter and fold with the keyboard. `?` there lists the keys."
OPTIONS = {
    **{name: SELECTION[name] for name in ("--library", "--symbol", "--process")},
    "--depth": Option("N", "only calls nested less than N deep", count),
    "--lines": Option("", "source lines of callers, where the file has debugging information", None),
    "--prototypes": PROTOTYPES,
    "--words": PLAIN,
}


def run(arguments: list[str]) -> int:
    """Returns 0. Raises ToolError (no trace, no Textual, no terminal), OSError."""
    parsed = parse(USAGE, ABOUT, arguments, OPTIONS)
    if parsed is None:
        return 0
    (path,), values = parsed
    with TraceFile(path) as trace:
        processes = chosen_processes(trace, values)
        damaged: list[str] = []
        decoder = decoder_for(trace, values.get("words", False), values.get("prototypes", ()), damaged.append)
        _needs_textual()
        _needs_terminal(path)
        from uselib.emulator.trace.tui.app import TraceApp
        from uselib.emulator.trace.tui.view import Filter

        chosen = Filter(values.get("library", ()), values.get("symbol", ()), values.get("depth"))
        app = TraceApp(trace, processes, chosen, decoder, values.get("lines", False))
        try:
            app.run()
        finally:
            app.index.close()
        if app.failure is not None:
            raise app.failure
        warn(trace)
        say = said_once()
        for sentence in damaged:
            say(sentence)
    return 0


def _needs_textual() -> None:
    try:
        import textual  # noqa: F401
    except ImportError:
        raise ToolError(
            Diagnostic("trace tui", "Textual is not installed", remedy="install the extra: pip install 'uselib[tui]'")
        ) from None


def _needs_terminal(path: str) -> None:
    streams = {"standard input": sys.stdin, "standard output": sys.stdout, "standard error": sys.stderr}
    for name, stream in streams.items():
        if stream is None or not stream.isatty():
            raise ToolError(
                Diagnostic("trace tui", f"{name} is not a terminal", remedy=f"use `uselib trace show {path}`")
            )
    if os.environ.get("TERM", "dumb") == "dumb":
        raise ToolError(
            Diagnostic("trace tui", "the terminal is dumb (TERM)", remedy=f"use `uselib trace show {path}`")
        )

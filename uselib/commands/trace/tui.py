"""`uselib trace tui FILE`: a trace on the terminal (uselib/trace/tui). Textual is imported only here."""

from __future__ import annotations

import os
import sys

from uselib.commands.trace.reader import DECODING, SELECTION, Given, Reader, chosen_processes, chosen_threads, count
from uselib.emulator.option_table import Option
from uselib.emulator.trace.prototypes.damage import said_once
from uselib.linker.errors import Diagnostic, ToolError
from uselib.trace.reading.decoding import decoder_for
from uselib.trace.reading.model import TraceFile


def show(given: Given, trace: TraceFile) -> None:
    """Raises ToolError: no Textual, no terminal."""
    processes = chosen_processes(trace, given)
    damaged: list[str] = []  # printed when the terminal is free again
    decoder = decoder_for(trace, given.get("words", False), given.get("prototypes", ()), damaged.append)
    _needs_textual()
    _needs_terminal(trace.path)
    from uselib.trace.tui.app import TraceApp
    from uselib.trace.tui.view import Filter

    thread = next(iter(chosen_threads(trace, given)), None)
    chosen = Filter(given.get("library", ()), given.get("symbol", ()), given.get("depth"), thread)
    app = TraceApp(trace, processes, chosen, decoder, given.get("lines", False))
    try:
        app.run()
    finally:
        app.index.close()
    if app.failure is not None:
        raise app.failure
    say = said_once()
    for sentence in damaged:
        say(sentence)


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


run = Reader(
    usage="uselib trace tui [OPTIONS] FILE",
    about="Shows a trace on the terminal, to move about in, search, filter and fold with the keyboard. `?` there lists the keys.",
    options={
        **{name: SELECTION[name] for name in ("--library", "--symbol", "--process")},
        "--depth": Option("N", "only calls nested less than N deep", count),
        "--thread": Option("NUMBER", "only this thread", lambda text: (count(text),)),
        "--lines": Option("", "source lines of callers, where the file has debugging information", None),
        **DECODING,
    },
    show=show,
).run

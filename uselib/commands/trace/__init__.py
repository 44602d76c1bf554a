"""`uselib trace`: runs a program and shows or records every call through a jump table, or reads a trace file.

A subcommand is a module here: its options, and `run(arguments) -> exit status`. Its name is in SUBCOMMANDS. Those that read a
file describe themselves by a `Reader` (reader.py) and show what uselib/trace/reading makes of the file.
"""

from __future__ import annotations

from importlib import import_module

# `uselib trace WORD ...`; `uselib trace ./show` runs a program
SUBCOMMANDS = ("record", "show", "summary", "graph", "diff", "export", "report", "tui")


def run(arguments: list[str]) -> int:
    """Returns the guest's exit status, or 128 + N if signal N killed it; of a reader, its own."""
    if arguments and arguments[0] in SUBCOMMANDS:
        return int(import_module(f"uselib.commands.trace.{arguments[0]}").run(arguments[1:]))
    from uselib.commands.trace.live import run as run_live

    return run_live(arguments)

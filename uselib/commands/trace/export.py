"""`uselib trace export FILE`: a trace in another format (uselib/trace/reading/export.py has the table of formats)."""

from __future__ import annotations

import sys

from uselib.commands.trace.reader import DECODING, SELECTION, Given, Reader, choice, chosen_processes
from uselib.emulator.option_table import Option
from uselib.linker.errors import Diagnostic, UsageError
from uselib.trace.reading.decoding import decoder_for
from uselib.trace.reading.export import FORMATS, exporter, written
from uselib.trace.reading.model import TraceFile


def check(given: Given) -> None:
    """A format is named, and binary ones do not go to a terminal."""
    if "format" not in given:
        raise UsageError(Diagnostic("--format", "give one of " + ", ".join(FORMATS)))
    if FORMATS[given["format"]].binary and "o" not in given and sys.stdout.isatty():
        message = f"{given['format']} is a binary format; give a file, or send stdout to one"
        raise UsageError(Diagnostic("-o", message))


def show(given: Given, trace: TraceFile) -> None:
    export = exporter(given["format"])
    processes = chosen_processes(trace, given)
    decoder = decoder_for(trace, given.get("words", False), given.get("prototypes", ()))
    written(given.get("o"), lambda out: export(trace, processes, decoder, given.get("weight", ""), out))


run = Reader(
    usage="uselib trace export --format FORMAT [OPTIONS] FILE",
    about="Formats:\n" + "\n".join(f"  {name:<12} {row.help}" for name, row in FORMATS.items()),
    options={
        "--format": Option("FORMAT", ", ".join(FORMATS), choice(*FORMATS)),
        "-o": Option("FILE", "write to FILE instead of stdout"),
        "--weight": Option(
            "WHAT",
            "folded, speedscope: time or calls (default: calls if the clock counts calls)",
            choice("time", "calls"),
        ),
        "--process": SELECTION["--process"],
        **DECODING,
    },
    show=show,
    check=check,
).run

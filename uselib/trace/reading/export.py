"""A trace in other formats: a table of them, each a function of a module of its own that writes to a binary stream."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import BinaryIO

from uselib.linker.writing import replacing
from uselib.trace.reading.decoding import Decoder
from uselib.trace.reading.model import TracedProcess, TraceFile


@dataclass(frozen=True)
class ExportFormat:
    """module: under uselib.trace.reading, imported when the format is asked for."""

    module: str
    function: str
    binary: bool
    help: str


FORMATS: dict[str, ExportFormat] = {
    "jsonl": ExportFormat("export_lines", "jsonl", False, "JSON Lines, one object an event: the stable text form"),
    "csv": ExportFormat("export_lines", "csv_", False, "a row an event"),
    "perfetto": ExportFormat(
        "export_perfetto", "perfetto", True, "a Perfetto trace (ui.perfetto.dev, trace_processor)"
    ),
    "chrome": ExportFormat(
        "export_chrome", "chrome", False, "Chrome trace event JSON (chrome://tracing, Perfetto too)"
    ),
    "folded": ExportFormat("export_stacks", "folded", False, "folded stacks, for flamegraph.pl and inferno"),
    "speedscope": ExportFormat("export_stacks", "speedscope", False, "speedscope.app's JSON"),
}


# trace, processes, decoder, what stacks are weighed by (`time`, `calls`, or empty: what suits the clock), stream
Exporter = Callable[[TraceFile, list[TracedProcess], Decoder, str, BinaryIO], None]


def exporter(name: str) -> Exporter:
    """The function that writes a format of FORMATS."""
    module = import_module(f"uselib.trace.reading.{FORMATS[name].module}")
    found: Exporter = getattr(module, FORMATS[name].function)
    return found


def written(path: str | None, write: Callable[[BinaryIO], object]) -> None:
    """Calls write with stdout, or with a temporary file that takes `path`'s name when it is whole. Raises OSError."""
    if path is None:
        sys.stdout.flush()
        write(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with replacing(path, 0o666) as out:
        write(out)

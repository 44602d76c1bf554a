"""`uselib trace export FILE`: a table of formats, each a module of its own that writes to a binary stream."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from typing import Any, BinaryIO

from uselib.emulator.trace.reading.decoding import PLAIN, PROTOTYPES, Decoder, decoder_for
from uselib.emulator.trace.reading.model import Process, TraceFile
from uselib.emulator.trace.reading.options import SELECTION, Option, choice, chosen_processes, parse, warn
from uselib.linker.errors import Diagnostic, UsageError

# format -> (module under uselib.emulator.trace.reading, function, binary, what it is)
FORMATS: dict[str, tuple[str, str, bool, str]] = {
    "jsonl": ("export_lines", "jsonl", False, "JSON Lines, one object an event: the stable text form"),
    "csv": ("export_lines", "csv_", False, "a row an event"),
    "perfetto": ("export_perfetto", "perfetto", True, "a Perfetto trace (ui.perfetto.dev, trace_processor)"),
    "chrome": ("export_chrome", "chrome", False, "Chrome trace event JSON (chrome://tracing, Perfetto too)"),
    "folded": ("export_stacks", "folded", False, "folded stacks, for flamegraph.pl and inferno"),
    "speedscope": ("export_stacks", "speedscope", False, "speedscope.app's JSON"),
}
USAGE = "uselib trace export --format FORMAT [OPTIONS] FILE"
ABOUT = "Formats:\n" + "\n".join(f"  {name:<12} {row[3]}" for name, row in FORMATS.items())
OPTIONS = {
    "--format": Option("FORMAT", ", ".join(FORMATS), choice(*FORMATS)),
    "-o": Option("FILE", "write to FILE instead of stdout"),
    "--weight": Option(
        "WHAT", "folded, speedscope: time or calls (default: calls if the clock counts calls)", choice("time", "calls")
    ),
    "--process": SELECTION["--process"],
    "--prototypes": PROTOTYPES,
    "--words": PLAIN,
}

Exporter = Callable[[TraceFile, list[Process], Decoder, dict[str, Any], BinaryIO], None]


def run(arguments: list[str]) -> int:
    """Returns 0. Raises ToolError, OSError."""
    parsed = parse(USAGE, ABOUT, arguments, OPTIONS)
    if parsed is None:
        return 0
    (path,), values = parsed
    if "format" not in values:
        raise UsageError(Diagnostic("--format", "give one of " + ", ".join(FORMATS)))
    module, name, binary, _ = FORMATS[values["format"]]
    output = values.get("o")
    if binary and output is None and sys.stdout.isatty():
        raise UsageError(Diagnostic("-o", f"{values['format']} is a binary format; give a file, or send stdout to one"))
    export: Exporter = getattr(import_module(f"uselib.emulator.trace.reading.{module}"), name)
    with TraceFile(path) as trace:
        processes = chosen_processes(trace, values)
        decoder = decoder_for(trace, values.get("words", False), values.get("prototypes", ()))
        warn(trace)
        written(output, lambda out: export(trace, processes, decoder, values, out))
    return 0


def written(path: str | None, write: Callable[[BinaryIO], None]) -> None:
    """Calls write with stdout, or with a temporary file that takes `path`'s name when it is whole. Raises OSError."""
    if path is None:
        sys.stdout.flush()
        write(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe or device: nothing to rename
        with open(path, "wb") as out:
            write(out)
        return
    directory = os.path.dirname(path) or "."
    try:
        handle, temporary = tempfile.mkstemp(dir=directory, prefix=".uselib-")
    except OSError as failure:
        raise OSError(failure.errno, failure.strerror, path) from None
    try:
        with os.fdopen(handle, "wb", buffering=1 << 20) as out:
            write(out)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException as failure:
        os.unlink(temporary)
        if isinstance(failure, OSError) and failure.filename in (None, temporary):
            raise OSError(failure.errno, failure.strerror, path) from None
        raise

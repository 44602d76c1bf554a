"""`uselib trace`: runs a program and shows every call through a jump table."""

from __future__ import annotations

from importlib import import_module

from emulator.run import Runner
from emulator.run_options import Option, parse
from emulator.trace.output import Output
from emulator.trace.recorder import Recorder
from linker.errors import Diagnostic, UsageError

USAGE = "uselib trace [--format text|jsonl] [-o FILE] [OPTIONS] PROG [ARGUMENTS]"

# `uselib trace WORD FILE`: readers of trace files, module under emulator.trace.reading; `uselib trace ./show` runs a program
READERS = ("show", "summary", "graph", "diff", "export", "report")

RENDERERS = {"text": "render_text", "jsonl": "render_jsonl"}  # format -> module under emulator.trace

_EXTRA = {
    "--format": Option("format", "FORMAT", "text (for people) or jsonl (for programs)"),
    "-o": Option("output", "FILE", "write the trace to FILE instead of stderr"),
}


def run(arguments: list[str]) -> int:
    """Returns the guest's exit status, or 128 + N if signal N killed it."""
    if arguments and arguments[0] in READERS:
        return int(import_module(f"emulator.trace.reading.{arguments[0]}").run(arguments[1:]))
    parsed = parse(USAGE, arguments, _EXTRA)
    if isinstance(parsed, int):
        return parsed
    options, extra = parsed
    name = extra.get("format", "text")
    if name not in RENDERERS:
        raise UsageError(Diagnostic("--format", f"`{name}` is not one of {', '.join(RENDERERS)}"))
    render = import_module(f"emulator.trace.{RENDERERS[name]}").render
    output = Output(render, extra.get("output"))
    recorder = Recorder(output.sink, output.close)
    return Runner(options, observer=recorder, before_fork=output.flush).run()

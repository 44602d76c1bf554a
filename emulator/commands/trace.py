"""`uselib trace`: runs a program and shows every call through a jump table."""

from __future__ import annotations

from importlib import import_module

from emulator.run import Runner
from emulator.run_options import Option, parse
from emulator.trace.output import Output
from emulator.trace.recorder import Recorder
from linker.errors import Diagnostic, UsageError

USAGE = "uselib trace [--format text|jsonl] [-o FILE] [OPTIONS] PROG [ARGUMENTS]"

RENDERERS = {"text": "render_text", "jsonl": "render_jsonl"}  # format -> module under emulator.trace

_EXTRA = {
    "--format": Option("format", "FORMAT", "text (for people) or jsonl (for programs)"),
    "-o": Option("output", "FILE", "write the trace to FILE instead of stderr"),
}


def run(arguments: list[str]) -> int:
    """Returns the guest's exit status, or 128 + N if signal N killed it."""
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

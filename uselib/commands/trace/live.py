"""`uselib trace PROG`: runs a program and shows every call through a jump table while it runs."""

from __future__ import annotations

from importlib import import_module

from uselib.emulator.option_table import Option
from uselib.emulator.process.run_options import parse
from uselib.linker.errors import Diagnostic, ToolError, UsageError

USAGE = "uselib trace [--format text|jsonl] [-o FILE] [OPTIONS] PROG [ARGUMENTS]"
RENDERERS = {"text": "live.render_text", "jsonl": "live.render_jsonl"}  # format -> module under uselib.emulator.trace


def run(arguments: list[str]) -> int:
    """Returns the guest's exit status. Raises ToolError."""
    from uselib.emulator.process.host import Host
    from uselib.emulator.process.run import Runner
    from uselib.emulator.sandbox.sandbox import Sandbox, owns_process
    from uselib.emulator.trace.live.live_sink import LiveSink
    from uselib.emulator.trace.live.output import Output
    from uselib.emulator.trace.record.record_options import OPTIONS, record_options
    from uselib.emulator.trace.record.recorder import Recorder

    extras = {
        "--format": Option("FORMAT", "text (for people) or jsonl (for programs)"),
        "-o": Option("FILE", "write the trace to FILE instead of stderr", field="output"),
    }
    parsed = parse(USAGE, arguments, {**extras, **OPTIONS})
    if isinstance(parsed, int):
        return parsed
    options, extra = parsed
    name = extra.get("format", "text")
    if name not in RENDERERS:
        raise UsageError(Diagnostic("--format", f"`{name}` is not one of {', '.join(RENDERERS)}"))
    chosen = record_options(extra)
    render = import_module(f"uselib.emulator.trace.{RENDERERS[name]}").render
    try:
        output = Output(extra.get("output"))
    except OSError as failure:
        raise ToolError(Diagnostic(extra["output"], failure.strerror or str(failure))) from None
    recorder = Recorder(LiveSink(render, output), chosen)
    return recorder.status(
        Runner(options, (recorder,), Host(confine=Sandbox().confine) if owns_process() else Host()).run()
    )

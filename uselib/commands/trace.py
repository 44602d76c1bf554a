"""`uselib trace`: runs a program and shows or records every call through a jump table, or reads a trace file."""

from __future__ import annotations

from importlib import import_module

from uselib.emulator.process.run_options import Option, parse
from uselib.linker.errors import Diagnostic, ToolError, UsageError

USAGE = "uselib trace [--format text|jsonl] [-o FILE] [OPTIONS] PROG [ARGUMENTS]"
RECORD_USAGE = "uselib trace record -o FILE [OPTIONS] PROG [ARGUMENTS]"

# `uselib trace WORD FILE`: readers of trace files -> module under uselib.emulator.trace; `uselib trace ./show` runs a program
READERS = {
    **{word: f"reading.{word}" for word in ("show", "summary", "graph", "diff", "export", "report")},
    "tui": "tui.command",
}

RENDERERS = {"text": "live.render_text", "jsonl": "live.render_jsonl"}  # format -> module under uselib.emulator.trace


def run(arguments: list[str]) -> int:
    """Returns the guest's exit status, or 128 + N if signal N killed it."""
    if arguments and arguments[0] in READERS:
        return int(import_module(f"uselib.emulator.trace.{READERS[arguments[0]]}").run(arguments[1:]))
    if arguments and arguments[0] == "record":
        return _record(arguments[1:])
    return _live(arguments)


def _record(arguments: list[str]) -> int:
    from uselib.emulator.process.run import Runner
    from uselib.emulator.trace.record.record_options import OPTIONS, meta, record_options
    from uselib.emulator.trace.record.recorder import Recorder
    from uselib.emulator.trace.store.sinks import FileSink

    extras = {
        "-o": Option("output", "FILE", "the trace file"),
        "--prototypes": Option(
            "prototypes", "FILE", "C declarations: which arguments are strings or structs", many=True
        ),
        "--no-strings": Option("no_strings", "", "do not copy what arguments point to", None),
    }
    parsed = parse(RECORD_USAGE, arguments, {**extras, **OPTIONS})
    if isinstance(parsed, int):
        return parsed
    options, extra = parsed
    if "output" not in extra:
        raise UsageError(Diagnostic("trace record", "no trace file given", remedy="say where with `-o FILE`"))
    chosen = record_options(extra)
    try:
        sink = FileSink(extra["output"], meta(options, extra))
    except OSError as failure:
        raise _unwritable(extra["output"], failure) from None
    wants = None
    if not extra.get("no_strings"):
        from uselib.emulator.trace.prototypes.damage import said_once
        from uselib.emulator.trace.record.wants import PrototypeWants

        wants = PrototypeWants(extra.get("prototypes", ()), results=chosen.returns, warn=said_once())
    return Runner(options, (Recorder(sink, chosen, wants),)).run()


def _live(arguments: list[str]) -> int:
    from uselib.emulator.process.run import Runner
    from uselib.emulator.trace.live.live import LiveSink
    from uselib.emulator.trace.live.output import Output
    from uselib.emulator.trace.record.record_options import OPTIONS, record_options
    from uselib.emulator.trace.record.recorder import Recorder

    extras = {
        "--format": Option("format", "FORMAT", "text (for people) or jsonl (for programs)"),
        "-o": Option("output", "FILE", "write the trace to FILE instead of stderr"),
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
        raise _unwritable(extra["output"], failure) from None
    return Runner(options, (Recorder(LiveSink(render, output), chosen),)).run()


def _unwritable(path: str, failure: OSError) -> ToolError:
    return ToolError(Diagnostic(path, failure.strerror or str(failure)))

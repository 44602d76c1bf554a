"""`uselib trace record -o FILE PROG`: runs a program and records every call through a jump table in a file."""

from __future__ import annotations

from uselib.emulator.option_table import Option
from uselib.emulator.process.run_options import parse
from uselib.linker.errors import Diagnostic, ToolError, UsageError

USAGE = "uselib trace record -o FILE [OPTIONS] PROG [ARGUMENTS]"


def run(arguments: list[str]) -> int:
    """Returns the guest's exit status. Raises ToolError."""
    from uselib.emulator.process.host import Host
    from uselib.emulator.process.run import Runner
    from uselib.emulator.sandbox.sandbox import Sandbox, owns_process
    from uselib.emulator.trace.record.record_options import OPTIONS, meta, record_options
    from uselib.emulator.trace.record.recorder import Recorder
    from uselib.emulator.trace.store.sinks import FileSink

    extras = {
        "-o": Option("FILE", "the trace file", field="output"),
        "--prototypes": Option("FILE", "C declarations: which arguments are strings or structs", many=True),
        "--no-strings": Option("", "do not copy what arguments point to", None),
    }
    parsed = parse(USAGE, arguments, {**extras, **OPTIONS})
    if isinstance(parsed, int):
        return parsed
    options, extra = parsed
    if "output" not in extra:
        raise UsageError(Diagnostic("trace record", "no trace file given", remedy="say where with `-o FILE`"))
    chosen = record_options(extra)
    try:
        sink = FileSink(extra["output"], meta(options, extra))
    except OSError as failure:
        raise ToolError(Diagnostic(extra["output"], failure.strerror or str(failure))) from None
    wants = None
    if not extra.get("no_strings"):
        from uselib.emulator.trace.prototypes.damage import said_once
        from uselib.emulator.trace.record.wants import PrototypeWants

        wants = PrototypeWants(extra.get("prototypes", ()), results=chosen.returns, warn=said_once())
    recorder = Recorder(sink, chosen, wants)
    host = Host(confine=Sandbox().confine) if owns_process() else Host()
    return recorder.status(Runner(options, (recorder,), host).run())

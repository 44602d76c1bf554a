"""RecordOptions: what is recorded; and the options of `uselib trace` and `uselib trace record` that say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from uselib.emulator.option_table import Option
from uselib.emulator.process.run_options import RunOptions, positive_count
from uselib.emulator.trace.record.filters import Filters
from uselib.linker.errors import Diagnostic, UsageError
from uselib.linker.package_version import VERSION
from uselib.linker.quick_dataclass import dataclass, field

CLOCKS = ("calls", "blocks")


@dataclass(frozen=True)
class RecordOptions:
    """What is recorded. clock: "calls" (calls seen so far) or "blocks" (basic blocks entered so far). native: None takes the
    native recorder if it was built."""

    clock: str = "calls"
    returns: bool = False
    all_functions: bool = False
    interposed: bool = False
    system_calls: bool = False
    bindings: bool = False
    filters: Filters = field(default_factory=Filters)
    native: bool | None = None
    stubs: tuple[str, ...] = ()  # files that name the slots of a.out libraries, besides those beside the libraries
    capacity: int = 1 << 14

    @property
    def everything(self) -> bool:
        return self.returns or self.all_functions or self.clock == "blocks"


OPTIONS: dict[str, Option] = {
    "--returns": Option("", "also returns, with their values and durations", None),
    "--all-functions": Option("", "also calls inside libraries and the program, by their symbols", None),
    "--interposed": Option("", "also calls out of libraries through interposition pointers", None),
    "--syscalls": Option("", "also system calls", None, field="system_calls"),
    "--bindings": Option("", "also each symbol binding of dynamic programs", None),
    "--clock": Option("CLOCK", "what times count: calls (default) or blocks (basic blocks; slower)"),
    "--library": Option("GLOB", "only calls of these libraries", many=True, field="libraries"),
    "--symbol": Option("GLOB", "only calls of these functions", many=True, field="symbols"),
    "--caller": Option("GLOB", "only calls from these functions", many=True, field="callers"),
    "--from": Option("GLOB", "only calls from these objects (file names)", many=True, field="calling_objects"),
    "--trigger-on": Option("GLOB", "begin at the first call of such a function", many=True),
    "--trigger-off": Option("GLOB", "pause at a call of such a function, until --trigger-on", many=True),
    "--depth": Option("N", "only calls nested less than N deep", positive_count),
    "--first": Option("N", "only the first N calls", positive_count),
    "--last": Option("N", "only the last N events, written when the program ends", positive_count),
    "--sample": Option("N", "only every Nth call", positive_count),
    "--stubs": Option("FILE", "names of an a.out library's slots: its stub archive or jump.funcs", many=True),
    "--recorder": Option("KIND", "native or python (slow; the same events)"),
}
_FILTERS = (
    "libraries",
    "symbols",
    "callers",
    "calling_objects",
    "trigger_on",
    "trigger_off",
    "depth",
    "first",
    "last",
    "sample",
)


def record_options(values: Mapping[str, Any]) -> RecordOptions:
    """Raises UsageError."""
    clock = values.get("clock", "calls")
    if clock not in CLOCKS:
        raise UsageError(Diagnostic("--clock", f"`{clock}` is not one of {', '.join(CLOCKS)}"))
    kind = values.get("recorder")
    if kind not in (None, "native", "python"):
        raise UsageError(Diagnostic("--recorder", f"`{kind}` is not one of native, python"))
    if kind == "native":
        from uselib.emulator.trace.record.select_backend import native_available

        if not native_available():
            raise UsageError(
                Diagnostic(
                    "--recorder", "the native recorder was not built", remedy="install with a C compiler in PATH"
                )
            )
    switches = {
        name: values.get(name, False) for name in ("returns", "all_functions", "interposed", "system_calls", "bindings")
    }
    filters = Filters(**{name: values[name] for name in _FILTERS if name in values})
    native = None if kind is None else kind == "native"
    return RecordOptions(clock=clock, filters=filters, native=native, stubs=_stubs(values.get("stubs", ())), **switches)


def _stubs(paths: Sequence[str]) -> tuple[str, ...]:
    """Raises FormatError, OSError: a file that names nothing should be told at once."""
    if paths:
        from uselib.linker.historical.aout.stub import read
        from uselib.linker.reading import read_file

        for path in paths:
            read(read_file(path), path, 0)
    return tuple(paths)


def meta(run: RunOptions, values: Mapping[str, Any]) -> dict[str, Any]:
    """The META chunk: nothing in it differs between two runs of the same command."""
    chosen = {
        key: value for key, value in values.items() if key in {option.key(name) for name, option in OPTIONS.items()}
    }
    chosen.pop("recorder", None)
    chosen.pop("clock", None)
    return {
        "uselib": VERSION,
        "command": [run.program, *run.arguments],
        "options": chosen,
        "clock": values.get("clock", "calls"),
        "seed": run.seed,
    }

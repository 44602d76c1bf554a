"""`uselib trace summary FILE`: calls, total and self time per function and per library; slots that were hot, or never used."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uselib.emulator.trace.reading.calltree import CallTree, build
from uselib.emulator.trace.reading.model import Function, TraceFile
from uselib.emulator.trace.reading.options import (
    SELECTION,
    Colours,
    Option,
    choice,
    chosen_processes,
    count,
    matches,
    parse,
    plural,
    warn,
)

USAGE = "uselib trace summary [OPTIONS] FILE"
ABOUT = """Counts the calls of a trace. Total time is with, self time without the recorded calls made from within; a recursive function's
total counts its outermost calls. A call whose return is not in the trace lasts until the next call at its depth."""
SORTS = ("total", "self", "calls", "average", "name")
OPTIONS = {
    "--sort": Option("KEY", f"{', '.join(SORTS)} (default total; calls if the clock counts calls)", choice(*SORTS)),
    "--by": Option("WHAT", "function (default) or library", choice("function", "library")),
    "--limit": Option("N", "at most N rows (default 40; 0: all)", count),
    "--unused": Option("", "list every slot that was never used", None),
    "--json": Option("", "for programs: everything, unsorted by --limit", None),
    **{name: SELECTION[name] for name in ("--library", "--symbol", "--process")},
}


@dataclass(frozen=True)
class Row:
    """Of a function or a library. unfinished: calls whose return was not seen."""

    label: str
    library: str
    symbol: str
    slot: int
    calls: int
    total: int
    self_time: int
    unfinished: int

    @property
    def average(self) -> float:
        return self.total / self.calls if self.calls else 0.0


@dataclass(frozen=True)
class Usage:
    """Slots of one library: how many it has, the ones that were never called through."""

    library: str
    version: str
    slots: int
    unused: tuple[Function, ...]


def _totals(tree: CallTree, key_of: list[Any]) -> dict[Any, list[int]]:
    """By key: calls, total (of nodes without the same key above them), self, unfinished."""
    sums: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    above: list[frozenset[Any]] = []
    rows = zip(
        tree.parent, tree.function, tree.site, tree.calls.tolist(), tree.total.tolist(), tree.self_time.tolist(),
        tree.unfinished.tolist(), strict=True,
    )  # fmt: skip
    for parent, function, site, calls, total, self_time, unfinished in rows:
        if parent < 0:
            above.append(frozenset())
            continue
        if site:
            above.append(above[parent])
            continue
        key = key_of[function]
        row = sums[key]
        row[0] += calls
        row[2] += self_time
        row[3] += unfinished
        if key in above[parent]:
            above.append(above[parent])
        else:
            row[1] += total
            above.append(above[parent] | {key})
    return sums


def function_rows(trace: TraceFile, tree: CallTree) -> list[Row]:
    """One row for each function that was called."""
    sums = _totals(tree, list(range(len(trace.functions))))
    rows = []
    for number, (calls, total, self_time, unfinished) in sums.items():
        f = trace.functions[number]
        rows.append(Row(f.label, f.library, f.name, f.slot, calls, total, self_time, unfinished))
    return rows


def library_rows(trace: TraceFile, tree: CallTree) -> list[Row]:
    """One row for each library that was called; time in callbacks to the program counts for the library."""
    sums = _totals(tree, [f.library for f in trace.functions])
    return [Row(library or "(program)", library, "", 0, *numbers) for library, numbers in sums.items()]


def usages(trace: TraceFile, tree: CallTree) -> list[Usage]:
    """Which slots of each library were never used."""
    called = {number for number, calls in zip(tree.function, tree.calls.tolist(), strict=True) if number >= 0 and calls}
    slots: dict[tuple[str, str], list[Function]] = defaultdict(list)
    for function in trace.functions:
        if function.slot:
            slots[function.library, function.version].append(function)
    return [
        Usage(library, version, len(all_), tuple(f for f in all_ if f.number not in called))
        for (library, version), all_ in sorted(slots.items())
    ]


def hot(rows: list[Row], part: float = 0.9) -> int:
    """How many of the slots make up that part of all calls."""
    calls = sorted((row.calls for row in rows if row.slot), reverse=True)
    wanted, seen = part * sum(calls), 0
    for number, count_ in enumerate(calls):
        if seen >= wanted:
            return number
        seen += count_
    return len(calls)


_KEYS: dict[str, Callable[[Row], float]] = {
    "total": lambda r: -r.total,
    "self": lambda r: -r.self_time,
    "calls": lambda r: -r.calls,
    "average": lambda r: -r.average,
    "name": lambda r: 0,
}


def ordered(rows: list[Row], key: str) -> list[Row]:
    """Largest first; equal ones, and `name`, by name."""
    return sorted(rows, key=lambda r: (_KEYS[key](r), r.label, r.slot))


def _as_json(trace: TraceFile, functions: list[Row], libraries: list[Row], used: list[Usage], tree: CallTree) -> str:
    def row(r: Row) -> dict[str, object]:
        fields: dict[str, object] = {"library": r.library}
        if r.symbol:
            fields |= {"symbol": r.symbol, "slot": r.slot or None}
        return fields | {
            "calls": r.calls, "total": r.total, "self": r.self_time, "average": round(r.average, 3),
            "unfinished": r.unfinished,
        }  # fmt: skip

    return json.dumps(
        {
            "version": 1, "clock": trace.clock, "complete": trace.complete, "returns": trace.has_returns(),
            "processes": [
                {"pid": p.pid, "program": p.program, "machine": p.machine, "status": (p.end or {}).get("status")}
                for p in trace.processes
            ],
            "first_time": tree.first_time, "last_time": tree.last_time,
            "functions": [row(r) for r in functions], "libraries": [row(r) for r in libraries],
            "slots": [
                {"library": u.library, "version": u.version, "slots": u.slots, "used": u.slots - len(u.unused),
                 "unused": [f.name for f in u.unused]}
                for u in used
            ],
        },
        indent=1,
    )  # fmt: skip


def _table(rows: list[Row], unit: str, colour: Colours) -> list[str]:
    out = [
        colour("bold", f"{'calls':>10} {'total':>14} {'self':>14} {'average':>12}  function") + f"   (times: {unit})"
    ]
    for r in rows:
        slot = colour("dim", f"[{r.slot}]") if r.slot else ""
        open_ = colour("yellow", f"  {r.unfinished} without return") if r.unfinished else ""
        out.append(f"{r.calls:>10,} {r.total:>14,} {r.self_time:>14,} {r.average:>12,.1f}  {r.label}{slot}{open_}")
    return out


def run(arguments: list[str]) -> int:
    """Returns 0. Raises ToolError, OSError."""
    parsed = parse(USAGE, ABOUT, arguments, OPTIONS)
    if parsed is None:
        return 0
    (path,), values = parsed
    with TraceFile(path) as trace:
        tree = build(trace, chosen_processes(trace, values))
        libraries, symbols = values.get("library", ()), values.get("symbol", ())

        def shown(rows: list[Row]) -> list[Row]:
            kept = [r for r in rows if matches(r.library, libraries) and (not r.symbol or matches(r.symbol, symbols))]
            return ordered(kept, values.get("sort", "calls" if trace.clock == "calls" else "total"))

        functions, by_library = shown(function_rows(trace, tree)), shown(library_rows(trace, tree))
        used = [u for u in usages(trace, tree) if matches(u.library, libraries)]
        warn(trace)
        if values.get("json"):
            print(_as_json(trace, functions, by_library, used, tree))
            return 0
        returns = trace.has_returns()
        _print(functions, by_library, used, values, trace, returns)
        if tree.truncated:
            print(f"uselib: {path}: too many different call paths; deep totals are approximate", file=sys.stderr)
    return 0


def _print(
    functions: list[Row],
    libraries: list[Row],
    used: list[Usage],
    values: dict[str, Any],
    trace: TraceFile,
    returns: bool,
) -> None:
    colour = Colours(sys.stdout)
    rows = libraries if values.get("by") == "library" else functions
    limit = values.get("limit", 40) or len(rows)
    for line in _table(rows[:limit], trace.clock, colour):
        print(line)
    if len(rows) > limit:
        print(f"{'':>10} ... {len(rows) - limit} more; --limit 0 shows all")
    calls = sum(row.calls for row in functions)
    of = f"{plural(len(functions), 'function', 'functions')} in {plural(len(libraries), 'library', 'libraries')}"
    print(f"\n{plural(calls, 'call', 'calls')} of {of}, {plural(len(trace.processes), 'process', 'processes')}")
    if not returns and calls:
        print("no returns were recorded: times are from a call to the next at its depth")
    if functions and calls:
        slots = hot(functions)
        print(f"hot: {plural(slots, 'slot', 'slots')} {'makes' if slots == 1 else 'make'} 90% of the calls")
    for usage in used:
        names = [f"{f.name}[{f.slot}]" for f in usage.unused]
        line = f"{usage.library} {usage.version}: {usage.slots - len(names)} of {usage.slots} slots used"
        if names and values.get("unused"):
            line += "; never: " + " ".join(names)
        elif names:
            line += "; never: " + " ".join(names[:6]) + (f" ... ({len(names)}; --unused)" if len(names) > 6 else "")
        print(line)

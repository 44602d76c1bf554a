"""A summary as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

from uselib.trace.reading.bindings import counted
from uselib.trace.reading.summary import SlotUsage, Summary, TotalRow, hot
from uselib.trace.reading.text import Colours, plural


def as_json(summary: Summary) -> str:
    """For programs: everything that was selected."""
    trace = summary.trace
    document = {
        "version": 1,
        "clock": trace.clock,
        "complete": trace.complete,
        "returns": trace.has_returns(),
        "processes": [
            {"pid": p.pid, "program": p.program, "machine": p.machine, "status": (p.end or {}).get("status")}
            for p in trace.processes
        ],
        "first_time": summary.tree.first_time,
        "last_time": summary.tree.last_time,
        "functions": [_row(row) for row in summary.functions],
        "libraries": [_row(row) for row in summary.libraries],
        "bindings": dict(counted(trace.processes)),
        "slots": [_usage(usage) for usage in summary.usages],
    }
    return json.dumps(document, indent=1)


def _row(row: TotalRow) -> dict[str, object]:
    name = {"symbol": row.symbol, "slot": row.slot or None} if row.symbol else {}
    times = {"total": row.total, "self": row.self_time, "average": round(row.average, 3)}
    return {"library": row.library, **name, "calls": row.calls, **times, "unfinished": row.unfinished}


def _usage(usage: SlotUsage) -> dict[str, object]:
    counts = {"slots": usage.slots, "used": usage.slots - len(usage.unused)}
    unused = [function.name for function in usage.unused]
    return {"library": usage.library, "version": usage.version, **counts, "unused": unused}


def as_text(summary: Summary, colour: Colours, by_library: bool, limit: int, all_unused: bool) -> Iterator[str]:
    """Lines. limit: rows of the table, 0 for all; all_unused: every slot that was never used, not the first few."""
    functions, libraries, trace = summary.functions, summary.libraries, summary.trace
    rows = libraries if by_library else functions
    limit = limit or len(rows)
    yield from _table(rows[:limit], trace.clock, colour)
    if len(rows) > limit:
        yield f"{'':>10} ... {len(rows) - limit} more; --limit 0 shows all"
    calls = sum(row.calls for row in functions)
    of = f"{plural(len(functions), 'function')} in {plural(len(libraries), 'library', 'libraries')}"
    yield f"\n{plural(calls, 'call')} of {of}, {plural(len(trace.processes), 'process', 'processes')}"
    if calls and not trace.has_returns():
        yield "no returns were recorded: times are from a call to the next at its depth"
    if functions and calls:
        number, what = hot(functions), "slot" if any(row.slot for row in functions) else "function"
        yield f"hot: {plural(number, what)} {'makes' if number == 1 else 'make'} 90% of the calls"
    bound = counted(trace.processes)
    if bound:
        yield "symbols bound: " + ", ".join(f"{number:,} ({when})" for when, number in bound)
    for usage in summary.usages:
        yield _used(usage, len(usage.unused) if all_unused else 6)


def _table(rows: list[TotalRow], unit: str, colour: Colours) -> Iterator[str]:
    titles = f"{'calls':>10} {'total':>14} {'self':>14} {'average':>12}  function"
    yield colour("bold", titles) + f"   (times: {unit})"
    for r in rows:
        slot = colour("dim", f"[{r.slot}]") if r.slot else ""
        open_ = colour("yellow", f"  {r.unfinished} without return") if r.unfinished else ""
        yield f"{r.calls:>10,} {r.total:>14,} {r.self_time:>14,} {r.average:>12,.1f}  {r.label}{slot}{open_}"


def _used(usage: SlotUsage, most: int) -> str:
    names = [f"{f.name}[{f.slot}]" for f in usage.unused]
    line = f"{usage.library} {usage.version}: {usage.slots - len(names)} of {usage.slots} slots used"
    if not names:
        return line
    more = f" ... ({len(names)}; --unused)" if len(names) > most else ""
    return f"{line}; never: {' '.join(names[:most])}{more}"

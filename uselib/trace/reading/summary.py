"""Calls, total and self time of each function and of each library; slots that were hot, or never used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uselib.trace.reading.calltree import CallTree
from uselib.trace.reading.model import Function, TraceFile
from uselib.trace.reading.text import matches


@dataclass(frozen=True)
class TotalRow:
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
class SlotUsage:
    """Slots of one library: how many it has, the ones that were never called through."""

    library: str
    version: str
    slots: int
    unused: tuple[Function, ...]


def _totals(tree: CallTree, key_of: list[Any]) -> dict[Any, list[int]]:
    """By key: calls, total (of nodes without the same key above them), self, unfinished."""
    sums: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    above: list[frozenset[Any]] = []
    counted = (tree.calls, tree.total, tree.self_time, tree.unfinished)
    rows = zip(tree.parent, tree.function, tree.site, *(column.tolist() for column in counted), strict=True)
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


def function_rows(trace: TraceFile, tree: CallTree) -> list[TotalRow]:
    """One row for each function that was called."""
    sums = _totals(tree, list(range(len(trace.functions))))
    rows = []
    for number, (calls, total, self_time, unfinished) in sums.items():
        f = trace.functions[number]
        rows.append(TotalRow(f.label, f.library, f.name, f.slot, calls, total, self_time, unfinished))
    return rows


def library_rows(trace: TraceFile, tree: CallTree) -> list[TotalRow]:
    """One row for each library that was called; time in callbacks to the program counts for the library."""
    sums = _totals(tree, [f.library for f in trace.functions])
    return [TotalRow(library or "(program)", library, "", 0, *numbers) for library, numbers in sums.items()]


def usages(trace: TraceFile, tree: CallTree) -> list[SlotUsage]:
    """Which slots of each library were never used."""
    called = {number for number, calls in zip(tree.function, tree.calls.tolist(), strict=True) if number >= 0 and calls}
    slots: dict[tuple[str, str], list[Function]] = defaultdict(list)
    for function in trace.functions:
        if function.slot:
            slots[function.library, function.version].append(function)
    return [
        SlotUsage(library, version, len(all_), tuple(f for f in all_ if f.number not in called))
        for (library, version), all_ in sorted(slots.items())
    ]


def hot(rows: list[TotalRow], part: float = 0.9) -> int:
    """How many of the functions make up that part of all calls; where there are slots, of the slots."""
    slots = any(row.slot for row in rows)
    calls = sorted((row.calls for row in rows if row.slot or not slots), reverse=True)
    wanted, seen = part * sum(calls), 0
    for number, count_ in enumerate(calls):
        if seen >= wanted:
            return number
        seen += count_
    return len(calls)


_KEYS: dict[str, Callable[[TotalRow], float]] = {
    "total": lambda r: -r.total,
    "self": lambda r: -r.self_time,
    "calls": lambda r: -r.calls,
    "average": lambda r: -r.average,
    "name": lambda r: 0,
}


def ordered(rows: list[TotalRow], key: str) -> list[TotalRow]:
    """Largest first; equal ones, and `name`, by name."""
    return sorted(rows, key=lambda r: (_KEYS[key](r), r.label, r.slot))


SORTS = tuple(_KEYS)


@dataclass(frozen=True)
class Summary:
    """All that a summary says of a trace. functions, libraries, usages: those that were selected, in order."""

    trace: TraceFile
    tree: CallTree
    functions: list[TotalRow]
    libraries: list[TotalRow]
    usages: list[SlotUsage]


def summary_of(
    trace: TraceFile, tree: CallTree, libraries: tuple[str, ...], symbols: tuple[str, ...], sort: str
) -> Summary:
    """libraries, symbols: globs, all if empty; sort: one of SORTS."""

    def shown(rows: list[TotalRow]) -> list[TotalRow]:
        kept = [r for r in rows if matches(r.library, libraries) and (not r.symbol or matches(r.symbol, symbols))]
        return ordered(kept, sort)

    used = [usage for usage in usages(trace, tree) if matches(usage.library, libraries)]
    return Summary(trace, tree, shown(function_rows(trace, tree)), shown(library_rows(trace, tree)), used)

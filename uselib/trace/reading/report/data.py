"""The facts on the report's page, aggregated: call paths up to a limit, the timeline in columns, every slot and every function once."""

from __future__ import annotations

import heapq
import os
from bisect import bisect_left
from collections import defaultdict
from typing import Any

import numpy as np

from uselib.emulator.trace.store.format import RECORD, RECORDS_HEAD
from uselib.trace.reading.blocks import Array
from uselib.trace.reading.calltree import CallTree, build
from uselib.trace.reading.graph import weights
from uselib.trace.reading.model import Function, TracedProcess, TraceFile
from uselib.trace.reading.places import TracedFile
from uselib.trace.reading.report.bindings import binding_facts
from uselib.trace.reading.report.code import LibraryCode
from uselib.trace.reading.summary import TotalRow, function_rows

_WITH_CODE = 400  # slots whose implementation is disassembled
_INSTRUCTIONS = 40
_SLOT_INSTRUCTIONS = 3
_UNKNOWN_SIZE = 64


def collect(trace: TraceFile, paths: int, bins: int) -> dict[str, object]:
    """Everything the page shows. Reads the records once."""
    timeline = Timeline(trace, bins)
    tree = build(trace, visitor=timeline.add)
    rows = {(r.library, r.symbol, r.slot): r for r in function_rows(trace, tree)}
    nodes = _nodes(trace, tree, paths)
    used = sorted({node[1] for node in nodes["rows"] if node[1] >= 0})
    renumbered = {number: at for at, number in enumerate(used)}
    for node in nodes["rows"]:
        node[1] = renumbered.get(node[1], -1)
    slots, notes = _slots(trace, rows)
    return {
        "title": os.path.basename(trace.path),
        "clock": trace.clock,
        "unit": trace.unit,
        "complete": trace.complete,
        "returns": trace.has_returns(),
        "warnings": trace.warnings[:20],
        "command": _command(trace),
        "processes": [_process(process, tree) for process in trace.processes],
        "functions": [[trace.functions[n].label, trace.functions[n].library, trace.functions[n].slot] for n in used],
        "tree": nodes,
        "timeline": timeline.facts(),
        "maps": [_map(process) for process in trace.processes],
        "slots": slots,
        "bindings": binding_facts(trace),
        "notes": notes,
    }


def _command(trace: TraceFile) -> str:
    command = trace.meta.get("command", "")
    return " ".join(map(str, command)) if isinstance(command, list) else str(command)


def _process(process: TracedProcess, tree: CallTree) -> dict[str, object]:
    end = process.end or {}
    return {
        "pid": process.pid,
        "program": process.program,
        "machine": process.machine,
        "parent": process.parent,
        "status": end.get("status"),
        "signal": end.get("signal"),
        "root": tree.roots.get(process.index, -1),
        "index": process.index,
    }


def _nodes(trace: TraceFile, tree: CallTree, limit: int) -> dict[str, Any]:
    """The heaviest paths. rows: [parent row, function, site, calls, total, self]; parents come before children, so a path is
    there only with all that leads to it."""
    children, calls = tree.children(), weights(tree)
    total, self_time = tree.total.tolist(), tree.self_time.tolist()
    rows: list[list[Any]] = []
    at: dict[int, int] = {}
    heap = [(-total[root], -calls[root], root) for root in tree.roots.values()]
    heapq.heapify(heap)
    while heap and len(rows) < limit + len(tree.roots):
        _, _, node = heapq.heappop(heap)
        at[node] = len(rows)
        rows.append(
            [
                at.get(tree.parent[node], -1),
                tree.function[node],
                int(tree.site[node]),
                calls[node],
                total[node],
                self_time[node],
            ]
        )
        for child in children[node]:
            heapq.heappush(heap, (-total[child], -calls[child], child))
    roots = {root: index for index, root in tree.roots.items()}
    return {
        "rows": rows,
        "left": len(tree) - len(rows),
        "truncated": tree.truncated,
        "roots": {str(roots[node]): row for node, row in at.items() if node in roots},
    }


class Timeline:
    """Calls a column, by process and library, and how deep they went. add() is a visitor of calltree.build."""

    def __init__(self, trace: TraceFile, bins: int) -> None:
        self._trace = trace
        edges = [edge for process in trace.processes for edge in _edges(trace, process)]
        self.first, last = (min(edges), max(edges)) if edges else (0, 0)
        self._bins = bins = max(min(bins, last - self.first + 1), 1)
        self.step = max((last - self.first) // bins + 1, 1)
        self._counts: dict[tuple[int, str], Array] = {}
        self._depth: dict[int, Array] = defaultdict(lambda: np.zeros(bins, np.int64))

    def add(self, process: TracedProcess, functions: Array, times: Array, levels: Array) -> None:
        column = np.clip((times - self.first) // self.step, 0, self._bins - 1)
        libraries = sorted({f.library for f in self._trace.functions})
        number = {library: n for n, library in enumerate(libraries)}
        of = np.array([number[f.library] for f in self._trace.functions] or [0])[functions]
        counts = np.bincount(of * self._bins + column, minlength=len(libraries) * self._bins)
        for library in libraries:
            mine = counts[number[library] * self._bins :][: self._bins]
            if mine.any():
                key = process.index, library
                self._counts[key] = self._counts[key] + mine if key in self._counts else mine
        if len(column):
            starts = np.flatnonzero(np.diff(column, prepend=-1))
            np.maximum.at(self._depth[process.index], column[starts], np.maximum.reduceat(levels + 1, starts))

    def facts(self) -> dict[str, object]:
        return {
            "first": self.first,
            "step": self.step,
            "bins": self._bins,
            "rows": [
                {"process": process, "library": library or "(program)", "counts": counts.tolist()}
                for (process, library), counts in sorted(self._counts.items())
            ],
            "depth": {str(process): depth.tolist() for process, depth in sorted(self._depth.items())},
        }


def _edges(trace: TraceFile, process: TracedProcess) -> list[int]:
    """Times of the first and the last record of a process."""
    if not process.records:
        return []
    first, last = process.records[0], process.records[-1]
    places = (first.offset + RECORDS_HEAD.size, last.offset + RECORDS_HEAD.size + (last.count - 1) * RECORD.size)
    return [int.from_bytes(trace.read(place, 8), "little") & (1 << 62) - 1 for place in places]


def _map(process: TracedProcess) -> list[dict[str, object]]:
    """The files of an address space with their jump tables. Numbers are strings in hexadecimal: some exceed 2**53."""
    found = []
    for file in process.places.files:
        library = process.libraries.get(file.path, "")
        tables = [t for t in process.tables if t.file == file.path and t.slots]
        found.append(
            {
                "path": file.path,
                "name": file.name,
                "library": library,
                "base": hex(file.base),
                "end": hex(file.end),
                "functions": len(file.rows),
                "version": tables[0].version if tables else "",
                "tables": [{"start": hex(t.start), "end": hex(t.end), "slots": t.slots} for t in tables],
            }
        )
    return found


def _slots(
    trace: TraceFile, rows: dict[tuple[str, str, int], TotalRow]
) -> tuple[list[dict[str, object]], dict[str, str]]:
    """Every slot of every library, and every other function that was called, with what happened there; code of those used most. Second:
    library -> why it has no code."""
    used = {f.number: rows.get((f.library, f.name, f.slot)) for f in trace.functions}
    calls = {number: row.calls if row is not None else 0 for number, row in used.items()}
    functions = [f for f in trace.functions if f.slot or calls[f.number]]
    shown = {f.number for f in sorted(functions, key=lambda f: -calls[f.number])[:_WITH_CODE]}
    files = {f.path: f for process in trace.processes for f in process.places.files}
    code: dict[str, LibraryCode] = {}
    found: list[dict[str, object]] = []
    for f in functions:
        there, row = files.get(f.file), used[f.number]
        if f.file not in code:
            code[f.file] = LibraryCode(f.file, there.digest if there else "", there.base if there else 0)
        fact = _use(f, row)
        if f.number in shown and not code[f.file].problem:
            fact |= _code(f, row, code[f.file], there)
        found.append(fact)
    notes = {os.path.basename(path): library.problem for path, library in code.items() if library.problem}
    return found, notes


def _use(f: Function, row: TotalRow | None) -> dict[str, object]:
    """A function and what was counted of it: zeros if it was never called."""
    return {
        "library": f.library,
        "slot": f.slot,
        "name": f.name,
        "address": hex(f.address),
        "calls": row.calls if row else 0,
        "total": row.total if row else 0,
        "self": row.self_time if row else 0,
    }


def _code(f: Function, row: TotalRow | None, library: LibraryCode, file: TracedFile | None) -> dict[str, object]:
    """Instructions at a function's address; for a slot also those of what it jumps to, if that was called."""
    if not f.slot:
        return {"code": library.lines(f.address, _size(file, f.address), _INSTRUCTIONS)}
    at, size = library.implementation(f.slot)
    lines: dict[str, object] = {"code": library.lines(f.address, 8, _SLOT_INSTRUCTIONS)}
    if row and at:
        lines["implementation"] = library.lines(at, size or _UNKNOWN_SIZE, _INSTRUCTIONS)
    return lines


def _size(file: TracedFile | None, address: int) -> int:
    """Bytes of the function at an address; some of its code where that is not known."""
    at = bisect_left(file.starts, address) if file is not None else 0
    if file is None or at == len(file.starts) or file.starts[at] != address:
        return _UNKNOWN_SIZE
    return file.sorted_rows[at][1] or _UNKNOWN_SIZE

"""Symbol bindings on the report's page: the pairs of objects, and the bindings one by one up to a limit."""

from __future__ import annotations

import os

from uselib.trace.reading.binding_graph import WHEN, bound_pairs
from uselib.trace.reading.model import TraceFile

_MOST = 20_000  # bindings


def binding_facts(trace: TraceFile) -> dict[str, object]:
    """names: of objects, symbols and relocation kinds, once; rows: [pid, thread, referrer, symbol, definer, when, kind, result, address,
    asked], texts as indexes into names; left: bindings that are not among the rows. pairs: [referrer, definer, a count for each of when]."""
    numbers: dict[str, int] = {}

    def name(text: str) -> int:
        return numbers.setdefault(text, len(numbers))

    bindings = [(process, row) for process in trace.processes for row in process.bindings]
    rows = []
    for process, row in bindings[:_MOST]:
        objects = (os.path.basename(row.referrer), row.symbol, os.path.basename(row.definer))
        texts = [name(text) for text in (*objects, row.when, row.kind, row.result)]
        rows.append([process.pid, row.thread or process.pid, *texts, hex(row.address), row.asked])
    pairs = bound_pairs(row for _, row in bindings)
    return {
        "when": WHEN,
        "pairs": [[pair.referrer, pair.definer, *(pair.counts[when] for when in WHEN)] for pair in pairs],
        "rows": rows,
        "left": max(len(bindings) - _MOST, 0),
        "names": list(numbers),
    }

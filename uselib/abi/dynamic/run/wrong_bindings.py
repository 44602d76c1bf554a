"""Every dispatch checked against what the program was bound to: a wrong binding counts even if nothing else shows it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from uselib.abi.dynamic.run.bindings import Library
from uselib.abi.dynamic.run.data_watch import LOG
from uselib.abi.dynamic.run.divergence import AT_END, Candidate, Sides
from uselib.abi.dynamic.run.result import Divergence, WrongBinding
from uselib.abi.dynamic.run.side import SideRun
from uselib.abi.dynamic.run.streams import Stream


def renamed(old: Library, new: Library, bound: str, found: str) -> bool:
    """Is `found` the function that was called `bound`? So it is if the old name is gone and the code is the same."""
    return bound not in new.addresses and bool(code := old.code(bound)) and code == new.code(found)


def wrong_bindings(sides: Sequence[Sides]) -> tuple[WrongBinding, ...]:
    """Calls of both sides, those of the new version first by their first call."""
    found: list[WrongBinding] = []
    for one in sides:
        for stream, run, library, side in (
            (one.new, one.new_run, one.new_library, "new"),
            (one.old, one.old_run, one.old_library, "old"),
        ):
            found += _calls(one, stream, library, side)
            found += _data(one, stream, run, library, side)
    return tuple(found)


def _calls(sides: Sides, stream: Stream, library: Library, side: str) -> list[WrongBinding]:
    found = []
    for value, (index, times) in stream.called().items():
        bound = sides.bound.functions.get(value)
        place = library.slots.get(value)
        there = place.name if place is not None else ""
        if bound is None or bound == there or not library.identity.base <= value < library.identity.end:
            continue
        if there and renamed(sides.old_library, library, bound, there):
            continue
        if library.addresses.get(bound) == value:  # two names for one slot
            continue
        row = stream.first_call(index)
        number = library.slot_number(value) or sides.old_library.slot_number(value)
        found.append(
            WrongBinding(
                "function", value, bound, there, "new" if side == "new" else "old", number, times,
                stream.number(row), sides.caller(stream, row),
            )
        )  # fmt: skip
    return sorted(found, key=lambda wrong: wrong.first_call)


def _data(sides: Sides, stream: Stream, run: SideRun, library: Library, side: str) -> list[WrongBinding]:
    """Accesses by the program's own code to an object that it is bound to, where another or none lies now."""
    found: dict[tuple[int, str], WrongBinding] = {}
    for pc, start, _, low, high, count, first, _ in run.data(stream.process.index)["rows"]:
        bound = sides.bound.data.get(start)
        if bound is None or not any(segment.address <= pc < segment.end for segment in sides.program.segments):
            continue
        places = library.datum_at(low), library.datum_at(high - 1)
        strange = [place for place in places if place is None or not _same_datum(library, place.name, bound)]
        if not strange:
            continue
        there = next((place.name for place in strange if place is not None), "")
        key = start, there
        before = found.get(key)
        at = stream.row_of(first)
        row = WrongBinding(
            "data", start, bound, there, "new" if side == "new" else "old", 0, count + (before.count if before else 0),
            before.first_call if before else stream.number(at) if at >= 0 else 0,
            before.caller if before else sides.place(stream, pc),
        )  # fmt: skip
        found[key] = row
    return list(found.values())


def _same_datum(library: Library, there: str, bound: str) -> bool:
    """Are these two names of one object?"""
    return there == bound or library.addresses.get(there, 0) == library.addresses.get(bound, -1)


def compare_data(sides: Sides) -> list[Candidate]:
    """The first access to exported data, outside calls into the library, that differs: which code, which datum, which value."""
    logs = [_top_level(stream, run.data(stream.process.index)["log"], sides) for stream, run in sides.streams]
    length = min(map(len, logs))
    at = next((n for n in range(length) if not _same_access(sides, logs[0][n], logs[1][n])), length)
    full = any(len(run.data(stream.process.index)["log"]) >= LOG for stream, run in sides.streams)
    if at == length and (len(logs[0]) == len(logs[1]) or full or sides.limited):
        if full:
            sides.notes.add(f"only the first {LOG} uses of exported data are compared one by one")
        return []
    entries = [log[at] if at < len(log) else None for log in logs]

    def make() -> Divergence:
        shown = [_access(sides, n, entry) for n, entry in enumerate(entries)]
        first = entries[0] or entries[1]
        assert first is not None
        numbers = [
            stream.number(stream.row_of(entry[0])) if entry is not None else 0
            for (stream, _), entry in zip(sides.streams, entries, strict=True)
        ]
        same = entries[0] is not None and entries[1] is not None and entries[0][1:5] == entries[1][1:5]
        name = sides.datum(first[2])
        message = (
            f"the program {'writes' if first[4] else 'reads'} another value" if same else "the program uses other data"
        )
        return Divergence(
            "data access", message, shown[0], shown[1], numbers[0], numbers[1], sides.place(sides.old, first[1]), name
        )

    return [Candidate((int(entries[0][0]) if entries[0] is not None else AT_END - 1, 3), make)]


def _top_level(stream: Stream, log: list[list[int]], sides: Sides) -> list[list[int]]:
    """Accesses with no call into the library open."""
    if not log:
        return []
    top = np.zeros(len(stream) + 1, bool)  # the last: before any event
    top[stream.top] = True
    top[np.flatnonzero(stream.opening)] = False  # in such a call
    top[-1] = True
    rows = np.searchsorted(stream.sequence, np.array([entry[0] for entry in log]), side="right") - 1
    return [entry for entry, row in zip(log, rows.tolist(), strict=True) if top[row]]


def _same_access(sides: Sides, a: list[int], b: list[int]) -> bool:
    if a[1:5] != b[1:5]:
        return False
    if a[5] == b[5]:
        return True
    return a[3] == sides.machine.word and sides.pointers[0].same(sides.pointers[1], (a[5], 0), (b[5], 0))


def _access(sides: Sides, side: int, entry: list[int] | None) -> str:
    if entry is None:
        return "no further use"
    _, pc, address, size, write, value = entry
    where = sides.place(sides.streams[side][0], pc)
    return f"{'writes' if write else 'reads'} {sides.datum(address)}: {_number(value, size)}  from {where}"


def _number(value: int, size: int) -> str:
    return (
        str(value)
        if value < 1 << 16
        else str(value - (1 << 8 * size))
        if value >> (8 * size - 8) == 0xFF
        else hex(value)
    )

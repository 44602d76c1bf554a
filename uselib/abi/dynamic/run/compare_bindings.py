"""Checks every dispatch and every access of exported data against the program's bindings.

A wrong binding counts even if it has no other effect.
"""

from __future__ import annotations

from collections.abc import Sequence

from uselib.abi.dynamic.run.bindings import LibraryVersion
from uselib.abi.dynamic.run.process_pair import ProcessPair
from uselib.abi.dynamic.run.result import WrongBinding
from uselib.abi.dynamic.run.side_run import SideRun
from uselib.abi.dynamic.run.streams import Stream


def renamed(old: LibraryVersion, new: LibraryVersion, bound: str, found: str) -> bool:
    """Whether `found` is the function that was called `bound`: the old name is gone and the code is the same."""
    return bound not in new.addresses and bool(code := old.code(bound)) and code == new.code(found)


def wrong_bindings(pairs: Sequence[ProcessPair]) -> tuple[WrongBinding, ...]:
    """Wrong calls and accesses of both versions: those of the new version first, in the order of their first call."""
    found: list[WrongBinding] = []
    for one in pairs:
        for stream, run, library, side in (
            (one.new, one.new_run, one.inputs.new, "new"),
            (one.old, one.old_run, one.inputs.old, "old"),
        ):
            found += _calls(one, stream, library, side)
            found += _data(one, stream, run, library, side)
    return tuple(found)


def _calls(pair: ProcessPair, stream: Stream, library: LibraryVersion, side: str) -> list[WrongBinding]:
    found = []
    for value, (index, times) in stream.called().items():
        bound = pair.inputs.bound.functions.get(value)
        place = library.slots.get(value)
        there = place.name if place is not None else ""
        if bound is None or bound == there or not library.identity.base <= value < library.identity.end:
            continue
        if there and renamed(pair.inputs.old, library, bound, there):
            continue
        if library.addresses.get(bound) == value:  # two names for one slot
            continue
        row = stream.first_call(index)
        number = library.slot_number(value) or pair.inputs.old.slot_number(value)
        found.append(
            WrongBinding(
                "function",
                value,
                bound,
                there,
                "new" if side == "new" else "old",
                number,
                times,
                stream.number(row),
                pair.caller(stream, row),
            )
        )
    return sorted(found, key=lambda wrong: wrong.first_call)


def _data(pair: ProcessPair, stream: Stream, run: SideRun, library: LibraryVersion, side: str) -> list[WrongBinding]:
    """Accesses by the program's own code to an object that it is bound to, at whose address another object lies now, or none."""
    found: dict[tuple[int, str], WrongBinding] = {}
    for pc, start, _, low, high, count, first, _ in run.data(stream.process.index)["rows"]:
        bound = pair.inputs.bound.data.get(start)
        if bound is None or not any(segment.address <= pc < segment.end for segment in pair.inputs.program.segments):
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
            "data",
            start,
            bound,
            there,
            "new" if side == "new" else "old",
            0,
            count + (before.count if before else 0),
            before.first_call if before else stream.number(at) if at >= 0 else 0,
            before.caller if before else pair.place(stream, pc),
        )
        found[key] = row
    return list(found.values())


def _same_datum(library: LibraryVersion, there: str, bound: str) -> bool:
    """Whether these are two names of one object."""
    return there == bound or library.addresses.get(there, 0) == library.addresses.get(bound, -1)

"""Every dispatch checked against what the program was bound to: a wrong binding counts even if nothing else shows it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emulator.abi.bindings import Library
from emulator.abi.divergence import Candidate, Sides
from emulator.abi.result import WrongBinding
from emulator.abi.streams import Stream


def renamed(old: Library, new: Library, bound: str, found: str) -> bool:
    """Is `found` the function that was called `bound`? So it is if the old name is gone and the code is the same."""
    return bound not in new.addresses and bool(code := old.code(bound)) and code == new.code(found)


def wrong_bindings(sides: Sequence[Sides]) -> tuple[WrongBinding, ...]:
    """Calls of both sides, those of the new version first by their first call."""
    found: list[WrongBinding] = []
    for one in sides:
        found += _calls(one, one.new, one.new_library, "new")
        found += _calls(one, one.old, one.old_library, "old")
    return tuple(found)


def _calls(sides: Sides, stream: Stream, library: Library, side: str) -> list[WrongBinding]:
    rows = np.flatnonzero(stream.calls)
    address = stream.address[rows]
    distinct, first, count = np.unique(address, return_index=True, return_counts=True)
    found = []
    for value, at, times in zip(distinct.tolist(), first.tolist(), count.tolist(), strict=True):
        bound = sides.bound.functions.get(value)
        place = library.slots.get(value)
        there = place.name if place is not None else ""
        if bound is None or bound == there or not library.identity.base <= value < library.identity.end:
            continue
        if there and renamed(sides.old_library, library, bound, there):
            continue
        if library.addresses.get(bound) == value:  # two names for one slot
            continue
        row = int(rows[at])
        found.append(
            WrongBinding(
                "function", value, bound, there, "new" if side == "new" else "old", library.slot_number(value), times,
                stream.number(row), sides.caller(stream, row),
            )
        )  # fmt: skip
    return sorted(found, key=lambda wrong: wrong.first_call)


def compare_data(sides: Sides) -> list[Candidate]:
    """Reads and writes of the library's exported data by the program."""
    return []

"""Coverage: which of the program's bindings, and which changed functions, a run has used."""

from __future__ import annotations

from collections.abc import Sequence

from uselib.abi.dynamic.run.bindings import Bound, LibraryVersion
from uselib.abi.dynamic.run.result import Coverage
from uselib.abi.dynamic.run.side_run import SideRun


def changed_functions(old: LibraryVersion, new: LibraryVersion) -> frozenset[str]:
    """Exported functions whose code differs (targets of calls and jumps do not count), or that the new version lacks."""
    names = {place.name for place in old.slots.values()}
    return frozenset(
        name for name in names if name not in new.addresses or (old.code(name) or b"?") != (new.code(name) or b"?")
    )


def coverage_of(
    bound: Bound, old: LibraryVersion, new: LibraryVersion, runs: Sequence[SideRun], processes: Sequence[int]
) -> Coverage:
    """used: called, or (data) read or written, on either side. processes: their indexes."""
    used: set[str] = set()
    called: set[str] = set()
    for run in runs:
        for index in processes:
            for address, _, _ in run.summary(index)["counts"]:
                called.add(bound.functions.get(address) or (old.slots[address].name if address in old.slots else ""))
            for row in run.data(index)["rows"]:
                place = old.datum_at(row[1])
                used.add(bound.data.get(row[1], place.name if place is not None else ""))
    used |= called
    names = sorted({*bound.functions.values(), *bound.data.values()})
    changed = changed_functions(old, new)
    return Coverage(
        len(names),
        tuple(name for name in names if name in used),
        tuple(name for name in names if name not in used),
        len(changed),
        tuple(sorted(changed & called)),
        tuple(sorted(changed - called)),
    )

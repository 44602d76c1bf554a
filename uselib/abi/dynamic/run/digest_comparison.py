"""Whether two runs are the same, by the digests of their events (digest.py), their output, files and status."""

from __future__ import annotations

from collections.abc import Sequence

from uselib.abi.dynamic.run.bindings import Bound, LibraryVersion
from uselib.abi.dynamic.run.side_run import MOST_CALLS, SideRun

PIECE = 1 << 14  # records between two digests: RecordOptions.capacity


def same_runs(
    bound: Bound,
    old_library: LibraryVersion,
    new_library: LibraryVersion,
    old: SideRun,
    new: SideRun,
    pairs: Sequence[tuple[int, int]],
) -> bool:
    """True if the runs are the same. False if that is not known and the events must be compared. pairs: indexes of processes that
    correspond.
    """
    if (old.stdout, old.stderr, old.files, old.end) != (new.stdout, new.stderr, new.files, new.end) or old.end.reason:
        return False
    for a, b in pairs:
        x, y = old.summary(a), new.summary(b)
        if x["digests"] != y["digests"] or x["events"] != y["events"] or old.effects(a) != new.effects(b):
            return False
        data = old.data(a), new.data(b)
        if any(data[0][key] != data[1][key] for key in ("rows", "log", "lost")):
            return False
        if _suspicious(bound, new_library, x["counts"], data[1]["rows"]):
            return False
        if old_library.data != new_library.data and _suspicious(bound, old_library, x["counts"], data[0]["rows"]):
            return False
    return True


def _suspicious(
    bound: Bound, library: LibraryVersion, counts: Sequence[Sequence[int]], rows: Sequence[Sequence[int]]
) -> bool:
    """Whether a call or an access may reach something other than what the program is bound to."""
    for address, _, _ in counts:
        name = bound.functions.get(address)
        if name is not None and name != (library.slots[address].name if address in library.slots else ""):
            return True
    for row in rows:
        name = bound.data.get(row[1])
        if name is not None:
            places = library.datum_at(row[3]), library.datum_at(row[4] - 1)
            if any(place is None or place.name != name for place in places):
                return True
    return False


def calls_needed(old: SideRun, new: SideRun, pairs: Sequence[tuple[int, int]]) -> int:
    """How many calls of a process a second run must keep to have the first difference among them."""
    most = 0
    for a, b in pairs:
        x, y = old.summary(a)["digests"], new.summary(b)["digests"]
        length = min(len(x), len(y))
        at = next((n for n in range(length) if x[n] != y[n]), length)
        if at == length and len(x) == len(y):
            continue
        most = max(most, (at + 2) * PIECE)
    return min(most, MOST_CALLS) if most else MOST_CALLS

"""Which bytes of .exported are promised: to data that are still there, and to nothing any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from uselib.linker.errors import Diagnostics
from uselib.linker.image import Version
from uselib.linker.library.releases.history import PlaceRecord, PlaceState
from uselib.linker.library.releases.names import Names
from uselib.linker.library.releases.rules import OR_MAJOR, Change, Level, Step


@dataclass(frozen=True)
class Promise:
    """`name` lies at `offset` from the start of .exported, and `reserved` bytes there are its own."""

    name: str
    offset: int
    reserved: int
    since: Version


@dataclass(frozen=True)
class Fixed:
    """`name` lies at `offset` from the base, outside .exported: it has to be there by itself."""

    name: str
    offset: int


@dataclass(frozen=True)
class Carried:
    """What earlier releases promised of data. `reserved`: places (as in the old history) that hold nothing any more."""

    promises: tuple[Promise, ...] = ()
    reserved: tuple[PlaceRecord, ...] = ()
    fixed: tuple[Fixed, ...] = ()
    changes: tuple[Change, ...] = ()


def carry_places(step: Step, names: Names, sizes: Mapping[str, int]) -> Carried:
    """The places that old data keep. `sizes`: bytes of all data and pointers of this release.

    Raises LinkError with every datum that has grown beyond its place without a word.
    """
    old = step.ground
    if old is None:
        return Carried()
    problems = Diagnostics()
    promises: list[Promise] = []
    reserved: list[PlaceRecord] = []
    fixed: list[Fixed] = []
    changes: list[Change] = []
    end = old.data + old.data_size
    for place in old.places:
        holds = place.state in (PlaceState.DATA, PlaceState.POINTER)
        inside = old.data <= place.address and place.end <= end
        now = names.new_name.get(place.name) if holds else None
        if place.state is PlaceState.RETIRED and place.name in names.back - {p.name for p in promises}:
            now = place.name if sizes.get(place.name, place.reserved + 1) <= place.reserved else None
        if now is None:
            if inside:
                since = step.version if holds else place.since
                state = PlaceState.RETIRED if holds else place.state
                reserved.append(replace(place, size=0, state=state, since=since))
            continue
        if not inside:
            fixed.append(Fixed(now, place.address - old.base))
            continue
        size = sizes[now]
        since = place.since if holds and now == place.name else step.version
        if size <= place.reserved:
            promises.append(Promise(now, place.address - old.data, place.reserved, since))
            if holds and size != place.size:
                verb = "shrunk" if size < place.size else "grown within its place"
                changes.append(Change(Level.MINOR, f"{now} has {verb}"))
        elif step.major or {now, place.name} & set(step.declared.move):
            reserved.append(replace(place, size=0, state=PlaceState.MOVED, since=step.version))
            changes.append(Change(Level.MINOR, f"{now} has grown and moved"))
        else:
            problems.add(
                step.where,
                f"has grown from {place.size} to {size} bytes, and its place in {old.file_name} has {place.reserved}",
                symbol=now,
                remedy=f"keep its size, --move-data {now} (programs linked before go on using the old place), {OR_MAJOR}",
            )
    problems.raise_if_any()
    return Carried(tuple(promises), tuple(reserved), tuple(fixed), tuple(changes))

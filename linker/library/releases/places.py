"""The bytes of .exported that earlier releases use: for data that are still there, and for data that were removed."""

from __future__ import annotations

from collections.abc import Mapping

from uselib.linker.errors import Diagnostics
from uselib.linker.image import Version
from uselib.linker.library.releases.history import History, PlaceRecord, PlaceState
from uselib.linker.library.releases.names import MatchedNames
from uselib.linker.library.releases.rules import OR_MAJOR, InterfaceChange, ReleaseLevel, ReleaseStep
from uselib.linker.quick_dataclass import dataclass, field, replace


@dataclass(frozen=True)
class KeptDatum:
    """`name` lies at `offset` from the start of .exported and owns `reserved` bytes there."""

    name: str
    offset: int
    reserved: int
    since: Version


@dataclass(frozen=True)
class OutsideDatum:
    """`name` lay at `offset` from the base, outside .exported. mkshlib cannot place it there, and refuses a release that moves it."""

    name: str
    offset: int


@dataclass(frozen=True)
class KeptPlaces:
    """The addresses of earlier releases' data that programs rely on. reserved: places (as in the old history) that hold nothing any more."""

    data: tuple[KeptDatum, ...] = ()
    reserved: tuple[PlaceRecord, ...] = ()
    outside: tuple[OutsideDatum, ...] = ()
    changes: tuple[InterfaceChange, ...] = ()


def keep_places(step: ReleaseStep, names: MatchedNames, sizes: Mapping[str, int]) -> KeptPlaces:
    """The places that old data keep. sizes: bytes of all data and pointers of this release.

    Raises LinkError with every datum that has grown beyond its place and was not declared to move.
    """
    if step.inherited is None:
        return KeptPlaces()
    sorting = _Sorting(step, step.inherited, names, sizes)
    for place in step.inherited.places:
        sorting.take(place)
    sorting.problems.raise_if_any()
    return KeptPlaces(tuple(sorting.data), tuple(sorting.reserved), tuple(sorting.outside), tuple(sorting.changes))


@dataclass
class _Sorting:
    """The places sorted so far."""

    step: ReleaseStep
    old: History
    names: MatchedNames
    sizes: Mapping[str, int]
    data: list[KeptDatum] = field(default_factory=list)
    reserved: list[PlaceRecord] = field(default_factory=list)
    outside: list[OutsideDatum] = field(default_factory=list)
    changes: list[InterfaceChange] = field(default_factory=list)
    problems: Diagnostics = field(default_factory=Diagnostics)

    def take(self, place: PlaceRecord) -> None:
        """Sorts one place of the old release."""
        holds = place.state in (PlaceState.DATA, PlaceState.POINTER)
        inside = self.old.data <= place.address and place.end <= self.old.data + self.old.data_size
        name = self._name_now(place, holds)
        if name is None:
            if inside:
                self._reserve(place, holds)
        elif not inside:
            self.outside.append(OutsideDatum(name, place.address - self.old.base))
        elif self.sizes[name] <= place.reserved:
            self._keep(place, name, holds)
        else:
            self._grown(place, name)

    def _name_now(self, place: PlaceRecord, holds: bool) -> str | None:
        """The datum at the place in this release; None for nothing."""
        if holds:
            return self.names.new_name.get(place.name)
        again = place.state is PlaceState.RETIRED and place.name in self.names.back
        if not again or place.name in {datum.name for datum in self.data}:
            return None
        return place.name if self.sizes.get(place.name, place.reserved + 1) <= place.reserved else None

    def _reserve(self, place: PlaceRecord, holds: bool) -> None:
        since, state = (self.step.version, PlaceState.RETIRED) if holds else (place.since, place.state)
        self.reserved.append(replace(place, size=0, state=state, since=since))

    def _keep(self, place: PlaceRecord, name: str, holds: bool) -> None:
        since = place.since if holds and name == place.name else self.step.version
        self.data.append(KeptDatum(name, place.address - self.old.data, place.reserved, since))
        size = self.sizes[name]
        if holds and size != place.size:
            verb = "shrunk" if size < place.size else "grown within its place"
            self.changes.append(InterfaceChange(ReleaseLevel.MINOR, f"{name} has {verb}"))

    def _grown(self, place: PlaceRecord, name: str) -> None:
        """Handles a datum that has outgrown its place."""
        if self.step.major or {name, place.name} & set(self.step.declared.move):
            self.reserved.append(replace(place, size=0, state=PlaceState.MOVED, since=self.step.version))
            self.changes.append(InterfaceChange(ReleaseLevel.MINOR, f"{name} has grown and moved"))
            return
        self.problems.add(
            self.step.where,
            f"has grown from {place.size} to {self.sizes[name]} bytes, and its place in {self.old.file_name} has room for {place.reserved}",
            symbol=name,
            remedy=f"keep its size, give --move-data {name} (programs linked before go on using the old place), {OR_MAJOR}",
        )

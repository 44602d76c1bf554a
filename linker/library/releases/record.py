"""The addresses of earlier releases that one link keeps, and the history that it writes for later ones.

In the order of the link's passes: `match` (names and slots), `arrange` (the contents of .exported), then, when addresses are
final, `record` (the history that the release carries, checked against the addresses that programs know).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from uselib.linker.errors import Diagnostics, LinkError
from uselib.linker.formats.library_names import MOVED_SUFFIX, POINTER_SUFFIX, RETIRED_SUFFIX
from uselib.linker.image import Machine, Version
from uselib.linker.library.releases import arrangement, history
from uselib.linker.library.releases.arrangement import Arrangement, DataSection
from uselib.linker.library.releases.history import History, PlaceRecord, PlaceState, SlotRecord
from uselib.linker.library.releases.names import MatchedNames, match_names
from uselib.linker.library.releases.places import KeptPlaces, keep_places
from uselib.linker.library.releases.rules import InterfaceChange, check_version_suffices
from uselib.linker.library.releases.slots import number_slots
from uselib.linker.library.request import LibraryPlan
from uselib.linker.passes.model import InputSection, Symbol
from uselib.linker.quick_dataclass import replace


class ReleaseRecord:
    """See the module's docstring. `names`, `arrangement`, `changes` are final after the pass that makes them."""

    def __init__(self, plan: LibraryPlan, machine: Machine) -> None:
        self._plan = plan
        self._step = plan.step
        self._machine = machine
        self._pointers: Set[str] = frozenset()
        self._data: Mapping[str, Symbol] = {}
        self._slots: tuple[SlotRecord, ...] = ()
        self._kept = KeptPlaces()
        self.names = MatchedNames()
        self.arrangement = Arrangement()
        self.changes: tuple[InterfaceChange, ...] = ()

    def match(
        self, functions: Mapping[str, Symbol], data: Mapping[str, Symbol], pointers: Set[str]
    ) -> tuple[SlotRecord, ...]:
        """Every slot. pointers: names of the places that uselib_interpose triples hold. Raises LinkError (names.py, slots.py)."""
        self._pointers, self._data = pointers, data
        self.names = match_names(self._step, functions.keys(), data.keys(), pointers)
        self._slots = number_slots(self._step, self.names, functions.keys(), self._plan.spec)
        return self._slots

    def arrange(self, variables: Iterable[Symbol], cells: Mapping[str, InputSection]) -> list[InputSection]:
        """Lays out .exported. Returns the filler sections for reserved places.

        variables: the #init pointers. cells: the pointers of interposable functions, by function. Raises LinkError: data that
        cannot stay where they were, or a version number that is too small for the changes.
        """
        symbols = (*self._data.values(), *variables)
        found = [*arrangement.data_sections(symbols)]
        found += [DataSection(cell, {f + POINTER_SUFFIX: (0, cell.size)}) for f, cell in cells.items()]
        sizes = {symbol.name: symbol.size for symbol in symbols}
        sizes |= {name: size for item in found for name, (_, size) in item.names.items()}
        self._kept = keep_places(self._step, self.names, sizes)
        self.changes = (*self.names.changes, *self._kept.changes)
        check_version_suffices(self._step, self.changes)
        try:
            self.arrangement = arrangement.arrange(found, self._kept, self._origin, self._plan.file_name)
        except LinkError:
            if not self._step.major:
                raise
            self._kept = KeptPlaces(changes=self._kept.changes)  # the data of a new major version may all move
            self.arrangement = arrangement.arrange(found, self._kept, 0, self._plan.file_name)
        own = {id(item.section) for item in found}
        return [section for section in self.arrangement.sections if id(section) not in own]

    @property
    def _origin(self) -> int:
        """Where .exported was in the release that places are taken from."""
        return self._step.inherited.data if self._step.inherited is not None else 0

    def reserved_places(self) -> Iterator[tuple[str, int, int]]:
        """(name of the local symbol, offset in .exported, bytes) of each reserved place without a datum."""
        for place in self._kept.reserved:
            suffix = MOVED_SUFFIX if place.state is PlaceState.MOVED else RETIRED_SUFFIX
            yield place.name + suffix, place.address - self._origin, place.reserved

    def initial_copies(self, now: History) -> list[tuple[int, int, int]]:
        """(from, to, bytes) of the initial values that an old place shares with the datum that moved away from it.

        So a read-only table that has grown is right for programs linked before as well.
        """
        there, rows = now.data_places(), []
        for place in now.places:
            if place.state is PlaceState.MOVED:
                name = place.name
                for renaming in now.renamed:
                    name = renaming.new if renaming.old == name and name not in there else name
                if name in there:
                    rows.append((there[name].address, place.address, min(place.reserved, there[name].size)))
        return rows

    # -- the history -------------------------------------------------------------------------------------------------------

    def size(self) -> int:
        """Bytes of the history. Addresses do not change its length, so it is known before they are."""
        return len(history.encode(self._history(0, 0, 0)))

    def record(self, base: int, table: int, data: int) -> History:
        """The history of this release, for its final addresses. Raises LinkError if anything that programs rely on has another address."""
        now = self._history(base, table, data)
        self._check(now)
        return now

    def _history(self, base: int, table: int, data: int) -> History:
        plan = self._plan
        return History(
            name=plan.name,
            machine=self._machine,
            scheme=plan.scheme,
            releases=self._step.releases,
            base=base,
            table=table,
            data=data,
            data_size=self.arrangement.size,
            slots=self._slots,
            places=history.in_order(self._places(data)),
            renamed=self.names.renamed,
            aliases=self.names.aliases,
        )

    def _places(self, data: int) -> Iterator[PlaceRecord]:
        """Every place of this release. data: the address of .exported."""
        laid = self.arrangement
        kept = {datum.name: (datum.since, datum.reserved) for datum in self._kept.data}
        rows: Sequence[tuple[int, int, str]] = [
            *((data + at, laid.sizes[name], name) for name, at in laid.offsets.items()),
            # data outside .exported are where the layout has put them
            *((s.address, s.size, name) for name, s in self._data.items() if name not in laid.sizes),
        ]
        for address, size, name in rows:
            since, reserved = kept.get(name, (self._since(name), size))
            state = PlaceState.POINTER if name in self._pointers else PlaceState.DATA
            yield PlaceRecord(address, size, max(size, reserved), state, since, name)
        for place in self._kept.reserved:
            yield replace(place, address=data + place.address - self._origin)

    def _since(self, name: str) -> Version:
        """The release since which a datum has its place, if it lies outside .exported or is new."""
        old = self._step.old.data_places().get(name) if self._step.old is not None else None
        outside = name in {datum.name for datum in self._kept.outside}
        return old.since if old is not None and outside else self._step.version

    def _check(self, now: History) -> None:
        """Checks that everything that programs know by address has kept it."""
        old = self._step.old
        if old is None or self._step.major:
            return
        problems = Diagnostics()
        where = {place.name: place.address for place in now.data_places().values()}
        wanted = {datum.name: old.base + datum.offset for datum in self._kept.outside}
        wanted |= {datum.name: old.data + datum.offset for datum in self._kept.data}
        for name, address in wanted.items():
            if where[name] != address:
                symbol = self._data.get(name)
                section = symbol.section.name if symbol is not None and symbol.section is not None else "no section"
                problems.add(
                    self._plan.file_name,
                    f"is at {address:#x} in {old.file_name}, and would move to {where[name]:#x}: it lies in {section}, whose place is "
                    "not kept",
                    symbol=name,
                    remedy="keep exported data out of code and out of sections with names of their own, or take a new major version",
                )
        if old.slots and now.table != old.table:
            problems.add(self._plan.file_name, f"its jump table would move from {old.table:#x} to {now.table:#x}")
        problems.raise_if_any()

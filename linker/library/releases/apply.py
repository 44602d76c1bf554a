"""What one link keeps of earlier releases and promises to later ones: evolution.py and places.py, applied to its symbols and sections.

In the order of the passes: `settle` (who is who, which slot), `arrange` (the contents of .exported), then, when addresses are
final, `record` (the history that the release carries, checked against what programs rely on).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace

from uselib.linker.errors import Diagnostics, LinkError
from uselib.linker.formats.library_names import MOVED_SUFFIX, POINTER_SUFFIX, RETIRED_SUFFIX
from uselib.linker.image import Machine, Version
from uselib.linker.library.releases import arrangement as places
from uselib.linker.library.releases import history
from uselib.linker.library.releases.arrangement import Arrangement, Item
from uselib.linker.library.releases.history import History, PlaceRecord, PlaceState, SlotRecord
from uselib.linker.library.releases.names import Names, settle_names
from uselib.linker.library.releases.places import Carried, carry_places
from uselib.linker.library.releases.rules import Change, check_level
from uselib.linker.library.releases.slots import number_slots
from uselib.linker.library.request import Plan
from uselib.linker.passes.inputs import InputSection, Symbol


class Promises:
    """See the module's docstring. `names`, `arrangement`, `changes` are final after the pass that makes them."""

    def __init__(self, plan: Plan, machine: Machine) -> None:
        self._plan = plan
        self._step = plan.step
        self._machine = machine
        self._pointers: Set[str] = frozenset()
        self._data: Mapping[str, Symbol] = {}
        self._slots: tuple[SlotRecord, ...] = ()
        self._carried = Carried()
        self.names = Names()
        self.arrangement = Arrangement()
        self.changes: tuple[Change, ...] = ()

    def settle(
        self, functions: Mapping[str, Symbol], data: Mapping[str, Symbol], pointers: Set[str]
    ) -> tuple[SlotRecord, ...]:
        """Every slot. pointers: names of the places that uselib_interpose triples hold. Raises LinkError (evolution.py)."""
        self._pointers, self._data = pointers, data
        self.names = settle_names(self._step, functions.keys(), data.keys(), pointers)
        self._slots = number_slots(self._step, self.names, functions.keys(), self._plan.spec)
        return self._slots

    def arrange(self, variables: Iterable[Symbol], cells: Mapping[str, InputSection]) -> list[InputSection]:
        """Lays out .exported; gives the sections to be added that fill what stays reserved.

        variables: the #init pointers. cells: the pointers of interposable functions, by function. Raises LinkError: promises
        that cannot be kept, or a version number that is too small for the changes.
        """
        symbols = (*self._data.values(), *variables)
        found = [*places.items(symbols)]
        found += [Item(cell, {f + POINTER_SUFFIX: (0, cell.size)}) for f, cell in cells.items()]
        sizes = {symbol.name: symbol.size for symbol in symbols}
        sizes |= {name: size for item in found for name, (_, size) in item.names.items()}
        self._carried = carry_places(self._step, self.names, sizes)
        self.changes = (*self.names.changes, *self._carried.changes)
        check_level(self._step, self.changes)
        try:
            self.arrangement = places.arrange(found, self._carried, self._origin, self._plan.file_name)
        except LinkError:
            if not self._step.major:
                raise
            self._carried = Carried(changes=self._carried.changes)  # the data of a new major version may all move
            self.arrangement = places.arrange(found, self._carried, 0, self._plan.file_name)
        own = {id(item.section) for item in found}
        return [section for section in self.arrangement.sections if id(section) not in own]

    @property
    def _origin(self) -> int:
        """Where .exported was in the release that places are taken from."""
        return self._step.ground.data if self._step.ground is not None else 0

    def reserved(self) -> Sequence[tuple[str, int, int]]:
        """(name of the local symbol, offset in .exported, bytes) of each place that holds nothing any more."""
        return [
            (
                place.name + (MOVED_SUFFIX if place.state is PlaceState.MOVED else RETIRED_SUFFIX),
                place.address - self._origin,
                place.reserved,
            )
            for place in self._carried.reserved
        ]

    def copies(self, now: History) -> list[tuple[int, int, int]]:
        """(from, to, bytes) of the initial values that an old place shares with the datum that moved away from it.

        So a table that nobody writes to, which has only grown, is right for programs linked before as well.
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

    # -- the record --------------------------------------------------------------------------------------------------------

    def size(self) -> int:
        """Bytes of the record: no address changes its length, so it is known before any address is."""
        return len(history.encode(self._record(0, 0, 0)))

    def record(self, base: int, table: int, data: int) -> History:
        """The history of this release, for its final addresses. Raises LinkError if programs have anything elsewhere."""
        now = self._record(base, table, data)
        self._check(now)
        return now

    def _record(self, base: int, table: int, data: int) -> History:
        plan, step, laid = self._plan, self._step, self.arrangement
        kept = {p.name: (p.since, p.reserved) for p in self._carried.promises}
        rows = [(data + at, laid.sizes[name], name) for name, at in laid.offsets.items()]
        # what is not in .exported is where it happens to be
        rows += [(s.address, s.size, name) for name, s in self._data.items() if name not in laid.sizes]
        found = []
        for address, size, name in rows:
            since, reserved = kept.get(name, (self._since(name), size))
            state = PlaceState.POINTER if name in self._pointers else PlaceState.DATA
            found.append(PlaceRecord(address, size, max(size, reserved), state, since, name))
        found += [replace(place, address=data + place.address - self._origin) for place in self._carried.reserved]
        return History(
            plan.name, self._machine, plan.scheme, step.releases, base, table, data, laid.size, self._slots,
            history.in_order(found), self.names.renamed, self.names.aliases,
        )  # fmt: skip

    def _since(self, name: str) -> Version:
        """Since when a datum is there that lies outside .exported, or is new."""
        old = self._step.old.data_places().get(name) if self._step.old is not None else None
        outside = name in {fixed.name for fixed in self._carried.fixed}
        return old.since if old is not None and outside else self._step.version

    def _check(self, now: History) -> None:
        """The last look: everything that programs have by address is where it was."""
        old = self._step.old
        if old is None or self._step.major:
            return
        problems = Diagnostics()
        where = {place.name: place.address for place in now.data_places().values()}
        wanted = {fixed.name: old.base + fixed.offset for fixed in self._carried.fixed}
        wanted |= {promise.name: old.data + promise.offset for promise in self._carried.promises}
        for name, address in wanted.items():
            if where[name] != address:
                symbol = self._data.get(name)
                section = symbol.section.name if symbol is not None and symbol.section is not None else "no section"
                problems.add(
                    self._plan.file_name, f"is at {address:#x} in {old.file_name}, and would move to {where[name]:#x}: it lies in "
                    f"{section}, whose place is not kept", symbol=name,
                    remedy="keep exported data out of sections with names of their own and out of code, or take a new major version",
                )  # fmt: skip
        if old.slots and now.table != old.table:
            problems.add(self._plan.file_name, f"its jump table would move from {old.table:#x} to {now.table:#x}")
        problems.raise_if_any()

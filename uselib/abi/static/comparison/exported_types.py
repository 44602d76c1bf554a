"""Which structures programs get through the exports, whether their members are visible, and who allocates the objects.

A change inside a structure breaks programs only if they have its layout compiled in. Headers tell that (`Facts.record_names`), or the debug
information of given programs. Without both it is told by these signs: a structure that is passed by value is visible; one that a header
declares is visible; one that only a source file declares, while other types of the interface come from headers, is private; one that the
library makes, takes back and never gives out by value looks opaque: its changes are reported as a risk and not as breaking.
"""

from __future__ import annotations

import enum
import posixpath
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from uselib.abi.static.comparison.compare_records import member_edges
from uselib.abi.static.comparison.layout_changes import RecordUsage
from uselib.abi.static.comparison.name_heuristics import (
    is_constructor,
    is_count,
    is_destructor,
    is_initialiser,
    is_private,
    plurals,
)
from uselib.abi.static.comparison.type_differences import Edge, TypePairs
from uselib.abi.static.model.facts import Facts
from uselib.abi.static.model.unqualified import unqualified
from uselib.linker.c_types.types import Enumeration, Record, Typedef, TypeId

_SOURCE = re.compile(r"\.(c|cc|cpp|cxx|C|m|s|S|i)(:\d+)?$")
_HEADER = re.compile(r"\.(h|hh|hpp|hxx)(:\d+)?$")
_PRIVATE_HEADER = re.compile(r"(priv|intern|impl|[-_]int\.h|[-_]p\.h|^int\.h)", re.IGNORECASE)
_SYSTEM = ("/usr/", "/lib/", "<", "/opt/")

Key = tuple[TypeId, TypeId]


class Visibility(enum.Enum):
    """What programs know of a record's contents."""

    VISIBLE = "visible"
    LOOKS_OPAQUE = "looks opaque"
    OPAQUE = "opaque"


@dataclass
class ExportedType:
    """A record or enumeration in both versions. exports: those that lead to it without another record between; parents: records that
    hold or point to it; constructors, takers: functions that give one, or take one by pointer."""

    key: Key
    name: str
    kind: str  # struct, union, class, enum
    exports: dict[str, None] = field(default_factory=dict)
    parents: dict[Key, None] = field(default_factory=dict)
    by_value: bool = False
    indexed: bool = False
    stored: bool = False  # in exported data: the library's storage
    embedded: list[Key] = field(default_factory=list)
    constructors: set[str] = field(default_factory=set)
    takers: set[str] = field(default_factory=set)
    given: bool = False  # by pointer from a record or to a callback: the library's or the program's
    handed_out: bool = False  # through a parameter `T **`
    chained: bool = False  # a function takes one and gives another: `next`
    expanded: bool = False


class ExportedTypes:
    """The types that exports lead to. knowledge: what given programs know: tag -> whether its members are visible to them."""

    def __init__(self, pairs: TypePairs, old: Facts, new: Facts, knowledge: Mapping[str, bool]) -> None:
        self.pairs, self.old, self.new, self.knowledge = pairs, old, new, knowledge
        self.types: dict[Key, ExportedType] = {}
        self._headers = _has_headers(old)
        self._counts = [name.lower() for name in (*old.functions, *old.data) if is_count(name)]

    def add_function(
        self, name: str, edges: Iterable[Edge], counted: bool = False, indexed: Collection[TypeId] = ()
    ) -> None:
        """counted: it tells through a parameter how many objects its result points to. indexed: records of which it takes arrays."""
        listed = list(edges)
        taken = {
            (edge.old, edge.new)
            for edge in listed
            if edge.role == "parameter" and not edge.callback and edge.levels == 1
        }
        for edge in listed:
            pair = self._pair(edge)
            pair.exports[name] = None
            pair.indexed |= edge.old in indexed and edge.levels == 1
            if edge.levels == 0:
                pair.by_value = True
            elif edge.callback:
                pair.given = True
            elif edge.role == "result" and edge.levels == 1:
                if pair.key in taken:
                    pair.chained = True
                else:
                    pair.constructors.add(name)
                pair.indexed |= counted or self._counted_elsewhere(name)
            elif edge.levels == 2 and edge.role == "parameter":
                pair.constructors.add(name)
                pair.handed_out = True
            elif edge.role == "parameter":
                pair.takers.add(name)
            pair.indexed |= edge.array

    def add_data(self, name: str, edges: Iterable[Edge]) -> None:
        for edge in edges:
            pair = self._pair(edge)
            pair.exports[name] = None
            pair.stored |= edge.levels == 0
            pair.given |= edge.levels > 0
            pair.indexed |= edge.array or (edge.levels == 1 and self._counted_elsewhere(name))

    def _counted_elsewhere(self, name: str) -> bool:
        """Whether there is `item_count` beside `items`."""
        return any(stem in other for stem in plurals(name) for other in self._counts if other != name.lower())

    def _pair(self, edge: Edge) -> ExportedType:
        key = edge.old, edge.new
        found = self.types.get(key)
        if found is None:
            before, after = unqualified(self.pairs.old, edge.old), unqualified(self.pairs.new, edge.new)
            row = before.row
            kind = row.kind if isinstance(row, Record) else "enum"
            name = before.name or self._typedef_of(edge.old) or after.name
            found = self.types[key] = ExportedType(key, name, kind)
        return found

    @cached_property
    def _typedefs(self) -> dict[TypeId, str]:
        """Type -> the first typedef of it in the old version."""
        return {row.target: row.name for row in reversed(self.pairs.old.rows) if isinstance(row, Typedef)}

    def _typedef_of(self, number: TypeId) -> str:
        return self._typedefs.get(number, "")

    def follow(self) -> None:
        """Goes on through the members of the records that are visible to programs."""
        waiting = list(self.types.values())
        while waiting:
            pair = waiting.pop()
            row, other = self.rows(pair)
            if pair.expanded or not isinstance(row, Record) or not isinstance(other, Record):
                continue
            if self.visibility(pair) is not Visibility.VISIBLE:
                continue
            pair.expanded = True
            for edge in member_edges(self.pairs, row, other):
                below = self._pair(edge)
                if below is pair:
                    continue
                below.parents[pair.key] = None
                if edge.levels == 0 and not edge.callback:
                    below.embedded.append(pair.key)
                    below.indexed |= edge.array
                else:
                    below.given = True
                waiting.append(below)

    def rows(self, pair: ExportedType) -> tuple[Record | Enumeration, Record | Enumeration]:
        row, other = self.pairs.old[pair.key[0]], self.pairs.new[pair.key[1]]
        assert isinstance(row, Record | Enumeration) and isinstance(other, Record | Enumeration)
        return row, other

    def visibility(self, pair: ExportedType) -> Visibility:
        """What programs know of the pair's contents."""
        row, _ = self.rows(pair)
        if row.size is None or pair.kind == "enum":
            return Visibility.OPAQUE if row.size is None else Visibility.VISIBLE
        if pair.name in self.knowledge:
            return Visibility.VISIBLE if self.knowledge[pair.name] else Visibility.OPAQUE
        if pair.by_value or pair.stored or pair.embedded or not pair.name:
            return Visibility.VISIBLE
        if self.old.record_names is not None:
            names = {pair.name, self._typedef_of(pair.key[0])}
            return Visibility.VISIBLE if names & self.old.record_names else Visibility.OPAQUE
        place = row.place
        if _HEADER.search(place):
            return Visibility.OPAQUE if _PRIVATE_HEADER.search(posixpath.basename(place)) else Visibility.VISIBLE
        if _SOURCE.search(place) and self._headers:
            return Visibility.OPAQUE
        if is_private(pair.name):
            return Visibility.LOOKS_OPAQUE
        return Visibility.LOOKS_OPAQUE if self._looks_opaque(pair) else Visibility.VISIBLE

    def _looks_opaque(self, pair: ExportedType) -> bool:
        """Whether the library makes it and takes it back, in the manner of `open`, `write`, `close`. Programs look into what is only
        looked up or given out (`find`, `first`)."""
        users = [name for name in pair.takers if not is_destructor(name)]
        if any(map(is_initialiser, users)):
            return False  # the program makes the object
        return bool(pair.constructors and users and (self._kept(pair) or len(users) > 2))

    def _kept(self, pair: ExportedType) -> bool:
        """Whether the library allocates what it takes back."""
        return (
            any(map(is_constructor, pair.constructors))
            or any(map(is_destructor, pair.takers))
            or pair.handed_out
            or pair.chained
        )

    def usage(self, pair: ExportedType, seen: frozenset[Key] = frozenset()) -> RecordUsage:
        by_value, indexed = pair.by_value, pair.indexed
        copied = pair.stored and not self.old.fixed  # programs of ordinary shared objects hold a copy (copy relocation)
        given_out = bool(pair.constructors) and (self._kept(pair) or not pair.takers)
        made = given_out or pair.given or pair.chained or (pair.stored and not copied)
        initialised = any(map(is_initialiser, pair.takers))
        caller_allocated = by_value or copied or initialised or (bool(pair.takers) and not made)
        for key in pair.embedded:
            by_value = True  # what it is embedded in changes its layout too
            if key not in seen and len(seen) < 40:
                above = self.usage(self.types[key], seen | {key})
                caller_allocated |= above.caller_allocated
        return RecordUsage(by_value, indexed, caller_allocated)

    def through(self, pair: ExportedType) -> tuple[str, ...]:
        """The exports by which programs meet it, in the order of their names."""
        names: set[str] = set()
        seen = {pair.key}
        waiting = [pair]
        while waiting:
            current = waiting.pop()
            names.update(current.exports)
            for key in current.parents:
                if key not in seen:
                    seen.add(key)
                    waiting.append(self.types[key])
        return tuple(sorted(names))


def _has_headers(facts: Facts) -> bool:
    """Whether types or functions of the interface are declared in headers of the library's own."""
    places = [row.place for row in facts.types.rows if isinstance(row, Record | Enumeration | Typedef)]
    places += [function.place for function in facts.functions.values()]
    return any(_HEADER.search(place) and not place.startswith(_SYSTEM) for place in places)

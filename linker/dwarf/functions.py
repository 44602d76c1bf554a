"""Looks up one function at a time, for the tracer, which shows the few functions that a program calls.

The names of all functions are read once, when the object is made. A function's entry and its types are decoded when the function is asked
for.
"""

from __future__ import annotations

from collections.abc import Iterator

from uselib.linker.c_types import types as ct
from uselib.linker.dwarf import constants as dw
from uselib.linker.dwarf import index as names
from uselib.linker.dwarf.abbreviations import Damage
from uselib.linker.dwarf.graph import Graph
from uselib.linker.dwarf.index import EntryPlace, without_types
from uselib.linker.dwarf.origins import origin_of
from uselib.linker.dwarf.sections import Sections
from uselib.linker.dwarf.units import DAMAGE, Information
from uselib.linker.quick_dataclass import NamedTuple

_NAMES = (dw.LINKAGE_NAME, dw.MIPS_LINKAGE_NAME, dw.NAME)


class FoundFunction(NamedTuple):
    """type: a row of the graph; its members are complete where `Graph.complete` was called."""

    type: ct.FunctionType
    noreturn: bool


class FunctionLookup:
    """The functions in one file's debug information: definitions, and declarations of functions that it calls.

    graph: the types read so far. problems: a sentence for each unit that cannot be read, in full or in part.
    """

    def __init__(self, sections: Sections, word: int) -> None:
        self._information = Information(sections)
        self._index = names.build(self._information)
        self._others: dict[str, EntryPlace] | None = None
        self.graph = Graph(self._information, self._index, word)
        self.problems = (*self._information.problems, *self._index.problems)

    def find(self, name: str) -> FoundFunction | None:
        """The function that a symbol's name means: an external one, else a static one, or one of C++ by its plain name.

        None if no entry tells its parameters. Raises one of DAMAGE for an entry that cannot be followed.
        """
        for place in self._places(name):
            unit = place.unit
            abbreviation, values, body = self._information.entry(unit, place.offset)
            if abbreviation is None or unit.language in dw.ASSEMBLERS:
                continue
            noreturn = bool(values.get(dw.NORETURN))
            owner, abbreviation, values, _ = origin_of(self._information, unit, abbreviation, values, body)
            if unit.language not in dw.CPLUSPLUS and dw.PROTOTYPED not in values and not abbreviation.children:
                continue  # `int f()`, or a builtin function: it does not describe the arguments
            if dw.TYPE not in values and dw.PROTOTYPED not in values and without_types(owner):
                continue
            row = self.graph.rows[self.graph.number(unit, place.offset)]
            if isinstance(row, ct.FunctionType):
                return FoundFunction(row, noreturn or bool(values.get(dw.NORETURN)))
            raise Damage(row.reason if isinstance(row, ct.Unknown) else "an entry is not a function")
        return None

    def _places(self, name: str) -> Iterator[EntryPlace]:
        yield from self._index.functions.get(name, ())
        if self._others is None:
            self._others = self._other_names()
        if name in self._others:
            yield self._others[name]

    def _other_names(self) -> dict[str, EntryPlace]:
        """Every name of every function; of several with the same name an external definition, else a declaration."""
        found: dict[str, tuple[int, EntryPlace]] = {}
        for place in self._index.bodies:
            try:
                _, values, _ = self._information.entry(place.unit, place.offset)
            except DAMAGE:
                continue
            rank = 2 if dw.EXTERNAL not in values else 1 if dw.DECLARATION in values else 0
            for attribute in _NAMES:
                name = values.get(attribute)
                if name and (name not in found or found[name][0] > rank):
                    found[name] = rank, place
        return {name: place for name, (_, place) in found.items()}

"""Exported names -> their types: what the rest of the ABI check asks of debug information."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from linker.abi import types as ct
from linker.abi.dwarf import constants as dw
from linker.abi.dwarf import index as names
from linker.abi.dwarf.graph import Graph
from linker.abi.dwarf.index import Index, Place
from linker.abi.dwarf.units import DAMAGE, Information, Sections


@dataclass(frozen=True)
class Typed:
    """A name's type (a row of Interface.types) and FILE:LINE."""

    type: ct.TypeId
    place: str = ""


@dataclass(frozen=True)
class Interface:
    """typed: there are types at all. unknown: a sentence for whatever could not be read."""

    types: ct.Types = field(default_factory=ct.Types)
    typed: bool = False
    functions: Mapping[str, Typed] = field(default_factory=dict)
    data: Mapping[str, Typed] = field(default_factory=dict)
    records: Mapping[str, ct.TypeId] = field(default_factory=dict)
    producer: str = ""
    unknown: tuple[str, ...] = ()


def read_interface(
    sections: Sections,
    word: int,
    functions: Mapping[str, int],
    data: Mapping[str, int],
    records: bool = False,
) -> Interface:
    """The types of `functions` and `data` (names of symbols, with the address of code or datum, 0 if unknown) and all they reach.

    Names without an entry of their own (aliases) are found by their address. records: also every structure, union and
    enumeration that is defined, as a program's knowledge. Never raises; `unknown` says what is missing, but not which names
    have no type: that is to be seen.
    """
    information = Information(sections)
    index = names.build(information)
    graph = Graph(information, index, word)
    found_functions = _types(graph, index.functions, functions)
    found_data = _types(graph, index.variables, data)
    rest = {name: at for name, at in functions.items() if at and name not in found_functions}
    if rest:
        found_functions |= _types(graph, _bodies(information, index, set(rest.values())), rest, by_address=True)
    rest = {name: at for name, at in data.items() if at and name not in found_data}
    if rest:
        found_data |= _types(graph, _variables(information, index, set(rest.values())), rest, by_address=True)
    known = _records(graph, index) if records else {}
    types = graph.finish()
    typed = bool(index.functions or index.variables or index.records or index.typedefs)
    producers = list(dict.fromkeys(text.partition(" -")[0] for text in index.producers))
    return Interface(types, typed, found_functions, found_data, known, "; ".join(producers), tuple(_sentences(graph)))


def _types(
    graph: Graph, table: Mapping[Any, list[Place]], wanted: Mapping[str, int], by_address: bool = False
) -> dict[str, Typed]:
    result: dict[str, Typed] = {}
    for name in sorted(wanted):
        places = table.get(wanted[name] if by_address else name)
        if not places:
            continue
        found = _typed(graph, places)
        if found is not None:
            result[name] = found
    return result


def _typed(graph: Graph, places: list[Place]) -> Typed | None:
    """The type by the first of the entries that tells one."""
    for place in places:
        try:
            abbreviation, values, _ = graph.information.entry(place.unit, place.offset)
            if abbreviation is None:
                continue
            if abbreviation.tag == dw.SUBPROGRAM:
                if _says_nothing(values) or place.unit.language in dw.ASSEMBLERS:
                    continue
                return Typed(graph.number(place.unit, place.offset), graph.place(place.unit, values))
            where = graph.place(place.unit, values)
            owner = place.unit
            origin = values.get(dw.SPECIFICATION, values.get(dw.ABSTRACT_ORIGIN))
            if dw.TYPE not in values and origin is not None:
                owner = graph.information.unit_of(origin)
                values = graph.information.entry(owner, origin)[1]
            if dw.TYPE in values:
                return Typed(graph.type_of(owner, values), where or graph.place(owner, values))
        except DAMAGE:
            return Typed(graph.unknown("the entry of a name cannot be followed"))
    return None


def _says_nothing(values: Mapping[int, object]) -> bool:
    """A function that a compiler knows by heart, and declares without parameters because nobody else does."""
    return bool(values.get(dw.DECLARATION)) and not values.get(dw.PROTOTYPED) and not values.get(dw.DECL_LINE)


def _bodies(information: Information, index: Index, wanted: set[int]) -> dict[object, list[Place]]:
    """Subprograms by the address of their code."""
    result: dict[object, list[Place]] = {}
    for place in index.bodies:
        try:
            at = information.entry(place.unit, place.offset)[1].get(dw.LOW_PC)
        except DAMAGE:
            continue
        if at in wanted:
            result.setdefault(at, []).append(place)
    return result


def _variables(information: Information, index: Index, wanted: set[int]) -> dict[object, list[Place]]:
    """Variables by their address (DW_OP_addr)."""
    result: dict[object, list[Place]] = {}
    for places in index.variables.values():
        for place in places:
            try:
                where = information.entry(place.unit, place.offset)[1].get(dw.LOCATION)
            except DAMAGE:
                continue
            if isinstance(where, bytes) and where[:1] == b"\x03":
                at = int.from_bytes(where[1:], "little")
                if at in wanted:
                    result.setdefault(at, []).append(place)
    return result


def _records(graph: Graph, index: Index) -> dict[str, ct.TypeId]:
    """Everything defined, by tag, and what has only a typedef's name by that."""
    result: dict[str, ct.TypeId] = {}
    for (_, name), places in index.records.items():
        result.setdefault(name, graph.number(places[0].unit, places[0].offset))
    for name, places in index.typedefs.items():
        row = graph.rows[graph.number(places[0].unit, places[0].offset)]
        if isinstance(row, ct.Typedef):
            target = graph.rows[row.target]
            if isinstance(target, ct.Record | ct.Enumeration) and not target.name:
                result.setdefault(name, row.target)
    return result


def _sentences(graph: Graph) -> Iterable[str]:
    information, index = graph.information, graph.index
    where = information.sections.where
    yield from information.problems
    yield from index.problems
    if index.external:
        files = _some(index.external)
        yield f"{where}: types are in {files} (compiled with -gsplit-dwarf), which this check does not read"
    if information.alternate:
        yield f"{where}: part of its debug information is in another file (made by dwz -m), which this check does not read"
    for reason, count in graph.reasons.items():
        many = "a type cannot be read" if count == 1 else f"{count} types cannot be read"
        yield f"{where}: {many}: {reason}"
    for sentence in graph.problems:
        yield f"{where}: {sentence}"


def _some(items: Iterable[str], most: int = 5) -> str:
    """The first few of many."""
    listed = sorted(set(items))
    rest = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {rest} more" if rest > 0 else "")

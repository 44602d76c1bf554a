"""Exported names -> their types, for the rest of the ABI check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from uselib.linker.c_types import types as ct
from uselib.linker.dwarf import constants as dw
from uselib.linker.dwarf import index as names
from uselib.linker.dwarf.graph import Graph
from uselib.linker.dwarf.index import EntryPlace, NameIndex, without_types
from uselib.linker.dwarf.sections import Sections
from uselib.linker.dwarf.units import DAMAGE, AttributeValues, Information, Unit
from uselib.linker.errors import some


@dataclass(frozen=True)
class Typed:
    """A name's type (a row of Interface.types) and FILE:LINE."""

    type: ct.TypeId
    place: str = ""


@dataclass(frozen=True)
class Interface:
    """typed: whether there are types at all. unknown: a sentence for each part that could not be read."""

    types: ct.Types = field(default_factory=ct.Types)
    typed: bool = False
    functions: Mapping[str, Typed] = field(default_factory=dict)
    data: Mapping[str, Typed] = field(default_factory=dict)
    records: Mapping[str, ct.TypeId] = field(default_factory=dict)
    producer: str = ""
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WantedSymbol:
    """A symbol whose type is asked for. address: of code or datum, 0 if unknown. by_address: several symbols have this name
    (versions of it), so that the name alone does not tell which entry is meant. code: a function's bytes (i386: its convention)."""

    name: str
    address: int = 0
    by_address: bool = False
    code: bytes = b""


def read_interface(
    sections: Sections,
    word: int,
    functions: Mapping[str, WantedSymbol],
    data: Mapping[str, WantedSymbol],
    records: bool = False,
) -> Interface:
    """The types of `functions` and `data` (by any keys) and all they reach.

    Names without an entry of their own (aliases) are found by their address. records: also every structure, union and
    enumeration that is defined, as a program's knowledge. Never raises. `unknown` says what is missing; names without a type are not listed
    there.
    """
    information = Information(sections)
    index = names.build(information)
    graph = Graph(information, index, word)
    found_functions = _types(graph, index.functions, functions, lambda: _bodies(information, index))
    found_data = _types(graph, index.variables, data, lambda: _variables(information, index))
    undecided: list[str] = []
    if word == 4 and any(one.code for one in functions.values()):
        found_functions, undecided = _with_conventions(graph, functions, found_functions)
    known = _records(graph, index) if records else {}
    types = graph.finish()
    typed = bool(found_functions) or not all(without_types(unit) for unit in information.units)
    producers = list(dict.fromkeys(text.partition(" -")[0] for text in index.producers))
    return Interface(
        types, typed, found_functions, found_data, known, "; ".join(producers), tuple(_sentences(graph, undecided))
    )


def _types(
    graph: Graph,
    by_name: Mapping[str, list[EntryPlace]],
    wanted: Mapping[str, WantedSymbol],
    addresses: Callable[[], Mapping[int, list[EntryPlace]]],
) -> dict[str, Typed]:
    result: dict[str, Typed] = {}
    rest: list[str] = []
    for key in sorted(wanted):
        one = wanted[key]
        places = by_name.get(one.name) if not one.by_address else None
        found = _typed(graph, places) if places else None
        if found is not None:
            result[key] = found
        elif one.address:
            rest.append(key)
    if rest:
        by_address = addresses()
        for key in rest:
            places = by_address.get(wanted[key].address) or (
                by_name.get(wanted[key].name) if wanted[key].by_address else None
            )
            found = _typed(graph, places) if places else None
            if found is not None:
                result[key] = found
    return result


def _typed(graph: Graph, places: list[EntryPlace]) -> Typed | None:
    """The type by the first of the entries that tells one."""
    for place in places:
        try:
            abbreviation, values, _ = graph.information.entry(place.unit, place.offset)
            if abbreviation is None:
                continue
            if abbreviation.tag == dw.SUBPROGRAM:
                if _is_builtin(values) or place.unit.language in dw.ASSEMBLERS:
                    continue
                if dw.TYPE not in values and dw.PROTOTYPED not in values and without_types(place.unit):
                    continue
                return Typed(graph.number(place.unit, place.offset), _place(graph, place.unit, values))
            owner, own = place.unit, values
            origin = values.get(dw.SPECIFICATION, values.get(dw.ABSTRACT_ORIGIN))
            if dw.TYPE not in own and origin is not None:
                owner = graph.information.unit_of(origin)
                own = graph.information.entry(owner, origin)[1]
            if dw.TYPE in own:
                return Typed(graph.type_of(owner, own), _place(graph, place.unit, values))
        except DAMAGE:
            return Typed(graph.unknown("the entry of a name cannot be followed"))
    return None


def _place(graph: Graph, unit: Unit, values: AttributeValues) -> str:
    """FILE:LINE of an entry, or of the declaration that it refers to."""
    for _ in range(4):
        found = graph.place(unit, values) if dw.DECL_LINE in values else ""
        origin = values.get(dw.SPECIFICATION, values.get(dw.ABSTRACT_ORIGIN))
        if found or origin is None or origin < 0:
            return found
        unit = graph.information.unit_of(origin)
        values = graph.information.entry(unit, origin)[1]
    return ""


def _is_builtin(values: Mapping[int, object]) -> bool:
    """A builtin function, which the compiler declares without parameters because the source does not declare it."""
    return bool(values.get(dw.DECLARATION)) and not values.get(dw.PROTOTYPED) and not values.get(dw.DECL_LINE)


def _bodies(information: Information, index: NameIndex) -> dict[int, list[EntryPlace]]:
    """Subprograms by the address of their code."""
    result: dict[int, list[EntryPlace]] = {}
    for place in index.bodies:
        try:
            at = information.entry(place.unit, place.offset)[1].get(dw.LOW_PC)
        except DAMAGE:
            continue
        if at:
            result.setdefault(at, []).append(place)
    return result


def _variables(information: Information, index: NameIndex) -> dict[int, list[EntryPlace]]:
    """Variables by their address (DW_OP_addr)."""
    result: dict[int, list[EntryPlace]] = {}
    for places in index.variables.values():
        for place in places:
            try:
                where = information.entry(place.unit, place.offset)[1].get(dw.LOCATION)
            except DAMAGE:
                continue
            if isinstance(where, bytes) and where[:1] == b"\x03":  # DW_OP_addr
                result.setdefault(int.from_bytes(where[1:], "little"), []).append(place)
    return result


def _records(graph: Graph, index: NameIndex) -> dict[str, ct.TypeId]:
    """All definitions by tag; those that have only a typedef's name, by that."""
    result: dict[str, ct.TypeId] = {}
    for (kind, name), places in index.records.items():
        rows = list(dict.fromkeys(graph.number(place.unit, place.offset) for place in places))
        result.setdefault(name, rows[0])
        if len(rows) > 1:
            place = getattr(graph.rows[rows[0]], "place", "") or "its first unit"
            graph.problems.setdefault(f"{kind} {name} is defined in {len(rows)} ways; that of {place} is compared")
    for name, places in index.typedefs.items():
        row = graph.rows[graph.number(places[0].unit, places[0].offset)]
        if isinstance(row, ct.Typedef):
            target = graph.rows[row.target]
            if isinstance(target, ct.Record | ct.Enumeration) and not target.name:
                result.setdefault(name, row.target)
    return result


def _with_conventions(
    graph: Graph, wanted: Mapping[str, WantedSymbol], found: Mapping[str, Typed]
) -> tuple[dict[str, Typed], list[str]]:
    """The functions with the calling conventions that debug information leaves out, and the functions for which these cannot be deduced."""
    from uselib.linker.dwarf.conventions import deduce  # i386 only

    result, undecided = dict(found), []
    bodies = _bodies(graph.information, graph.index)
    for key, typed in found.items():
        row = graph.rows[typed.type]
        if not isinstance(row, ct.FunctionType) or row.convention or row.variadic or not row.parameters:
            continue
        places = bodies.get(wanted[key].address)
        if places and "clang" in str(places[0].unit.top.get(dw.PRODUCER, "")):
            continue  # records what it is, all but regparm
        words = deduce(graph.information, places[0], wanted[key].code, graph.bytes_of) if places else None
        if words is None:
            undecided.append(wanted[key].name)
            words = graph.usual_convention(places[0].unit) if places else ""
        if words:
            result[key] = Typed(graph.with_convention(row, words), typed.place)
    return result, undecided


def _sentences(graph: Graph, undecided: Iterable[str]) -> Iterable[str]:
    information, index = graph.information, graph.index
    where = information.sections.where
    yield from information.problems
    yield from index.problems
    if index.external:
        files = some(sorted(set(index.external)))
        yield f"{where}: types are in {files} (compiled with -gsplit-dwarf), which this check does not read"
    if information.alternate:
        yield f"{where}: part of its debug information is in another file (made by dwz -m), which this check does not read"
    for reason, count in graph.reasons.items():
        many = "a type cannot be read" if count == 1 else f"{count} types cannot be read"
        yield f"{where}: {many}: {reason}"
    for sentence in graph.problems:
        yield f"{where}: {sentence}"
    if undecided:
        yield f"{where}: the calling convention is not recorded and cannot be told from the code: {some(sorted(set(undecided)))}"

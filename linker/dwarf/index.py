"""Names: which entries declare or define functions, variables and types, found by one pass over the outer level of each unit.

In C all names that a library offers or a program uses are at that level. In C++ namespaces and classes are entered too; names in them get the
scopes' names in front.
"""

from __future__ import annotations

from uselib.linker.dwarf import constants as dw
from uselib.linker.dwarf.abbreviations import Abbreviation, Damage, uleb
from uselib.linker.dwarf.units import DAMAGE, AttributeValues, Information, Unit
from uselib.linker.quick_dataclass import NamedTuple, dataclass, field

RECORDS = {
    dw.STRUCTURE_TYPE: "struct",
    dw.CLASS_TYPE: "struct",
    dw.INTERFACE_TYPE: "struct",
    dw.UNION_TYPE: "union",
    dw.ENUMERATION_TYPE: "enum",
}
_SCOPES = frozenset((dw.NAMESPACE, dw.STRUCTURE_TYPE, dw.CLASS_TYPE, dw.UNION_TYPE, dw.INTERFACE_TYPE))
_INTERESTING = frozenset((dw.SUBPROGRAM, dw.VARIABLE, dw.TYPEDEF, dw.NAMESPACE, dw.IMMUTABLE_TYPE, *RECORDS))
_DEEPEST = 64  # scopes within scopes


class EntryPlace(NamedTuple):
    """An entry: its unit and offset."""

    unit: Unit
    offset: int


@dataclass
class NameIndex:
    """functions and variables: external ones by the name of their symbol, definitions before declarations.
    records: definitions by (struct, union or enum; name). typedefs: by name. scopes: offset -> `NAMESPACE::` of nested types.
    bodies: every subprogram, for finding one by its address."""

    functions: dict[str, list[EntryPlace]] = field(default_factory=dict)
    variables: dict[str, list[EntryPlace]] = field(default_factory=dict)
    records: dict[tuple[str, str], list[EntryPlace]] = field(default_factory=dict)
    typedefs: dict[str, list[EntryPlace]] = field(default_factory=dict)
    scopes: dict[int, str] = field(default_factory=dict)
    bodies: list[EntryPlace] = field(default_factory=list)
    producers: dict[str, None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    external: list[str] = field(default_factory=list)  # .dwo files that hold what is missing


def build(information: Information) -> NameIndex:
    """The index of all units. A damaged unit gives the names before the damage, and a sentence."""
    index = NameIndex()
    where = information.sections.where
    for unit in information.units:
        try:
            top = information.open(unit)
        except DAMAGE as problem:
            index.problems.append(_damaged(where, unit, problem))
            continue
        name = top[dw.NAME] or f"the unit at {unit.start:#x}"
        dwo = top.get(dw.DWO_NAME) or top.get(dw.GNU_DWO_NAME)
        if dwo or unit.kind == dw.UT_SKELETON:
            index.external.append(str(dwo or name))
            continue
        if producer := top.get(dw.PRODUCER):
            index.producers.setdefault(producer)
        if unit.language in dw.ASSEMBLERS:
            continue
        try:
            rows = _outer(information, unit)
            _name(information, unit, rows, index)
            if unit.language in dw.CPLUSPLUS:
                for at, abbreviation, body in rows:
                    if abbreviation.tag in _SCOPES and abbreviation.children:
                        _enter(information, unit, at, body, "", index, 0)
        except DAMAGE as problem:
            index.problems.append(_damaged(where, unit, problem))
    for places in index.functions, index.variables:
        for found in places.values():
            if len(found) > 1:
                found.sort(key=lambda place: _rank(information, place))
    return index


def _damaged(where: str, unit: Unit, problem: Exception) -> str:
    text = str(problem) if isinstance(problem, Damage) else f"it cannot be followed ({type(problem).__name__})"
    name = unit.top.get(dw.NAME) if unit.top else ""
    return f"{where}: the debug information of {name or f'the unit at {unit.start:#x}'} is damaged: {text}"


def _outer(information: Information, unit: Unit) -> list[tuple[int, Abbreviation, int]]:
    """The entries below a unit's first one that matter here: (offset, abbreviation, offset of the attributes).

    The hot loop of a check: one turn for each declaration of the library.
    """
    data, table, end, base = information.data, unit.table, unit.end, unit.start
    rows: list[tuple[int, Abbreviation, int]] = []
    first, _, at = information.entry(unit, unit.first)
    if first is None or not first.children:
        return rows
    if unit.kind == dw.UT_TYPE:
        information.entry(unit, unit.type_at)
    while at < end:
        start = at
        code = data[at]
        at += 1
        if code >= 0x80:
            code, at = uleb(data, start)
        elif not code:
            return rows
        abbreviation = table.get(code)
        if abbreviation is None:
            raise Damage(f"an entry at {start:#x} has the unknown abbreviation {code}")
        if abbreviation.tag in _INTERESTING:
            rows.append((start, abbreviation, at))
        if abbreviation.children:
            sibling = abbreviation.sibling
            if sibling >= 0:
                target = base + int.from_bytes(data[at + sibling : at + sibling + 4], "little")
                if not at < target <= end or data[target - 1]:
                    raise Damage(f"an entry at {start:#x} has a sibling where none can be")
                at = target
                continue
            at = at + abbreviation.fixed if abbreviation.fixed >= 0 else information.skip(abbreviation, at)
            at = information.skip_list(unit, at)
        else:
            at = at + abbreviation.fixed if abbreviation.fixed >= 0 else information.skip(abbreviation, at)
    if at > end:
        raise Damage("an entry runs over the end of its unit")
    raise Damage("its list of entries has no end")


def _name(information: Information, unit: Unit, rows: list[tuple[int, Abbreviation, int]], index: NameIndex) -> None:
    """Puts the outer entries of a unit under their names."""
    data, string, known = information.data, information.string, information._strings
    for start, abbreviation, body in rows:
        tag = abbreviation.tag
        if tag == dw.SUBPROGRAM or tag == dw.VARIABLE:
            _file(information, unit, start, abbreviation, index)
            continue
        at = abbreviation.name
        if at >= 0:
            offset = int.from_bytes(data[body + at : body + at + 4], "little")
            name = known.get(offset) or string(offset)
        else:
            name = information.entry(unit, start)[1].get(dw.NAME, "")
        if not name:
            continue
        if tag == dw.TYPEDEF:
            index.typedefs.setdefault(name, []).append(EntryPlace(unit, start))
        elif tag in RECORDS and not _declares(information, unit, start, abbreviation):
            index.records.setdefault((RECORDS[tag], name), []).append(EntryPlace(unit, start))


def _declares(information: Information, unit: Unit, start: int, abbreviation: Abbreviation) -> bool:
    """Whether it is a declaration without contents."""
    return abbreviation.has(dw.DECLARATION) and bool(information.entry(unit, start)[1].get(dw.DECLARATION))


def _file(information: Information, unit: Unit, start: int, abbreviation: Abbreviation, index: NameIndex) -> None:
    """A function or variable under the name of its symbol."""
    function = abbreviation.tag == dw.SUBPROGRAM
    place = EntryPlace(unit, start)
    if function:
        index.bodies.append(place)
    external, linked, named = (abbreviation.has(a) for a in (dw.EXTERNAL, dw.SPECIFICATION, dw.LINKAGE_NAME))
    if not (external or linked or named or abbreviation.has(dw.MIPS_LINKAGE_NAME)):
        return  # static; or the body of a function that was also inlined, whose name is in another entry
    _, values, _ = information.entry(unit, start)
    name = symbol_name(values)
    origin = values.get(dw.SPECIFICATION, values.get(dw.ABSTRACT_ORIGIN))
    external = bool(values.get(dw.EXTERNAL))
    if origin is not None and origin >= 0 and not (name and external):
        owner = information.unit_of(origin)
        first = information.entry(owner, origin)[1]
        name = name or symbol_name(first)
        external = external or bool(first.get(dw.EXTERNAL))
    if name and external:
        table = index.functions if function else index.variables
        table.setdefault(name, []).append(place)


def symbol_name(values: AttributeValues) -> str:
    """The name that the symbol of a function or variable has."""
    return values.get(dw.LINKAGE_NAME) or values.get(dw.MIPS_LINKAGE_NAME) or values.get(dw.NAME) or ""


def without_types(unit: Unit) -> bool:
    """Whether it was compiled with -g1, which records only lines and names of functions. Then an entry without a type does not mean void."""
    return not any(abbreviation.has(dw.TYPE) for abbreviation in unit.table.values())


def _rank(information: Information, place: EntryPlace) -> int:
    """0 a definition with a type, 1 one whose type stands in its declaration, 2 a declaration with prototype, 3 another, 4 damage."""
    try:
        _, values, _ = information.entry(place.unit, place.offset)
    except DAMAGE:
        return 4
    if values.get(dw.DECLARATION):
        return 2 if values.get(dw.PROTOTYPED) or dw.TYPE in values else 3
    return 1 if dw.SPECIFICATION in values and dw.TYPE not in values else 0


def _enter(
    information: Information, unit: Unit, start: int, body: int, prefix: str, index: NameIndex, depth: int
) -> None:
    """Enters the names in a namespace or class of C++."""
    abbreviation, values, at = information.entry(unit, start)
    if abbreviation is None or depth > _DEEPEST:
        return
    name = values.get(dw.NAME, "") or ("(anonymous)" if abbreviation.tag == dw.NAMESPACE else "")
    if not name:
        return
    scope = f"{prefix}{name}::"
    for inner, below, found, behind in information.children(unit, at):
        if below.tag == dw.SUBPROGRAM or (below.tag == dw.VARIABLE and abbreviation.tag == dw.NAMESPACE):
            _file(information, unit, inner, below, index)
            continue
        if below.tag in RECORDS or below.tag == dw.TYPEDEF:
            index.scopes[inner] = scope
            own = found.get(dw.NAME, "")
            if own and below.tag != dw.TYPEDEF and not found.get(dw.DECLARATION):
                index.records.setdefault((RECORDS[below.tag], scope + own), []).append(EntryPlace(unit, inner))
        if below.tag in _SCOPES and below.children:
            _enter(information, unit, inner, behind, scope, index, depth + 1)

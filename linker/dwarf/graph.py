"""Entries -> rows of uselib.linker.c_types.types.Types: decoded when a name leads to them, and one row a type, however many units declare it.

Types refer to one another in cycles, always through a record: a record gets its number first and its members afterwards,
from a queue; every other kind of type is made from its parts. So no recursion goes through a record, and a cycle
without one is damage.

A record that one unit only declares counts as the one that another unit defines. Two units that define the same
tag have the same record if name, place, size and members are alike; otherwise each keeps its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from uselib.linker.c_types import types as ct
from uselib.linker.dwarf import constants as dw
from uselib.linker.dwarf.abbreviations import Abbreviation, Damage
from uselib.linker.dwarf.containment import cut_cycles, size_of
from uselib.linker.dwarf.identity import member_identity
from uselib.linker.dwarf.index import RECORDS, NameIndex
from uselib.linker.dwarf.lines import LineTableFiles
from uselib.linker.dwarf.numbers import element_count, enumerator_value, member_offset, with_sign
from uselib.linker.dwarf.origins import origin_of
from uselib.linker.dwarf.units import DAMAGE, ELSEWHERE, AttributeValues, Information, Unit
from uselib.linker.quick_dataclass import replace
from uselib.linker.quick_typing import Any

_DEEPEST = 150  # pointers to arrays of pointers to ... without a record between them
_MAKING = -1  # in `_numbers`: being made

_QUALIFIERS = {
    dw.CONST_TYPE: "const",
    dw.VOLATILE_TYPE: "volatile",
    dw.RESTRICT_TYPE: "restrict",
    dw.ATOMIC_TYPE: "atomic",
}
_POINTERS = {
    dw.POINTER_TYPE: "pointer",
    dw.REFERENCE_TYPE: "reference",
    dw.RVALUE_REFERENCE_TYPE: "rvalue_reference",
    dw.PTR_TO_MEMBER_TYPE: "member",
}
_KINDS = {
    dw.STRUCTURE_TYPE: "struct",
    dw.UNION_TYPE: "union",
    dw.CLASS_TYPE: "class",
    dw.INTERFACE_TYPE: "class",
}
_TRANSPARENT = frozenset((dw.PACKED_TYPE, dw.SHARED_TYPE, dw.IMMUTABLE_TYPE))
_MEMBERS = frozenset((dw.MEMBER, dw.INHERITANCE))
_PARAMETERS = frozenset((dw.FORMAL_PARAMETER, dw.UNSPECIFIED_PARAMETERS))
_ENUMERATORS = frozenset((dw.ENUMERATOR,))
_BOUNDS = frozenset((dw.SUBRANGE_TYPE, dw.ENUMERATION_TYPE))
_C = frozenset((0x01, 0x02, 0x0C, 0x1D, 0x2C, 0x3E))  # DW_LANG_C89, C, C99, C11, C17, C23


class Graph:
    """The rows so far. reasons: why rows are Unknown, with how many; problems: other sentences."""

    def __init__(self, information: Information, index: NameIndex, word: int) -> None:
        self.information, self.index, self.word = information, index, word
        self.files = LineTableFiles(information)
        self.rows: list[ct.Type] = [ct.Void()]
        self.reasons: dict[str, int] = {}
        self.problems: dict[str, None] = {}
        self._numbers: dict[int, int] = {}  # offset of an entry -> row
        self._rows: dict[Any, int] = {}  # identity of a type -> row
        self._waiting: dict[
            int, tuple[Unit, list[AttributeValues]]
        ] = {}  # rows of records -> their members, not read yet
        self._several = len(information.units) > 1
        self._conventions: dict[int, str] = {}
        self._makers: dict[int, Callable[[Unit, int, Abbreviation, AttributeValues, int, int], int]] = {
            dw.BASE_TYPE: self._base,
            dw.UNSPECIFIED_TYPE: self._base,
            dw.STRING_TYPE: self._base,
            dw.SUBRANGE_TYPE: self._subrange,
            dw.TYPEDEF: self._typedef,
            dw.TEMPLATE_ALIAS: self._typedef,
            dw.ARRAY_TYPE: self._array,
            dw.ENUMERATION_TYPE: self._enumeration,
            dw.SUBROUTINE_TYPE: self._function,
            dw.SUBPROGRAM: self._function,
            **dict.fromkeys(_QUALIFIERS, self._qualified),
            **dict.fromkeys(_POINTERS, self._pointer),
            **dict.fromkeys(_KINDS, self._record),
        }

    # -- what others ask for -------------------------------------------------------------------------------------------

    def type_of(self, unit: Unit, values: AttributeValues, depth: int = 0) -> ct.TypeId:
        """The type that an entry's DW_AT_type names; without one, void."""
        at = values.get(dw.TYPE)
        if at is None:
            return ct.VOID
        known = self._numbers.get(at)
        return known if known is not None and known >= 0 else self.number(unit, at, depth + 1)

    def place(self, unit: Unit, values: AttributeValues) -> str:
        """FILE:LINE of an entry's declaration, or empty."""
        number = values.get(dw.DECL_FILE)
        name = self.files.name(unit, number) if isinstance(number, int) else ""
        line = values.get(dw.DECL_LINE)
        return f"{name}:{line}" if name and line else name

    def finish(self) -> ct.Types:
        """All rows, after the members of the records that wait have been read, and what they reach."""
        while self._waiting:  # grows meanwhile
            self.complete(next(iter(self._waiting)))
        cut_cycles(self.rows, self.unknown)
        return ct.Types(tuple(self.rows))

    def complete(self, row: ct.TypeId) -> None:
        """Reads the members of a record, if `row` is one whose members have not been read."""
        waiting = self._waiting.pop(row, None)
        record = self.rows[row]
        if waiting is None or not isinstance(record, ct.Record):
            return
        try:
            members = tuple(self._members(record, *waiting))
            self.rows[row] = ct.Record(record.kind, record.name, record.size, members, record.alignment, record.place)
        except DAMAGE as problem:
            self.rows[row] = self.rows[self.unknown(_reason(problem))]

    def number(self, unit: Unit, at: int, depth: int = 0) -> ct.TypeId:
        """The row of the type at an offset, made if it is not there yet."""
        known = self._numbers.get(at)
        if known is not None:
            return known if known >= 0 else self.unknown("a type is part of itself")
        if at == ELSEWHERE:
            return self.unknown("a type stands in another file (dwz) or in a type unit that is missing")
        self._numbers[at] = _MAKING
        try:
            if depth > _DEEPEST:
                raise Damage("types are nested too deep")
            if not unit.start <= at < unit.end:
                unit = self.information.unit_of(at)
            abbreviation, values, body = self.information.entry(unit, at)
            if abbreviation is None:
                raise Damage("a reference leads to the end of a list")
            maker = self._makers.get(abbreviation.tag)
            if maker is not None:
                row = maker(unit, at, abbreviation, values, body, depth)
            elif abbreviation.tag in _TRANSPARENT:
                row = self.type_of(unit, values, depth)
            else:
                raise Damage(f"a reference to a type leads to an entry with tag {abbreviation.tag:#x}")
        except DAMAGE as problem:
            row = self.unknown(_reason(problem))
        self._numbers[at] = row
        return row

    def unknown(self, reason: str) -> ct.TypeId:
        """A row for a type that cannot be read. Each is its own: no two unknown types are the same."""
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        self.rows.append(ct.Unknown(reason))
        return len(self.rows) - 1

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _row(self, key: Any, row: ct.Type) -> ct.TypeId:
        found = self._rows.get(key)
        if found is None:
            found = self._rows[key] = len(self.rows)
            self.rows.append(row)
        return found

    def _base(
        self, unit: Unit, at: int, abbreviation: Abbreviation, values: AttributeValues, body: int, depth: int
    ) -> int:
        name, size = values.get(dw.NAME, ""), values.get(dw.BYTE_SIZE, 0)
        encoding, signed = dw.ENCODINGS.get(values.get(dw.ENCODING, 0), ("other", False))
        if encoding == "char" and name != "char":
            encoding = "signed" if signed else "unsigned"
        if encoding == "complex" and name == "complex":  # clang's name of all three
            name = {8: "complex float", 16: "complex double"}.get(size, "complex long double")
        return self._row(("base", name, size, encoding, signed), ct.Base(name, size, encoding, signed))

    def _subrange(
        self, unit: Unit, at: int, abbreviation: Abbreviation, values: AttributeValues, body: int, depth: int
    ) -> int:
        return self.type_of(unit, values, depth)

    def _pointer(
        self, unit: Unit, at: int, abbreviation: Abbreviation, values: AttributeValues, body: int, depth: int
    ) -> int:
        kind = _POINTERS[abbreviation.tag]
        size = values.get(dw.BYTE_SIZE, unit.forms.address)
        target = self.type_of(unit, values, depth)
        return self._row((kind, target, size), ct.Pointer(target, size, kind))

    def _qualified(
        self, unit: Unit, at: int, abbreviation: Abbreviation, values: AttributeValues, body: int, depth: int
    ) -> int:
        qualifier = _QUALIFIERS[abbreviation.tag]
        target = self.type_of(unit, values, depth)
        inner = self.rows[target]
        while isinstance(inner, ct.Array):  # GCC qualifies an array of const elements once more
            inner = self.rows[inner.element]
            if isinstance(inner, ct.Qualified) and inner.qualifier == qualifier:
                return target
        return self._row((qualifier, target), ct.Qualified(qualifier, target))

    def _typedef(
        self, unit: Unit, at: int, abbreviation: Abbreviation, values: AttributeValues, body: int, depth: int
    ) -> int:
        name = self._name(at, values)
        target = self.type_of(unit, values, depth)
        return self._row(("typedef", name, target), ct.Typedef(name, target, self.place(unit, values)))

    def _array(
        self, unit: Unit, at: int, abbreviation: Abbreviation, values: AttributeValues, body: int, depth: int
    ) -> int:
        row = self.type_of(unit, values, depth)
        counts: list[int | None] = []
        if abbreviation.children:
            for _, _, bounds, _ in self.information.chosen(unit, body, _BOUNDS):
                counts.append(element_count(bounds))
        if values.get(dw.GNU_VECTOR):
            size = values.get(dw.BYTE_SIZE) or (size_of(self.rows, row) or 0) * ((counts or [0])[0] or 0)
            name = f"{ct.VECTOR_OF}{getattr(self.rows[row], 'name', '')}".strip()
            return self._row(("base", name, size, "other", False), ct.Base(name, size, "other"))
        for count in reversed(counts or [None]):
            row = self._row(("array", row, count), ct.Array(row, count))
        return row

    def _enumeration(
        self, unit: Unit, at: int, abbreviation: Abbreviation, values: AttributeValues, body: int, depth: int
    ) -> int:
        name = self._name(at, values)
        if values.get(dw.DECLARATION):
            defined = self._definition("enum", name, unit, values)
            if defined is not None:
                return defined
            return self._row(("enum", name), ct.Enumeration(name, None, False, (), self.place(unit, values)))
        below = self.rows[self.type_of(unit, values, depth)] if dw.TYPE in values else None
        while isinstance(below, ct.Typedef | ct.Qualified):
            below = self.rows[below.target]
        size = values.get(dw.BYTE_SIZE) or getattr(below, "size", None) or 4
        if not 0 < size <= 16:
            raise Damage(f"an enumeration of {size} bytes")
        listed = self.information.chosen(unit, body, _ENUMERATORS) if abbreviation.children else ()
        raw = [(found.get(dw.NAME, ""), enumerator_value(found)) for _, _, found, _ in listed]
        if isinstance(below, ct.Base):
            signed = below.signed
        elif dw.ENCODING in values:
            signed = dw.ENCODINGS.get(values[dw.ENCODING], ("", False))[1]
        else:
            signed = any(value < 0 for _, value in raw)
        place, rows = self.place(unit, values), tuple(with_sign(raw, size) if signed else raw)
        return self._row(("enum", name, size, rows, place), ct.Enumeration(name, size, signed, rows, place))

    # -- functions -----------------------------------------------------------------------------------------------------

    def _function(
        self, unit: Unit, at: int, abbreviation: Abbreviation, values: AttributeValues, body: int, depth: int
    ) -> int:
        unit, abbreviation, values, body = origin_of(self.information, unit, abbreviation, values, body)
        parameters: list[ct.Parameter] = []
        variadic = False
        if abbreviation.children:
            for _, below, found, _ in self.information.chosen(unit, body, _PARAMETERS):
                if below.tag == dw.UNSPECIFIED_PARAMETERS:
                    variadic = True
                    continue
                owner = unit
                origin = found.get(dw.ABSTRACT_ORIGIN)
                if origin is not None and dw.TYPE not in found:
                    owner = self.information.unit_of(origin)
                    found = {**self.information.entry(owner, origin)[1], **found}
                if found.get(dw.ARTIFICIAL) and parameters:  # the first is `this`, which has no name in declarations
                    continue  # what C++ compilers count in declarations, and pass to some bodies of a constructor only
                if dw.TYPE not in found:
                    parameters.append(ct.Parameter(found.get(dw.NAME, ""), self.unknown("a parameter has no type")))
                    continue
                parameters.append(ct.Parameter(found.get(dw.NAME, ""), self.type_of(owner, found, depth)))
        result = self.type_of(unit, values, depth)
        prototyped = bool(values.get(dw.PROTOTYPED)) or unit.language not in _C
        if not prototyped and not parameters:
            variadic = False  # GCC's way to write `int f()`
        convention = values.get(dw.CALLING_CONVENTION, 1)
        words = dw.CONVENTIONS.get(convention, "" if convention <= 5 else f"convention {convention:#x}")
        if not words and not variadic and abbreviation.tag == dw.SUBROUTINE_TYPE:
            words = self.usual_convention(unit)
        row = ct.FunctionType(result, tuple(parameters), variadic, words, prototyped)
        return self._row(row, row)

    def with_convention(self, row: ct.FunctionType, convention: str) -> ct.TypeId:
        """The same function type under a convention."""
        other = replace(row, convention=convention)
        return self._row(other, other)

    def bytes_of(self, unit: Unit, values: AttributeValues) -> int:
        """Bytes of the type of a variable's or parameter's entry; 0 if not known."""
        origin = values.get(dw.ABSTRACT_ORIGIN)
        if dw.TYPE not in values and origin is not None:
            unit = self.information.unit_of(origin)
            values = self.information.entry(unit, origin)[1]
        return size_of(self.rows, self.type_of(unit, values)) or 0

    def usual_convention(self, unit: Unit) -> str:
        """The convention that a unit's compiler options give every function; empty for the standard one."""
        if self.word != 4:
            return ""
        if unit.number not in self._conventions:
            from uselib.linker.dwarf.conventions import by_options  # i386 only

            self._conventions[unit.number] = by_options(unit.top.get(dw.PRODUCER, ""))
        return self._conventions[unit.number]

    # -- records -------------------------------------------------------------------------------------------------------

    def _record(
        self, unit: Unit, at: int, abbreviation: Abbreviation, values: AttributeValues, body: int, depth: int
    ) -> int:
        name, kind = self._name(at, values), _KINDS[abbreviation.tag]
        if dw.SIGNATURE in values:
            target = values[dw.SIGNATURE]
            return self.number(unit, target, depth + 1)
        if values.get(dw.DECLARATION):
            defined = self._definition(RECORDS[abbreviation.tag], name, unit, values)
            if defined is not None:
                return defined
            return self._row(("opaque", kind, name), ct.Record(kind, name, None, (), 0, self.place(unit, values)))
        members: list[AttributeValues] = []
        if abbreviation.children:
            for _, below, found, _ in self.information.chosen(unit, body, _MEMBERS):
                if found.get(dw.EXTERNAL) or found.get(dw.DECLARATION):
                    continue  # a static member of C++: not in the object
                if below.tag == dw.INHERITANCE:
                    found = {**found, dw.NAME: self._base_name(unit, found)}
                members.append(found)
        size = values.get(dw.BYTE_SIZE, 0)
        place = self.place(unit, values)
        row = len(self.rows)
        if self._several:
            key = (
                kind,
                name,
                size,
                place,
                tuple(member_identity(self.information, unit, member) for member in members),
            )
            row = self._rows.setdefault(key, row)
            if row < len(self.rows):
                return row
        self.rows.append(ct.Record(kind, name, size, (), values.get(dw.ALIGNMENT, 0), place))
        self._waiting[row] = unit, members
        return row

    def _definition(self, kind: str, name: str, unit: Unit, values: AttributeValues) -> int | None:
        """The row of the type behind this declaration, if a unit defines it."""
        places = self.index.records.get((kind, name)) if name else None
        if not places:
            return None
        own = [place for place in places if place.unit is unit]
        rows = list(dict.fromkeys(self.number(place.unit, place.offset) for place in own or places))
        if len(rows) > 1:
            first = self.rows[rows[0]]
            self.problems.setdefault(
                f"{kind} {name} is defined in {len(rows)} ways; where it is only declared, "
                f"the one of {getattr(first, 'place', '') or 'the first unit'} is taken"
            )
        return rows[0]

    def _base_name(self, unit: Unit, values: AttributeValues) -> str:
        at = values.get(dw.TYPE, ELSEWHERE)
        owner = self.information.unit_of(at)
        word = "virtual base" if values.get(dw.VIRTUALITY) else "base"
        return f"<{word} {self._name(at, self.information.entry(owner, at)[1])}>"

    def _members(self, record: ct.Record, unit: Unit, raw: list[AttributeValues]) -> Iterator[ct.RecordMember]:
        for member in raw:
            type_ = self.type_of(unit, member) if dw.TYPE in member else self.unknown("a member has no type")
            name = member.get(dw.NAME, "")
            width = member.get(dw.BIT_SIZE)
            where = member_offset(member, 0 if width is None else size_of(self.rows, type_) or 0)
            if record.size is not None and not 0 <= where <= 8 * record.size and not name.startswith("<virtual"):
                outside = "a member lies outside its structure"
                self.reasons[outside] = self.reasons.get(outside, 0) + 1
            yield ct.RecordMember(name, type_, where, width)

    def _name(self, at: int, values: AttributeValues) -> str:
        name: str = values.get(dw.NAME, "")
        scope = self.index.scopes.get(at)
        return scope + name if scope and name else name


def _reason(problem: Exception) -> str:
    return str(problem) if isinstance(problem, Damage) else "an entry is cut off or garbled"

"""A type without its typedefs and qualifiers: its kind, size and name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from uselib.linker.c_types.types import (
    Array,
    Base,
    Enumeration,
    Pointer,
    Qualified,
    Record,
    Type,
    Typedef,
    TypeId,
    Types,
    Unknown,
)

_DEEPEST = 100  # levels of one type; deeper ones only come from damaged files


class UnqualifiedType(NamedTuple):
    """A type without typedefs and qualifiers. name: the tag, or the typedef that names it."""

    number: TypeId
    row: Type
    qualifiers: frozenset[str]
    name: str


def unqualified(types: Types, number: TypeId) -> UnqualifiedType:
    qualifiers: set[str] = set()
    name = ""
    for _ in range(_DEEPEST):
        row = types[number]
        if isinstance(row, Typedef):
            name = row.name
        elif isinstance(row, Qualified):
            qualifiers.add(row.qualifier)
        else:
            own = row.name if isinstance(row, Record | Enumeration) else ""
            return UnqualifiedType(number, row, frozenset(qualifiers), own or name)
        number = row.target
    return UnqualifiedType(number, Unknown("typedefs without end"), frozenset(), "")


def size_of(types: Types, number: TypeId, depth: int = 0) -> int | None:
    """Bytes, or None if not known."""
    row = unqualified(types, number).row
    if isinstance(row, Base | Pointer | Record | Enumeration):
        return row.size
    if isinstance(row, Array) and row.count is not None and depth < _DEEPEST:
        element = size_of(types, row.element, depth + 1)
        return None if element is None else element * row.count
    return None


def tags(types: Types) -> frozenset[str]:
    """The names of all records and enumerations of a file, with those of typedefs."""
    return frozenset(row.name for row in types.rows if isinstance(row, Record | Enumeration | Typedef) and row.name)


def named(types: Types) -> Iterator[tuple[str, TypeId]]:
    """Complete records and enumerations by tag, and those without by the type name that stands for them."""
    seen = set()
    for number in range(len(types.rows)):
        found = unqualified(types, number)
        row = found.row
        if isinstance(row, Record | Enumeration) and row.size is not None and found.name and found.name not in seen:
            seen.add(found.name)
            yield found.name, found.number

"""The fields of a record as programs name them: members of anonymous structures and unions count as the record's own."""

from __future__ import annotations

from dataclasses import dataclass

from uselib.abi.static.model.unqualified import size_of, unqualified
from uselib.linker.c_types.types import Array, Base, Enumeration, FunctionType, Pointer, Record, TypeId, Types

_DEEPEST = 8  # records within records that are looked into; no compiler writes an endless one


@dataclass(frozen=True, slots=True)
class Field:
    """offset and size in bits; size 0 for a flexible array or what is not known. width: of a bit-field."""

    name: str
    type: TypeId
    offset: int
    size: int
    width: int | None

    @property
    def end(self) -> int:
        return self.offset + self.size

    def overlaps(self, other: Field) -> bool:
        return self.offset < other.end and other.offset < self.end

    @property
    def where(self) -> str:
        byte, bit = divmod(self.offset, 8)
        return f"byte {byte}" if self.width is None else f"byte {byte} bit {bit}"


def fields(types: Types, record: Record, start: int = 0, around: tuple[Record, ...] = ()) -> list[Field]:
    """In the order of the source. Unnamed members that are not records are padding and come with an empty name."""
    found: list[Field] = []
    for member in record.members:
        inner = unqualified(types, member.type).row
        if not member.name and isinstance(inner, Record) and inner not in around and len(around) < _DEEPEST:
            found += fields(types, inner, start + member.offset, (*around, record))
            continue
        size = member.width if member.width is not None else 8 * (size_of(types, member.type) or 0)
        found.append(Field(member.name, member.type, start + member.offset, size, member.width))
    return found


def natural_alignment(types: Types, number: TypeId, word: int, depth: int = 0) -> int:
    """Bytes, by the psABI's rules, without attributes: what the compiler aligns the type to in a structure."""
    row = unqualified(types, number).row
    match row:
        case Array(element):
            return natural_alignment(types, element, word, depth + 1) if depth < _DEEPEST else 1
        case Record():
            if row.alignment:
                return row.alignment
            below = (
                [natural_alignment(types, member.type, word, depth + 1) for member in row.members]
                if depth < _DEEPEST
                else []
            )
            return max(below, default=1)
        case Base(_, size):
            return max(1, min(size, 4)) if word == 4 else max(1, min(size, 16))
        case Enumeration(_, size) | Pointer(_, size):
            return size or 1
    return 1


def is_packed(types: Types, record: Record, word: int) -> bool:
    """Whether a member lies where only `packed` or `#pragma pack` puts it."""
    return any(
        field.width is None and field.size and field.offset % (8 * natural_alignment(types, field.type, word))
        for field in fields(types, record)
    )


def is_operations_table(types: Types, record: Record) -> bool:
    """Whether most members are pointers to functions."""
    targets = [unqualified(types, field.type).row for field in fields(types, record)]
    functions = [
        row
        for row in targets
        if isinstance(row, Pointer) and isinstance(unqualified(types, row.target).row, FunctionType)
    ]
    return bool(functions) and 2 * len(functions) >= len(targets)

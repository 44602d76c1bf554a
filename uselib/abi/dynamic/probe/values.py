"""Values of arguments, without addresses. Strategies make them, guest memory is filled from them, and witnesses are printed from them.

    Number(5), Number(2.5)      integers, enumerations, floating point; complex numbers are a Group of two
    Group((...))                a structure's members, or an array's elements, in order; of a union, one member: UnionMember(index, value)
    Text(b"abc", room)          pointer to a string: these bytes and a NUL, then `room` zero bytes that the function may write
    Bytes(b"...")               pointer to bytes that are no string
    Items((...))                pointer to elements of the type that is pointed to
    NULL                        the null pointer

All are immutable and compare by value. A type beside them says what they mean (emulator/trace/prototypes/type_views.py).
`plain` and `from_plain` turn them into lists that JSON and Python's literals can hold.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from uselib.emulator.api.values import extended
from uselib.emulator.trace.prototypes.type_views import (
    ArrayView,
    ComplexView,
    EnumerationView,
    FieldView,
    FloatingView,
    IntegerView,
    OpaqueView,
    PointerView,
    StructureView,
    TypeView,
)

SLACK = 64  # zero bytes behind each object that is pointed to, to notice writes there


@dataclass(frozen=True, slots=True)
class Number:
    value: int | float

    def __eq__(self, other: object) -> bool:
        """Equal values are equal arguments: NaN equals itself, -0.0 differs from 0.0."""
        return isinstance(other, Number) and repr(self.value) == repr(other.value)

    def __hash__(self) -> int:
        return hash(repr(self.value))


@dataclass(frozen=True, slots=True)
class Group:
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class UnionMember:
    index: int
    item: Value


@dataclass(frozen=True, slots=True)
class Text:
    data: bytes
    room: int = 0


@dataclass(frozen=True, slots=True)
class Bytes:
    data: bytes


@dataclass(frozen=True, slots=True)
class Items:
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Null:
    pass


NULL = Null()
Value = Number | Group | UnionMember | Text | Bytes | Items | Null
_KINDS: dict[str, type[Any]] = {
    "group": Group,
    "choice": UnionMember,
    "text": Text,
    "bytes": Bytes,
    "items": Items,
    "null": Null,
}


def plain(value: Value) -> Any:
    """Lists, strings and numbers that JSON can hold; floats as their hexadecimal text, which is exact."""
    if isinstance(value, Number):
        return value.value.hex() if isinstance(value.value, float) else value.value
    if isinstance(value, Group | Items):
        return ["group" if isinstance(value, Group) else "items", *map(plain, value.items)]
    if isinstance(value, UnionMember):
        return ["choice", value.index, plain(value.item)]
    if isinstance(value, Text):
        return ["text", value.data.decode("latin-1"), value.room]
    return ["bytes", value.data.decode("latin-1")] if isinstance(value, Bytes) else ["null"]


def from_plain(data: Any) -> Value:
    """The inverse. Raises ValueError for anything else."""
    try:
        if isinstance(data, str):
            return Number(float.fromhex(data))
        if isinstance(data, int):
            return Number(data)
        kind, *rest = data
        if kind in ("group", "items"):
            items = tuple(map(from_plain, rest))
            return Group(items) if kind == "group" else Items(items)
        if kind == "choice":
            return UnionMember(int(rest[0]), from_plain(rest[1]))
        if kind == "text":
            return Text(rest[0].encode("latin-1"), int(rest[1]))
        if kind == "bytes":
            return Bytes(rest[0].encode("latin-1"))
        if kind == "null":
            return NULL
    except (TypeError, IndexError, AttributeError, UnicodeEncodeError, RecursionError):
        pass
    raise ValueError(f"{data!r} is not an argument")


# -- guest memory ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Region:
    """An object in guest memory that an argument points to. label: as C (`text`, `p->name`); count: elements of `type`;
    size: bytes, without the slack behind it. string: bytes of text."""

    label: str
    address: int
    type: TypeView
    count: int
    size: int
    string: bool = False


@dataclass
class Arena:
    """Guest memory being filled, from `base` on. word: bytes of a pointer."""

    base: int
    word: int
    data: bytearray = field(default_factory=bytearray)
    regions: list[Region] = field(default_factory=list)

    def add(self, label: str, type_: TypeView, count: int, contents: bytes, room: int = 0, string: bool = False) -> int:
        """Places an object; returns its address."""
        self.data += bytes(-len(self.data) % 16)
        address = self.base + len(self.data)
        self.data += contents + bytes(room + SLACK)
        self.regions.append(Region(label, address, type_, count, len(contents) + room, string))
        return address


def encode(type_: TypeView, value: Value, arena: Arena, label: str) -> bytes:
    """The bytes of a value of a type. The objects it points to are placed in the arena. Raises TypeError for a value of another shape, which
    no strategy makes.
    """
    if isinstance(type_, PointerView):
        return _pointer(type_, value, arena, label).to_bytes(type_.size, "little")
    if isinstance(value, Number):
        return number_bytes(type_, value.value)
    if isinstance(type_, ComplexView) and isinstance(value, Group):
        return b"".join(encode(type_.part, item, arena, label) for item in value.items)
    if isinstance(type_, ArrayView) and isinstance(value, Group):
        return b"".join(encode(type_.element, item, arena, f"{label}[{n}]") for n, item in enumerate(value.items))
    if isinstance(type_, StructureView):
        out = bytearray(type_.size)
        for field_, item in members(type_, value):
            put(out, field_, encode(field_.type, item, arena, f"{label}.{field_.name}"))
        return bytes(out)
    if isinstance(type_, OpaqueView) and isinstance(value, Null):
        return bytes(type_.size or arena.word)
    raise TypeError(f"{value!r} is not a {type_.name}")


def members(type_: StructureView, value: Value) -> Iterator[tuple[FieldView, Value]]:
    """The members that a value sets, with their values."""
    if isinstance(value, UnionMember):
        yield type_.fields[value.index], value.item
    elif isinstance(value, Group):
        yield from zip(type_.fields, value.items, strict=True)
    else:
        raise TypeError(f"{value!r} is not a {type_.name}")


def put(out: bytearray, field_: FieldView, data: bytes) -> None:
    """Stores a member, bit-fields into their bits."""
    if field_.bits is None:
        out[field_.offset : field_.offset + len(data)] = data
        return
    first, width = field_.bits
    size = -(-(first + width) // 8)
    mask = (1 << width) - 1
    old = int.from_bytes(out[field_.offset : field_.offset + size], "little")
    new = old & ~(mask << first) | (int.from_bytes(data, "little") & mask) << first
    out[field_.offset : field_.offset + size] = new.to_bytes(size, "little")


def _pointer(type_: PointerView, value: Value, arena: Arena, label: str) -> int:
    target = type_.target
    inner = f"*{label}" if "." not in label else f"*({label})"
    if isinstance(value, Null):
        return 0
    if isinstance(value, Text):
        return arena.add(label, target, len(value.data) + 1 + value.room, value.data + b"\0", value.room, True)
    if isinstance(value, Bytes):
        return arena.add(label, target, len(value.data), value.data)
    if isinstance(value, Items):
        if len(value.items) == 1 and isinstance(target, StructureView):
            return arena.add(label, target, 1, encode(target, value.items[0], arena, f"({inner})"))
        contents = [encode(target, item, arena, f"{label}[{n}]") for n, item in enumerate(value.items)]
        return arena.add(label, target, len(contents), b"".join(contents))
    raise TypeError(f"{value!r} is not a {type_.name or 'pointer'}")


def number_bytes(type_: TypeView, value: int | float) -> bytes:
    """A scalar. Floats that are too large for `float` become infinity, as a C cast makes them."""
    if isinstance(type_, FloatingView):
        number = float(value)
        if type_.size == 8:
            return struct.pack("<d", number)
        if type_.size > 8:
            return extended(number).ljust(type_.size, b"\0")
        try:
            return struct.pack("<f", number)
        except OverflowError:
            return struct.pack("<f", math.copysign(math.inf, number))
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a {type_.name}")
    size = type_.size
    return (value & (1 << 8 * size) - 1).to_bytes(size, "little")


# -- C text ------------------------------------------------------------------------------------------------------------


def c_string(data: bytes) -> str:
    """A string literal. Octal escapes have three digits, so that a digit behind one does not belong to it."""
    special = {0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x09: "\\t", 0x0D: "\\r", 0x3F: "\\?"}
    return '"' + "".join(special.get(b) or (chr(b) if 32 <= b < 127 else f"\\{b:03o}") for b in data) + '"'


def c_number(type_: TypeView, value: int | float) -> str:
    """A constant expression of the type."""
    if isinstance(type_, FloatingView):
        return _c_float(type_, float(value))
    number = int(value)
    if isinstance(type_, EnumerationView):
        for known in type_.values:
            if known.value == number:
                return known.name
        return f"({type_.name}){number}"
    assert isinstance(type_, IntegerView)
    if type_.style == "character" and type_.size == 1 and 32 <= number < 127:
        return f"'{chr(number)}'" if chr(number) not in "'\\" else f"'\\{chr(number)}'"
    suffix = ("" if type_.signed else "u") + ("ll" if type_.size == 8 else "")
    if number == -(1 << 8 * type_.size - 1) and type_.signed and type_.size >= 4:
        return f"(-{-number - 1}{suffix} - 1)"  # C has no negative constants
    return f"{number}{suffix}"


def _c_float(type_: FloatingView, number: float) -> str:
    suffix = {4: "f", 8: ""}.get(type_.size, "l")
    if math.isnan(number):
        return f'__builtin_nan{suffix}("")'
    if math.isinf(number):
        return f"{'-' if number < 0 else ''}__builtin_inf{suffix}()"
    text = repr(number)
    return f"{text}{suffix.upper()}"

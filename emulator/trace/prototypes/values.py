"""Bytes of a value, with its type -> text. Little-endian."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

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

UNKNOWN = "?"
STRING_SHOWN = 64  # characters of a string
_ELEMENTS, _FIELDS, _DEPTH = 8, 16, 2
_LARGEST_FLOAT = (2 - 2**-23) * 2.0**127
_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 92: "\\\\"}

Names = Callable[[int], str]


def _escaped(data: bytes, quote: int) -> str:
    text = []
    for n, byte in enumerate(data):
        if byte in _ESCAPES:
            text.append(_ESCAPES[byte])
        elif byte == quote:
            text.append("\\" + chr(byte))
        elif 32 <= byte < 127:
            text.append(chr(byte))
        else:  # a digit that follows must not be read as part of the escape
            digit = n + 1 < len(data) and 48 <= data[n + 1] < 56
            text.append(f"\\{byte:03o}" if digit else f"\\{byte:o}")
    return "".join(text)


def quoted(data: bytes, cut: bool = False, limit: int = STRING_SHOWN) -> str:
    """Bytes as a C string literal, with `...` behind it if there are more. UTF-8 that is printable stays as it is."""
    shown = data[:limit]
    more = "..." if cut or len(data) > limit else ""
    try:
        text = shown.decode("utf-8")
        if not text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
            inner = "".join(_escaped(c.encode(), 34) if c.isascii() else c for c in text)
            return f'"{inner}"{more}'
    except UnicodeDecodeError:
        pass
    return f'"{_escaped(shown, 34)}"{more}'


def printable(data: bytes) -> bool:
    """Whether this looks like text: it is not empty, and has no control characters but white space."""
    return bool(data) and all(32 <= byte < 127 or 9 <= byte <= 13 or byte >= 0xC2 for byte in data)


def character(value: int) -> str:
    """A character constant; EOF, and a plain number where it is not a character."""
    if value == -1:
        return "EOF"
    if not 0 <= value <= 255:
        return str(value)
    return f"'{_escaped(bytes((value,)), 39)}'"


def integer(type_: IntegerView, value: int) -> str:
    if type_.style == "character":
        return character(value & 0xFF if type_.size == 1 else value)
    if type_.style == "boolean":
        return {0: "false", 1: "true"}.get(value, str(value))
    if type_.style == "octal":
        return f"0{value:o}" if value > 0 else str(value)
    if type_.style == "hexadecimal":
        return hex(value)
    return str(value)


def enumerated(type_: EnumerationView, value: int) -> str:
    """By name; what has none as a number. Flags: fields and bits joined by `|`, the rest in hexadecimal."""
    if not type_.flags:
        return next((v.name for v in type_.values if v.value == value), str(value))
    bits = value & ((1 << 8 * type_.size) - 1)
    rest, seen = bits, 0
    names: list[str] = []
    zero: list[str] = []
    for item in type_.values:
        if bits & item.mask != item.value & ((1 << 8 * type_.size) - 1) or item.mask & seen or not item.mask:
            continue
        seen |= item.mask
        rest &= ~item.mask
        (names if item.value else zero).append(item.name)
    if rest:
        names.append(hex(rest))
    return "|".join(zero + names) or "0"


def floating(data: bytes) -> str:
    """A float (4 bytes), double (8) or x87 extended (10, 12 or 16), with the digits it takes to tell it from its neighbours."""
    if len(data) == 4:
        value = struct.unpack("<f", data)[0]
        return single(value)
    if len(data) == 8:
        return repr(struct.unpack("<d", data)[0])
    mantissa, exponent = struct.unpack_from("<QH", data)
    sign = -1.0 if exponent & 0x8000 else 1.0
    exponent &= 0x7FFF
    if exponent == 0x7FFF:
        return repr(sign * math.inf) if not mantissa << 1 & (1 << 64) - 1 else "nan"
    try:
        value = math.ldexp(mantissa, exponent - 16383 - 63)
    except OverflowError:
        value = math.inf
    if math.isinf(value) or (value == 0 and mantissa):  # out of a double's range
        return f"{'-' if sign < 0 else ''}{hex(mantissa)}p{exponent - 16383 - 63:+d}"
    return repr(sign * value)


def single(value: float) -> str:
    """The shortest decimal that is this float."""
    if abs(value) <= _LARGEST_FLOAT:
        for digits in range(1, 10):
            text = f"{value:.{digits}g}"
            if abs(float(text)) <= _LARGEST_FLOAT and struct.pack("<f", float(text)) == struct.pack("<f", value):
                return repr(float(text))
    return repr(value)


def address(value: int, names: Names) -> str:
    """`NULL`, `0x601040 <table+0x10>`, or the bare address."""
    if not value:
        return "NULL"
    name = names(value)
    return f"{value:#x} <{name}>" if name else f"{value:#x}"


def _number(type_: IntegerView | EnumerationView, data: bytes) -> int:
    return int.from_bytes(data[: type_.size], "little", signed=type_.signed)


def _bit_field(field: FieldView, data: bytes) -> int:
    assert field.bits is not None
    first, width = field.bits
    value = int.from_bytes(data, "little") >> first & ((1 << width) - 1)
    signed = isinstance(field.type, IntegerView | EnumerationView) and field.type.signed
    return value - (1 << width) if signed and width and value >> (width - 1) else value


def _field(field: FieldView, data: bytes, names: Names, depth: int) -> str:
    if field.bits is None:
        return render(field.type, data[field.offset : field.offset + field.type.size], names, depth + 1)
    first, width = field.bits
    raw = data[field.offset : field.offset + -(-(first + width) // 8)]
    if len(raw) * 8 < first + width:
        return UNKNOWN
    value = _bit_field(field, raw)
    if isinstance(field.type, EnumerationView):
        return enumerated(field.type, value)
    return integer(field.type, value) if isinstance(field.type, IntegerView) else str(value)


def structure(type_: StructureView, data: bytes, names: Names, depth: int = 0) -> str:
    """`{x=1, y=2}`. Fields whose names are reserved (`__pad`) are not shown; nor are those behind the bytes that are there."""
    if depth >= _DEPTH:
        return "{...}"
    shown: list[str] = []
    for field in type_.fields:
        if field.name.startswith("__"):
            continue
        end = field.offset + (field.type.size if field.bits is None else -(-sum(field.bits) // 8))
        if end > len(data) or len(shown) == _FIELDS:
            shown.append("...")
            break
        text = _field(field, data, names, depth)
        shown.append(f"{field.name}={text}" if field.name else text)
    return "{" + ", ".join(shown) + "}"


def array(type_: ArrayView, data: bytes, names: Names, depth: int = 0) -> str:
    """`[1, 2, 3]`; arrays of char as strings."""
    element = type_.element
    if isinstance(element, IntegerView) and element.style == "character" and element.size == 1:
        text = data.split(b"\0", 1)[0]
        return quoted(text)
    if depth >= _DEPTH or not element.size:
        return "[...]"
    count = len(data) // element.size
    shown = [
        render(element, data[n * element.size : (n + 1) * element.size], names, depth + 1)
        for n in range(min(count, _ELEMENTS))
    ]
    return "[" + ", ".join(shown + ["..."] * (count > _ELEMENTS)) + "]"


def render(type_: TypeView, data: bytes, names: Names, depth: int = 0) -> str:
    """A value of `type_` from its bytes; `?` if there are too few."""
    if isinstance(type_, StructureView):
        return structure(type_, data, names, depth)
    if isinstance(type_, ArrayView):
        return array(type_, data, names, depth)
    if len(data) < type_.size or not data:
        return UNKNOWN
    if isinstance(type_, IntegerView):
        return integer(type_, _number(type_, data))
    if isinstance(type_, EnumerationView):
        return enumerated(type_, _number(type_, data))
    if isinstance(type_, FloatingView):
        return floating(data[: type_.size])
    if isinstance(type_, ComplexView):
        size = type_.part.size
        real, imaginary = floating(data[:size]), floating(data[size : 2 * size])
        return f"{real}{'' if imaginary.startswith('-') else '+'}{imaginary}i"
    if isinstance(type_, PointerView):
        return address(int.from_bytes(data[: type_.size], "little"), names)
    if isinstance(type_, OpaqueView) and type_.size not in (0, 1, 2, 4, 8):
        return "{...}"
    return hex(int.from_bytes(data, "little"))

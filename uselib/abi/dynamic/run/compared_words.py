"""Which bits of a call's words are compared.

The program's prototypes are used, those of the old version, whichever library is called. A word without a type is not compared, since a
register that no parameter uses may hold any value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from uselib.emulator.trace.prototypes.conventions import Arguments, Parts, Where, in_memory, result_parts
from uselib.emulator.trace.prototypes.type_views import (
    ArrayView,
    FunctionView,
    OpaqueView,
    PointerView,
    Prototype,
    StructureView,
    TypeView,
)
from uselib.linker.image import Machine

Find = Callable[[str], Prototype | None]
WORDS = 11


@dataclass(frozen=True)
class ComparedWords:
    """The words of one function that are compared. values: argument word -> mask of an integer. pointers: argument words that are pointers.
    pointed: argument word -> type of the copied memory. result and result_pointer: the same for the first result word.
    """

    values: dict[int, int]
    pointers: dict[int, TypeView]
    result: int = 0
    result_pointer: TypeView | None = None
    known: bool = True


NOTHING = ComparedWords({}, {}, known=False)


def compared_words(prototype: Prototype | None, machine: Machine) -> ComparedWords:
    """The words that are compared of a function with this prototype."""
    if prototype is None:
        return NOTHING
    values: dict[int, int] = {}
    pointers: dict[int, TypeView] = {}
    places = Arguments(machine, prototype.result)
    if in_memory(prototype.result, machine):
        pointers[0] = prototype.result
    for parameter in prototype.parameters:
        parts = places.next(parameter.type)
        if isinstance(parameter.type, PointerView):
            _pointer_words(parts, parameter.type, pointers)
        else:
            _value_words(parts, parameter.type, values)
    result = prototype.result
    if isinstance(result, PointerView):
        return ComparedWords(values, pointers, 0, result.target)
    mask = 0
    for part in result_parts(result, machine)[:1]:
        if part.where is Where.WORD and not _has_pointer(result):
            mask = (1 << 8 * part.size) - 1
    return ComparedWords(values, pointers, mask)


def _pointer_words(parts: Parts, type_: PointerView, pointers: dict[int, TypeView]) -> None:
    for part in parts:
        index = part.index if part.where is Where.WORD else 6 + part.index // 8 if part.where is Where.STACK else WORDS
        if index < WORDS:
            pointers[index] = type_.target


def _value_words(parts: Parts, type_: TypeView, values: dict[int, int]) -> None:
    if _has_pointer(type_):
        return
    for part in parts:
        if part.where is Where.WORD and part.index < WORDS:
            values[part.index] = (1 << 8 * part.size) - 1
        elif part.where is Where.STACK and part.index % 8 == 0:
            for at in range(0, part.size, 8):
                if 6 + (part.index + at) // 8 < WORDS:
                    values[6 + (part.index + at) // 8] = (1 << 8 * min(8, part.size - at)) - 1


def _has_pointer(type_: TypeView) -> bool:
    if isinstance(type_, StructureView):
        return any(_has_pointer(field.type) for field in type_.fields)
    if isinstance(type_, ArrayView):
        return _has_pointer(type_.element)
    return isinstance(type_, PointerView | FunctionView) or (isinstance(type_, OpaqueView) and not type_.size)


def plain_bytes(type_: TypeView, size: int) -> bytes:
    """A mask: ff for each byte of a value that is data, 00 for pointers and padding. Without a layout all bytes are data."""
    mask = bytearray(size)
    _cover(type_, 0, mask)
    return bytes(mask)


def _cover(type_: TypeView, at: int, mask: bytearray) -> None:
    if isinstance(type_, StructureView):
        for field in type_.fields:
            if field.bits is not None:
                for n in range(-(-sum(field.bits) // 8)):
                    if at + field.offset + n < len(mask):
                        mask[at + field.offset + n] = 0xFF
            else:
                _cover(field.type, at + field.offset, mask)
    elif isinstance(type_, ArrayView):
        for n in range(type_.count):
            if at + n * type_.element.size >= len(mask) or not type_.element.size:
                break
            _cover(type_.element, at + n * type_.element.size, mask)
    elif not _has_pointer(type_):
        size = (
            10 if type_.size in (12, 16) and type(type_).__name__ == "Floating" else type_.size
        )  # x87: the rest is padding
        for n in range(at, min(at + size, len(mask))):
            mask[n] = 0xFF

"""Which bits of a call's words mean something, and when two values count as the same although they differ.

Prototypes are the program's: those of the old version, whichever library is called. A word without a type is not compared: in a
register that no parameter uses lies whatever the code before left there.

Addresses differ between versions for good reasons: text, private data and heap may move. So a pointer counts by where it leads: the
same symbol and offset, the same distance into the stack, or both somewhere on the heap.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from uselib.abi.dynamic.run.bindings import Library
from uselib.emulator.trace.prototypes.conventions import Arguments, Parts, Where, in_memory, result_parts
from uselib.emulator.trace.prototypes.decode import Decoder
from uselib.linker.c_types.value_types import Array, Function, Opaque, Pointer, Prototype, Structure, Type
from uselib.linker.formats.library_names import EMPTY_SUFFIX, plain_name
from uselib.linker.image import Image, Machine

Find = Callable[[str], Prototype | None]
WORDS = 11
_STACK_REACH = 8 << 20


@dataclass(frozen=True)
class Shape:
    """What is compared of one function. values: argument word -> mask of an integer; pointers: argument words that are pointers;
    pointed: argument word -> type of what was copied; result and result_pointer: of the first result word."""

    values: dict[int, int]
    pointers: dict[int, Type]
    result: int = 0
    result_pointer: Type | None = None
    known: bool = True


NOTHING = Shape({}, {}, known=False)


def shape_of(prototype: Prototype | None, machine: Machine) -> Shape:
    """What a prototype lets us compare."""
    if prototype is None:
        return NOTHING
    values: dict[int, int] = {}
    pointers: dict[int, Type] = {}
    places = Arguments(machine, prototype.result)
    if in_memory(prototype.result, machine):
        pointers[0] = prototype.result
    for parameter in prototype.parameters:
        parts = places.next(parameter.type)
        if isinstance(parameter.type, Pointer):
            _pointer_words(parts, parameter.type, pointers)
        else:
            _value_words(parts, parameter.type, values)
    result = prototype.result
    if isinstance(result, Pointer):
        return Shape(values, pointers, 0, result.target)
    mask = 0
    for part in result_parts(result, machine)[:1]:
        if part.where is Where.WORD and not _has_pointer(result):
            mask = (1 << 8 * part.size) - 1
    return Shape(values, pointers, mask)


def _pointer_words(parts: Parts, type_: Pointer, pointers: dict[int, Type]) -> None:
    for part in parts:
        index = part.index if part.where is Where.WORD else 6 + part.index // 8 if part.where is Where.STACK else WORDS
        if index < WORDS:
            pointers[index] = type_.target


def _value_words(parts: Parts, type_: Type, values: dict[int, int]) -> None:
    if _has_pointer(type_):
        return
    for part in parts:
        if part.where is Where.WORD and part.index < WORDS:
            values[part.index] = (1 << 8 * part.size) - 1
        elif part.where is Where.STACK and part.index % 8 == 0:
            for at in range(0, part.size, 8):
                if 6 + (part.index + at) // 8 < WORDS:
                    values[6 + (part.index + at) // 8] = (1 << 8 * min(8, part.size - at)) - 1


def _has_pointer(type_: Type) -> bool:
    if isinstance(type_, Structure):
        return any(_has_pointer(field.type) for field in type_.fields)
    if isinstance(type_, Array):
        return _has_pointer(type_.element)
    return isinstance(type_, Pointer | Function) or (isinstance(type_, Opaque) and not type_.size)


def plain_bytes(type_: Type, size: int) -> bytes:
    """A mask: ff for each byte of a value that is data, 00 for pointers and padding. Without a layout all bytes are data."""
    mask = bytearray(size)
    _cover(type_, 0, mask)
    return bytes(mask)


def _cover(type_: Type, at: int, mask: bytearray) -> None:
    if isinstance(type_, Structure):
        for field in type_.fields:
            if field.bits is not None:
                for n in range(-(-sum(field.bits) // 8)):
                    if at + field.offset + n < len(mask):
                        mask[at + field.offset + n] = 0xFF
            else:
                _cover(field.type, at + field.offset, mask)
    elif isinstance(type_, Array):
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


class Pointers:
    """What an address leads to, on one side."""

    def __init__(self, library: Library, others: list[Image], maps: Sequence[tuple[int, int]]) -> None:
        """others: images that are the same on both sides; maps: what was mapped in the end."""
        self._library, self._maps = library, sorted(tuple(pair) for pair in maps)
        self._low, self._high = library.identity.base, library.identity.end
        self._symbols = sorted(
            ((s.address, s.size or 1, plain_name(s.name)) for s in library.image.symbols if s.name),
            key=lambda row: (row[0], -row[1]),
        )
        self._ranges = [(s.address, s.end) for image in others for s in image.segments]

    def normal(self, word: int, sp: int) -> tuple[str, int]:
        """A region and an offset in it that does not depend on the version."""
        if word == 0:
            return "null", 0
        if self._low <= word < self._high:
            slot = self._library.slot_number(word)
            if slot:
                return "slot", slot
            named = [row for row in self._symbols if row[0] <= word < row[0] + row[1]]
            if named and EMPTY_SUFFIX not in named[-1][2]:
                return named[-1][2], word - named[-1][0]
            return "library", 0
        if any(low <= word < high for low, high in self._ranges):
            return "fixed", word
        if word > sp - _STACK_REACH and word < sp + _STACK_REACH:
            return "stack", word - sp
        at = bisect_right(self._maps, (word, 1 << 64)) - 1
        if at >= 0 and word < self._maps[at][1]:
            return "memory", 0
        return "number", word

    def same(self, other: Pointers, a: tuple[int, int], b: tuple[int, int]) -> bool:
        """a, b: word and stack pointer, of this side and the other."""
        if a == b:
            return True
        return self.normal(*a) == other.normal(*b)


def decoder(machine: Machine, names: Callable[[int], str]) -> Decoder:
    """Shows words as arguments."""
    return Decoder(machine, names)

"""Where arguments and results are: i386 cdecl (i386 psABI 2.2.3) and x86-64 System V (x86-64 psABI 3.2.3).

A value is in parts. WORD n is argument word n of the trace record (4 to 11 of them are recorded): on i386 the stack word at
esp + 4 + 4n, on x86-64 rdi, rsi, rdx, rcx, r8, r9. STACK n is byte n of the arguments on the stack of x86-64, recorded as words
from the seventh on or copied. VECTOR n is xmm n, known only if the recorder copied it (capture.py).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from uselib.emulator.trace.prototypes.type_views import (
    ArrayView,
    ComplexView,
    FloatingView,
    IntegerView,
    OpaqueView,
    PointerView,
    StructureView,
    TypeView,
    VoidView,
)
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import dataclass

REGISTERS = 6  # words of x86-64 before those of the stack


class Where(enum.Enum):
    WORD = "word"
    STACK = "stack"
    VECTOR = "vector"
    X87 = "x87"  # results only: st(n)


@dataclass(frozen=True, slots=True)
class Part:
    """`size` bytes of a value: the low ones of word or register `index`, or those from byte `index` of the stack's."""

    where: Where
    index: int
    size: int


Parts = tuple[Part, ...]


class EightByte(enum.Enum):
    """Classes of eightbytes (psABI 3.2.3)."""

    INTEGER = "INTEGER"
    SSE = "SSE"
    X87 = "X87"
    MEMORY = "MEMORY"


_BYTE = IntegerView("unsigned char", 1, False, 1)


def _leaves(type_: TypeView, offset: int) -> Iterable[tuple[int, TypeView]]:
    """The scalars of a type, with their offsets."""
    if isinstance(type_, StructureView):
        for field in type_.fields:
            if field.bits is not None:  # not unaligned, whatever the type it was declared with
                for n in range(-(-sum(field.bits) // 8)):
                    yield offset + field.offset + n, _BYTE
                continue
            yield from _leaves(field.type, offset + field.offset)
    elif isinstance(type_, ArrayView):
        for n in range(min(type_.count, 64)):  # 16 bytes at most are looked at
            yield from _leaves(type_.element, offset + n * type_.element.size)
    elif isinstance(type_, ComplexView):
        yield offset, type_.part
        yield offset + type_.part.size, type_.part
    else:
        yield offset, type_


def classes(type_: TypeView) -> tuple[EightByte, ...]:
    """The class of each eightbyte of a value on x86-64; (MEMORY,) for one that is passed in memory."""
    if isinstance(type_, FloatingView):
        return (EightByte.X87,) if type_.size == 16 else (EightByte.SSE,)
    if isinstance(type_, ComplexView) and type_.part.size == 16:
        return (EightByte.MEMORY,)
    if isinstance(type_, OpaqueView) and not type_.size:
        return (EightByte.INTEGER,)  # unknown: most likely a word
    if type_.size > 16:
        return (EightByte.MEMORY,)
    found = [EightByte.SSE] * (-(-type_.size // 8))
    for offset, leaf in _leaves(type_, 0):
        if isinstance(leaf, FloatingView) and leaf.size == 16:
            return (EightByte.X87,) if isinstance(type_, StructureView) and type_.size == 16 else (EightByte.MEMORY,)
        alignment = max(leaf.alignment or leaf.size, 1)
        if offset % alignment:
            return (EightByte.MEMORY,)  # unaligned fields
        if not isinstance(leaf, FloatingView):
            for n in range(offset // 8, min(-(-(offset + leaf.size) // 8), len(found))):
                found[n] = EightByte.INTEGER
    return tuple(found)


def in_memory(result: TypeView, machine: Machine) -> bool:
    """Whether the result is written through a pointer that the caller passes as a hidden first argument."""
    if machine is Machine.I386:  # Linux: every struct and union; complex numbers but `float _Complex` (edx:eax)
        return isinstance(result, StructureView | ArrayView) or (
            isinstance(result, ComplexView) and result.part.size > 4
        )
    return isinstance(result, StructureView | ArrayView) and classes(result)[:1] == (EightByte.MEMORY,)


class Arguments:
    """Deals out places, argument by argument, in order. A variadic argument takes the next place like any other."""

    def __init__(self, machine: Machine, result: TypeView | None = None) -> None:
        self._machine = machine
        self._words = self._vectors = self._stack = 0
        if result is not None and in_memory(result, machine):
            self.next(PointerView(VoidView(), machine.word))

    def copy(self) -> Arguments:
        """One that goes on from here."""
        other = Arguments(self._machine)
        other._words, other._vectors, other._stack = self._words, self._vectors, self._stack
        return other

    @property
    def words(self) -> int:
        """The number of the argument word that the next integer or pointer takes, as long as there are words."""
        return self._words + (self._stack // 8 if self._words == REGISTERS else 0)

    def next(self, type_: TypeView) -> Parts:
        return self._next_i386(type_) if self._machine is Machine.I386 else self._next_x86_64(type_)

    def _next_i386(self, type_: TypeView) -> Parts:
        size = type_.size or (4 if isinstance(type_, OpaqueView) else 0)
        parts = []
        for start in range(0, size, 4):
            length = min(4, size - start)
            parts.append(Part(Where.WORD, self._words, length))
            self._words += 1
        return tuple(parts)

    def _next_x86_64(self, type_: TypeView) -> Parts:
        size = type_.size or (8 if isinstance(type_, OpaqueView) else 0)
        if not size:
            return ()
        kinds = classes(type_)
        words = kinds.count(EightByte.INTEGER)
        vectors = kinds.count(EightByte.SSE)
        register = EightByte.MEMORY not in kinds and EightByte.X87 not in kinds
        if register and self._words + words <= REGISTERS and self._vectors + vectors <= 8:
            parts = []
            for n, kind in enumerate(kinds):
                length = min(8, size - 8 * n)
                if kind is EightByte.INTEGER:
                    parts.append(Part(Where.WORD, self._words, length))
                    self._words += 1
                else:
                    parts.append(Part(Where.VECTOR, self._vectors, length))
                    self._vectors += 1
            return tuple(parts)
        alignment = max(type_.alignment or size, 8)
        self._stack = -(-self._stack // alignment) * alignment
        part = Part(Where.STACK, self._stack, size)
        self._stack += -(-size // 8) * 8
        return (part,)


def result_parts(result: TypeView, machine: Machine) -> Parts:
    """Where a result is, in terms of the RETURN record: WORD 0 rax, WORD 1 rdx, VECTOR 0 xmm0 (i386: see X87), X87 0 st0.

    Empty for void, and for results in memory, whose address is in WORD 0.
    """
    if isinstance(result, VoidView) or in_memory(result, machine):
        return ()
    if machine is Machine.I386:
        if isinstance(result, FloatingView):
            return (Part(Where.X87, 0, result.size),)
        size = result.size or 4
        return tuple(Part(Where.WORD, n // 4, min(4, size - n)) for n in range(0, size, 4))
    if isinstance(result, ComplexView) and result.part.size == 16:
        return (Part(Where.X87, 0, 16), Part(Where.X87, 1, 16))
    size = result.size or 8
    counts = {EightByte.INTEGER: 0, EightByte.SSE: 0, EightByte.X87: 0, EightByte.MEMORY: 0}
    registers = {EightByte.INTEGER: Where.WORD, EightByte.SSE: Where.VECTOR, EightByte.X87: Where.X87}
    parts = []
    for n, kind in enumerate(classes(result)):
        length = 16 if kind is EightByte.X87 else min(8, size - 8 * n)
        parts.append(Part(registers.get(kind, Where.STACK), counts[kind], length))
        counts[kind] += 1
    return tuple(parts)


def word_index(parts: Parts) -> int:
    """The argument word that holds a value, if it is in one; else -1."""
    if len(parts) != 1:
        return -1
    if parts[0].where is Where.STACK and not parts[0].index % 8 and parts[0].size <= 8:
        return REGISTERS + parts[0].index // 8
    return parts[0].index if parts[0].where is Where.WORD else -1


def words_needed(parts: Parts) -> int:
    """How many argument words must be recorded to know these parts, as far as words can hold them."""
    return max(
        (
            part.index + 1 if part.where is Where.WORD else REGISTERS + -(-(part.index + part.size) // 8)
            for part in parts
            if part.where in (Where.WORD, Where.STACK)
        ),
        default=0,
    )

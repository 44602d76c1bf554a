"""What a recorder must copy at call time: what pointers point to is gone when the trace is read.

`wanted` is for every recorder; the native one takes its rows as they are. Requests of kind STACK and VECTOR, which it may
leave out, are for arguments that are in no argument word; their payload rows have the word indexes STACK_WORD and VECTOR_WORD.
"""

from __future__ import annotations

import enum

from uselib.emulator.trace.prototypes.conventions import Arguments, Parts, Where, in_memory, word_index, words_needed
from uselib.emulator.trace.prototypes.type_views import PointerView, Prototype, PrototypeParameter, StructureView
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import dataclass

STRING_LIMIT = 256  # bytes of a string that are copied
VARIADIC_LIMIT = 64  # bytes of what a variadic argument points to, should it be a string
BYTES_LIMIT = 128  # bytes of a buffer
STRUCTURE_LIMIT = 512
STACK_WORD = 64  # word index of a payload row: bytes of the stack's arguments, from the first on
VECTOR_WORD = 65  # likewise: the low 8 bytes of xmm0 to xmm7
MOST_WORDS = 11  # argument words that a record can have


class CaptureKind(enum.IntEnum):
    STRING = 1  # up to the first NUL
    BYTES = 2
    STACK = 3
    VECTOR = 4


@dataclass(frozen=True, slots=True)
class Capture:
    """Copy at most `maximum` bytes from where argument word `word` points to. length: argument words whose product is the
    number of bytes that are there, if it is less (copying `maximum` all the same is allowed: the decoder cuts)."""

    word: int
    kind: CaptureKind
    maximum: int
    length: tuple[int, ...] = ()


def _request(parameter: PrototypeParameter, word: int, words: list[int]) -> Capture | None:
    type_ = parameter.type
    if not isinstance(type_, PointerView) or parameter.out or word < 0:
        return None
    if parameter.length:
        counts = tuple(words[n] for n in parameter.length)
        return Capture(word, CaptureKind.BYTES, BYTES_LIMIT, counts if min(counts) >= 0 else ())
    return _pointed(type_, word)


def _pointed(type_: PointerView, word: int) -> Capture | None:
    if type_.string:
        return Capture(word, CaptureKind.STRING, STRING_LIMIT)
    if isinstance(type_.target, StructureView) and 0 < type_.target.size <= STRUCTURE_LIMIT:
        return Capture(word, CaptureKind.BYTES, type_.target.size)
    return None


def wanted(prototype: Prototype, machine: Machine, *, registers: bool = False) -> tuple[Capture, ...]:
    """The strings, buffers and structures to copy when the function is called. registers: also STACK and VECTOR requests."""
    places = Arguments(machine, prototype.result)
    parts = [places.next(parameter.type) for parameter in prototype.parameters]
    words = [word_index(p) for p in parts]
    found = [
        request
        for parameter, word in zip(prototype.parameters, words, strict=True)
        if (request := _request(parameter, word, words)) is not None
    ]
    if prototype.variadic and prototype.format_index >= 0 and prototype.format_kind == "printf":
        # Which of them are strings is not known before the format is read; words that are no addresses cost nothing.
        found += [Capture(word, CaptureKind.STRING, VARIADIC_LIMIT) for word in range(places.words, MOST_WORDS)]
    if registers:
        flat = tuple(part for p in parts for part in p)
        stack = _stack_bytes(flat, machine)
        if stack:
            found.append(Capture(STACK_WORD, CaptureKind.STACK, stack))
        floats = prototype.format_index >= 0 and prototype.variadic and machine is Machine.X86_64
        if floats or any(p.where is Where.VECTOR for p in flat):
            found.append(Capture(VECTOR_WORD, CaptureKind.VECTOR, 64))
    return tuple(found)


def _stack_bytes(parts: Parts, machine: Machine) -> int:
    """How many bytes of the stack to copy: none if argument words can hold all."""
    if words_needed(parts) <= MOST_WORDS:
        return 0
    if machine is Machine.I386:
        return 4 * words_needed(parts)
    return max(p.index + p.size for p in parts if p.where is Where.STACK)


def wanted_words(prototype: Prototype, machine: Machine) -> int:
    """How many argument words to record, 0 to 11: those of the parameters, and of variadic arguments that can be decoded (of a
    format string: as many as there can be; the mode of open(2))."""
    places = Arguments(machine, prototype.result)
    parts = [part for parameter in prototype.parameters for part in places.next(parameter.type)]
    needed = words_needed(tuple(parts))
    if prototype.variadic:
        needed = MOST_WORDS if prototype.format_index >= 0 else needed + 2
    return min(max(needed, int(in_memory(prototype.result, machine))), MOST_WORDS)


def wanted_result(prototype: Prototype) -> tuple[Capture, ...]:
    """What to copy when the function returns: a string or structure that the result (word 0) points to."""
    request = _pointed(prototype.result, 0) if isinstance(prototype.result, PointerView) else None
    return () if request is None else (request,)

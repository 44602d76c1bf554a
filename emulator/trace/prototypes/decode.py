"""Words of a trace record, with what the recorder copied, and a prototype -> text.

What was not recorded is shown as `?`, and variadic arguments whose number is not known as `...`; nothing is guessed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from uselib.emulator.trace.prototypes import values
from uselib.emulator.trace.prototypes.capture import STACK_WORD, VECTOR_WORD
from uselib.emulator.trace.prototypes.conventions import (
    REGISTERS,
    Arguments,
    Part,
    Parts,
    Where,
    in_memory,
    result_parts,
    word_index,
)
from uselib.emulator.trace.prototypes.formats import Conversion, conversions, integer_name, promoted
from uselib.emulator.trace.prototypes.machine_types import BASE_TYPES
from uselib.emulator.trace.prototypes.type_views import (
    EnumerationView,
    FloatingView,
    IntegerView,
    PointerView,
    Prototype,
    PrototypeParameter,
    StructureView,
    TypeView,
    VoidView,
)
from uselib.emulator.trace.prototypes.values import UNKNOWN, Names
from uselib.linker.image import Machine

MORE = "..."
PLAIN_WORDS = 4  # shown of a function without prototype

Payload = Mapping[int, tuple[bytes, bool]]
"""What was copied: argument word -> (bytes, were there more). A string may have its NUL or not."""


@dataclass(frozen=True)
class _Call:
    words: Sequence[int]
    payload: Payload


@dataclass(frozen=True)
class _Plan:
    """Where the arguments and the result of a prototype are: found once, for millions of calls. places: those after the parameters."""

    prototype: Prototype
    parts: list[Parts]
    places: Arguments
    result_in_memory: bool
    result: Parts

    @classmethod
    def of(cls, prototype: Prototype, machine: Machine) -> _Plan:
        places = Arguments(machine, prototype.result)
        parts = [places.next(parameter.type) for parameter in prototype.parameters]
        memory = in_memory(prototype.result, machine)
        return cls(prototype, parts, places, memory, result_parts(prototype.result, machine))


def _unnamed(_: int) -> str:
    return ""


class CallDecoder:
    """Decodes for one machine. names: address -> `symbol+0x10`, or empty if it has no name."""

    def __init__(self, machine: Machine, names: Names = _unnamed, *, string_limit: int = values.STRING_SHOWN) -> None:
        self._machine, self._names, self._limit = machine, names, string_limit
        self._mode = IntegerView("mode_t", 4, False, 4, "octal")
        self._plans: dict[int, _Plan] = {}  # by identity of the prototype, which the plan keeps

    def arguments(self, prototype: Prototype | None, words: Sequence[int], payload: Payload | None = None) -> list[str]:
        """The arguments of a call, each as text, from the words of its CALL record."""
        call = _Call(words, payload or {})
        if prototype is None:
            return [self._plain(n, call) for n in range(min(PLAIN_WORDS, len(words)))]
        plan = self._plan(prototype)
        parts = plan.parts
        shown = [
            self._argument(p, parts[n], call, self._length(p, parts, call)) for n, p in enumerate(prototype.parameters)
        ]
        if prototype.variadic:
            shown += self._variadic(prototype, parts, plan.places.copy(), call)
        return shown

    def _plan(self, prototype: Prototype) -> _Plan:
        found = self._plans.get(id(prototype))
        if found is None:
            found = self._plans[id(prototype)] = _Plan.of(prototype, self._machine)
        return found

    def result(self, prototype: Prototype | None, words: Sequence[int], payload: Payload | None = None) -> str:
        """A function's result, from the words of its RETURN record; empty for void. payload 0: what the result points to."""
        call = _Call(words, payload or {})
        if prototype is None:
            return self._plain(0, call)
        type_ = prototype.result
        if isinstance(type_, VoidView):
            return ""
        plan = self._plan(prototype)
        if plan.result_in_memory:
            copied = call.payload.get(0)
            return values.render(type_, copied[0], self._names) if copied else self._address(words[0])
        parts = plan.result
        if isinstance(type_, FloatingView) and parts[0].where is Where.X87 and self._machine is Machine.I386:
            return self._st0(type_, words)
        data = b"".join(self._result_part(part, words) or b"" for part in parts)
        if len(data) < sum(part.size for part in parts):
            return UNKNOWN
        return self._shown(type_, data, call.payload.get(0), full=True)

    # -- single values -------------------------------------------------------------------------------------------------

    def _plain(self, index: int, call: _Call) -> str:
        copied = call.payload.get(index)
        if copied is not None and values.printable(copied[0].split(b"\0", 1)[0]):
            return self._string(*copied)
        word = call.words[index] & self._mask
        name = self._names(word) if word else ""
        return f"{word:#x} <{name}>" if name else f"{word:#x}"

    @property
    def _mask(self) -> int:
        return (1 << 8 * self._machine.word) - 1

    def _address(self, word: int) -> str:
        return values.address(word & self._mask, self._names)

    def _string(self, data: bytes, cut: bool, precision: int = -1) -> str:
        text, nul, _ = data.partition(b"\0")
        if precision >= 0 and len(text) >= precision:
            return values.quoted(text[:precision], False, self._limit)
        return values.quoted(text, cut and not nul, self._limit)

    def _argument(self, parameter: PrototypeParameter, parts: Parts, call: _Call, length: int = -1) -> str:
        data = self._bytes(parts, call)
        if data is None:
            return UNKNOWN
        copied = None if parameter.out else call.payload.get(word_index(parts))
        if copied is not None and length >= 0 and any(data):
            return values.quoted(copied[0][:length], length > len(copied[0]), self._limit)
        return self._shown(parameter.type, data, copied)

    def _shown(self, type_: TypeView, data: bytes, copied: tuple[bytes, bool] | None, *, full: bool = False) -> str:
        """A value, with what it points to if that was copied. full: a string that is not const too, printable or not."""
        if isinstance(type_, PointerView) and copied is not None and any(data):
            text = copied[0].split(b"\0", 1)[0]
            if type_.string and (type_.const or full or values.printable(text)):
                return self._string(*copied)
            if isinstance(type_.target, StructureView):
                return values.structure(type_.target, copied[0], self._names)
        return values.render(type_, data, self._names)

    def _bytes(self, parts: Parts, call: _Call) -> bytes | None:
        """A value's bytes, if all its parts were recorded."""
        found = b""
        for part in parts:
            data = self._part(part, call)
            if data is None:
                return None
            found += data
        return found or None

    def _part(self, part: Part, call: _Call) -> bytes | None:
        if part.where is Where.VECTOR:
            data = call.payload.get(VECTOR_WORD, (b"", False))[0][8 * part.index : 8 * part.index + part.size]
            return data if len(data) == part.size else None
        if part.where is Where.WORD and part.index < len(call.words):
            return self._word_bytes(call.words[part.index])[: part.size]
        start = part.index if part.where is Where.STACK else self._machine.word * part.index
        data = call.payload.get(STACK_WORD, (b"", False))[0][start : start + part.size]
        if len(data) < part.size and part.where is Where.STACK:
            words = call.words[REGISTERS + start // 8 : REGISTERS + -(-(start + part.size) // 8)]
            data = b"".join(map(self._word_bytes, words))[: part.size]
        return data if len(data) == part.size else None

    def _word_bytes(self, word: int) -> bytes:
        return (word & (1 << 64) - 1).to_bytes(8, "little")

    def _result_part(self, part: Part, words: Sequence[int]) -> bytes | None:
        index = part.index if part.where is Where.WORD else 2 if part.where is Where.VECTOR and part.index == 0 else -1
        if not 0 <= index < len(words):
            return None
        return self._word_bytes(words[index])[: part.size]

    def _st0(self, type_: FloatingView, words: Sequence[int]) -> str:
        """i386: the record has st0 as a double."""
        if len(words) < 3:
            return UNKNOWN
        value = struct.unpack("<d", self._word_bytes(words[2]))[0]
        return values.single(value) if type_.size == 4 and abs(value) < 3.4e38 else repr(value)

    def _integer(self, parts: Parts, call: _Call) -> int | None:
        data = self._bytes(parts, call)
        return None if data is None else int.from_bytes(data, "little")

    def _length(self, parameter: PrototypeParameter, parts: Sequence[Parts], call: _Call) -> int:
        """How many bytes the pointer points to, by `bytes(...)`; -1 if that is not known."""
        total = 1
        for number in parameter.length:
            value = self._integer(parts[number], call)
            if value is None:
                return -1
            total *= value
        return total if parameter.length else -1

    # -- variadic arguments --------------------------------------------------------------------------------------------

    def _variadic(self, prototype: Prototype, parts: Sequence[Parts], places: Arguments, call: _Call) -> list[str]:
        if prototype.format_index >= 0:
            copied = call.payload.get(word_index(parts[prototype.format_index]))
            if copied is None:
                return [MORE]
            return self._formatted(prototype.format_kind, copied, places, call)
        if parts and self._has_mode(prototype.parameters[-1].type, parts[-1], call):
            data = self._bytes(places.next(self._mode), call)
            return [UNKNOWN if data is None else values.render(self._mode, data, self._names)]
        last = prototype.parameters[-1].type if parts else None
        return [] if isinstance(last, EnumerationView) and last.name == "open_flags" else [MORE]

    def _has_mode(self, type_: TypeView, parts: Parts, call: _Call) -> bool:
        """open(2): there is a mode argument if the flags have O_CREAT or O_TMPFILE."""
        if not isinstance(type_, EnumerationView) or type_.name != "open_flags":
            return False
        return bool((self._integer(parts, call) or 0) & 0o20000100)

    def _formatted(self, kind: str, copied: tuple[bytes, bool], places: Arguments, call: _Call) -> list[str]:
        text, nul, _ = copied[0].partition(b"\0")
        shown: list[str] = []
        star = -1  # the value of the last `*`
        for conversion in conversions(text, kind):
            if not conversion.letter:
                return [*shown, MORE]
            if kind == "scanf":
                type_: TypeView = PointerView(VoidView(), self._machine.word)
                shown.append(self._argument(PrototypeParameter("", type_), places.next(type_), call))
                continue
            type_ = promoted(conversion, self._machine)
            parts = places.next(type_)
            shown.append(self._converted(conversion, type_, parts, star, call))
            if conversion.letter == "*":
                star = self._integer(parts, call) or 0
        if copied[1] and not nul:
            shown.append(MORE)
        return shown

    def _converted(self, conversion: Conversion, type_: TypeView, parts: Parts, star: int, call: _Call) -> str:
        """An argument of printf as its conversion shows it."""
        data = self._bytes(parts, call)
        if data is None:
            return UNKNOWN
        if isinstance(type_, PointerView) and type_.string and any(data):
            copied = call.payload.get(word_index(parts))
            if copied is not None:
                precision = star if conversion.precision == -2 else conversion.precision
                return self._string(*copied, precision=precision if precision < 1 << 31 else -1)
        if isinstance(type_, IntegerView):
            return self._number(conversion, data)
        return values.render(type_, data, self._names)

    def _number(self, conversion: Conversion, data: bytes) -> str:
        base = BASE_TYPES[self._machine][integer_name(conversion)]
        assert isinstance(base, IntegerView)
        if conversion.letter in "cC":
            return values.character(
                data[0] if conversion.letter == "c" and not conversion.length else int.from_bytes(data, "little")
            )
        value = int.from_bytes(data[: base.size], "little", signed=base.signed)
        if conversion.letter in "xX":
            return hex(value)
        return f"0{value:o}" if conversion.letter == "o" and value else str(value)

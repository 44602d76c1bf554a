"""C types -> hypothesis strategies of argument values (values.py).

A strategy makes only values that an old program could have passed: lengths fit their buffers, enumerations have named values, pointers point
to an object (unless NULL is allowed), strings end. Small values come first, so that shrinking ends at them. Then come values on which code
often depends: limits of types, and constants in the code of either version (`Hints`).

`arguments(prototype)` raises Refused for a function that cannot be probed: it takes a callback, an object whose contents are not known,
or a variable number of arguments.
"""

from __future__ import annotations

import re
from functools import partial, reduce
from operator import or_
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from uselib.abi.dynamic.probe.hints import Hints
from uselib.abi.dynamic.probe.spec import Refused
from uselib.abi.dynamic.probe.values import NULL, Bytes, Group, Items, Number, Text, UnionMember, Value
from uselib.emulator.trace.prototypes.type_views import (
    ArrayView,
    ComplexView,
    EnumerationView,
    FloatingView,
    FunctionView,
    IntegerView,
    OpaqueView,
    PointerView,
    Prototype,
    PrototypeParameter,
    StructureView,
    TypeView,
    VoidView,
    spelled,
)

_MOST = 12  # elements of an array behind a pointer
_ROOM = 256  # bytes behind a pointer that a function writes to
_DEEPEST = 4
_LENGTH = re.compile(
    r"(n|m|len|length|size|count|num|max|cap|capacity|sz|cnt|nmemb|nbytes|bytes)|.*(_n|len|size|count|_sz)|n_\w+", re.I
)
_OUTPUT = re.compile(r"(out|dst|dest|destination|buf|buffer|result|res|to|target)\w*", re.I)
_TEXTS = (*"|a|0|-1|abc|A| |1.5|0x10|2147483648|%s|/|a/b|..".split("|"), "\n", "\x7f", "\xff")
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 1e300, 2.0**31, 2.0**53, float("inf"), float("-inf"), float("nan"))


def limits(type_: IntegerView | EnumerationView) -> tuple[int, int]:
    """Least and greatest value."""
    bits = 8 * type_.size
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if type_.signed else (0, (1 << bits) - 1)


def boundaries(low: int, high: int) -> list[int]:
    """Values at the edges of types, within the range: 0, +-1, the ends, powers of two and their neighbours."""
    values = {low, low + 1, high, high - 1, 0, 1, -1, 2, 10, 100, 255, 1000}
    for bits in (7, 8, 15, 16, 31, 32, 63):
        values |= {(1 << bits) + d for d in (-1, 0, 1)} | {-(1 << bits) + d for d in (-1, 0, 1)}
    return sorted((v for v in values if low <= v <= high), key=lambda v: (abs(v), v < 0))


class _Types:
    """Strategies of one function's types."""

    def __init__(self, hints: Hints) -> None:
        self.hints = hints

    def of(self, type_: TypeView, where: str, depth: int = 0) -> SearchStrategy[Value]:
        """Raises Refused(where: ...)."""
        if depth > _DEEPEST:
            raise Refused(f"{where} is nested too deeply")
        if isinstance(type_, IntegerView):
            return self.integer(type_, *limits(type_))
        if isinstance(type_, EnumerationView):
            return self._enumeration(type_)
        if isinstance(type_, FloatingView):
            return self.floating(type_)
        if isinstance(type_, ComplexView):
            part = self.floating(type_.part)
            return st.builds(lambda a, b: Group((a, b)), part, part)
        if isinstance(type_, ArrayView):
            element = self.of(type_.element, where, depth + 1)
            return st.lists(element, min_size=type_.count, max_size=type_.count).map(lambda items: Group(tuple(items)))
        if isinstance(type_, StructureView):
            return self._structure(type_, where, depth)
        if isinstance(type_, PointerView):
            return self.pointer(type_, where, depth)
        raise Refused(f"{where} is {_said(type_)}")

    def integer(self, type_: IntegerView, low: int, high: int) -> SearchStrategy[Value]:
        """A number of the range, preferably a boundary or a constant of the code."""
        if type_.style == "boolean":
            low, high = 0, 1
        known = [n for n in self.hints.numbers if low <= n <= high]
        near = max(low, min(0, high)), min(high, max(low, 0) + 64)
        options: list[SearchStrategy[int]] = [st.integers(max(low, near[0] - 16), near[1])]
        if type_.size == 1 and type_.style == "character":
            known += [c for c in b"aAzZ09 \n%/" if low <= c <= high]
        if edges := boundaries(low, high):
            options.append(st.sampled_from(edges))
        if known:
            options.append(st.sampled_from(known))
        options.append(st.integers(low, high))
        return st.one_of(options).map(Number)

    def floating(
        self, type_: FloatingView, low: float | None = None, high: float | None = None
    ) -> SearchStrategy[Value]:
        if low is not None or high is not None:
            return st.floats(low, high, width=64).map(Number)
        known = [float(n) for n in self.hints.numbers if abs(n) < 1 << 53]
        options = [
            st.integers(-8, 64).map(float),
            st.sampled_from([*_FLOATS, *known]),
            st.floats(width=32) if type_.size == 4 else st.floats(),
        ]
        return st.one_of(options).map(Number)

    def _enumeration(self, type_: EnumerationView) -> SearchStrategy[Value]:
        if not type_.values:
            return self.integer(IntegerView(type_.name, type_.size, type_.signed), *limits(type_))
        low, high = limits(type_)
        values = [v.value for v in type_.values if low <= v.value <= high]
        if type_.flags:
            return st.lists(st.sampled_from(values), unique=True, max_size=len(values)).map(
                lambda v: Number(reduce(or_, v, 0))
            )
        return st.sampled_from(values).map(Number)

    def _structure(self, type_: StructureView, where: str, depth: int) -> SearchStrategy[Value]:
        parts = [self._member(f.type, f"{where}.{f.name}", f.bits, depth + 1) for f in type_.fields]
        if type_.union:
            if not parts:
                return st.just(Group(()))
            return st.one_of([part.map(partial(UnionMember, n)) for n, part in enumerate(parts)])
        return st.tuples(*parts).map(Group)

    def _member(self, type_: TypeView, where: str, bits: tuple[int, int] | None, depth: int) -> SearchStrategy[Value]:
        if bits is not None and isinstance(type_, IntegerView | EnumerationView):
            width = bits[1]
            low, high = (-(1 << width - 1), (1 << width - 1) - 1) if type_.signed else (0, (1 << width) - 1)
            return self.integer(IntegerView(type_.name, type_.size, type_.signed), low, high)
        if isinstance(type_, PointerView) and isinstance(type_.target, OpaqueView | VoidView):
            return st.just(NULL)  # the next node of a list, the user's own data: nothing more is known of it
        if isinstance(type_, OpaqueView) and type_.size:
            return st.just(NULL)
        return self.of(type_, where, depth)

    # -- pointers --------------------------------------------------------------------------------------------------

    def pointer(self, type_: PointerView, where: str, depth: int = 0) -> SearchStrategy[Value]:
        """To one object, or a string."""
        return self._or_null(self._target(type_, where, depth))

    def _or_null(self, strategy: SearchStrategy[Value]) -> SearchStrategy[Value]:
        return st.one_of(strategy, st.just(NULL)) if self.hints.null else strategy

    def _target(self, type_: PointerView, where: str, depth: int) -> SearchStrategy[Value]:
        target = type_.target
        if type_.string:
            return self.text(0 if type_.const else _ROOM)
        if isinstance(target, VoidView):
            return self.raw(64)
        if isinstance(target, FunctionView):
            raise Refused(f"{where} is a pointer to a function")
        if isinstance(target, OpaqueView):
            raise Refused(f"{where} points to `{target.name}`, whose members are not known")
        return self.of(target, where, depth + 1).map(lambda item: Items((item,)))

    def text(self, room: int) -> SearchStrategy[Value]:
        """A string that ends, of bytes other than NUL."""
        characters = st.characters(codec="latin-1", exclude_characters="\0")
        known = [*(t.encode("latin-1") for t in _TEXTS), *self.hints.texts]
        options = [st.text(characters, max_size=24).map(lambda text: text.encode("latin-1")), st.sampled_from(known)]
        return st.one_of(options).map(lambda data: Text(data, room))

    def raw(self, size: int) -> SearchStrategy[Value]:
        """Bytes that are drawn, followed by zeroes."""
        return st.binary(max_size=size).map(lambda data: Bytes(data.ljust(size, b"\0")))

    def elements(self, type_: PointerView, where: str, out: bool) -> SearchStrategy[tuple[Value, int]]:
        """Several objects behind a pointer, and their number, for a parameter that gives it."""
        target = type_.target
        if isinstance(target, VoidView) or (isinstance(target, IntegerView) and target.size == 1):
            if out and not type_.const:
                return st.integers(1, 64).map(lambda n: (Bytes(bytes(n)), n))
            return st.one_of(st.binary(max_size=32), st.sampled_from(self.hints.texts or (b"abc",))).map(
                lambda data: (Bytes(data), len(data))
            )
        if isinstance(target, FunctionView | OpaqueView):
            raise Refused(f"{where} is {_said(target)}")
        items = st.lists(self.of(target, where, 1), min_size=1 if out else 0, max_size=_MOST)
        return items.map(lambda found: (Items(tuple(found)), len(found)))


def _said(type_: TypeView) -> str:
    if isinstance(type_, FunctionView):
        return "a function"
    return f"`{spelled(type_)}`, of which nothing is known"


def lengths(prototype: Prototype) -> dict[int, tuple[int, ...]]:
    """Pointer parameters whose number of elements (or of bytes) other parameters give: index -> indexes of the parameters whose product it
    is.

    The source is the declaration (`bytes(n)`), else a guess: the next integer parameter, if it is named like a length or has no name.
    """
    found: dict[int, tuple[int, ...]] = {}
    for number, parameter in enumerate(prototype.parameters):
        if not isinstance(parameter.type, PointerView) or isinstance(parameter.type.target, FunctionView | OpaqueView):
            continue
        if parameter.length:
            found[number] = parameter.length
            continue
        for later in range(number + 1, len(prototype.parameters)):
            other = prototype.parameters[later]
            if isinstance(other.type, IntegerView) and other.type.size > 1:
                if _LENGTH.fullmatch(other.name) or (not other.name and later == number + 1):
                    found[number] = (later,)
                break
            if not isinstance(other.type, PointerView):
                break
    return found


def _output(parameter: PrototypeParameter) -> bool:
    """Whether it is a buffer that is only written, by its declaration or its name."""
    pointer = parameter.type
    return (
        isinstance(pointer, PointerView)
        and not pointer.const
        and (parameter.out or bool(_OUTPUT.fullmatch(parameter.name)))
    )


def arguments(prototype: Prototype, hints: Hints) -> SearchStrategy[tuple[Value, ...]]:
    """All arguments of a call. Raises Refused."""
    if prototype.variadic:
        raise Refused("it takes a variable number of arguments")
    types, sized = _Types(hints), lengths(prototype)
    length_of = {length for group in sized.values() for length in group}
    single: dict[int, SearchStrategy[Value]] = {}
    several: dict[int, SearchStrategy[tuple[Value, int]]] = {}
    for number, parameter in enumerate(prototype.parameters):
        where = f"parameter {number + 1}" + (f" (`{parameter.name}`)" if parameter.name else "")
        type_ = parameter.type
        if number in sized and isinstance(type_, PointerView):
            several[number] = types.elements(type_, where, _output(parameter))
        elif number in length_of:
            continue
        elif parameter.name in hints.ranges:
            single[number] = _ranged(types, type_, where, hints.ranges[parameter.name])
        elif isinstance(type_, PointerView) and _output(parameter) and _bytes(type_.target):
            single[number] = st.just(Bytes(bytes(_ROOM)))
        else:
            single[number] = types.of(type_, where)

    @st.composite
    def build(draw: Any) -> tuple[Value, ...]:
        values: dict[int, Value] = {number: draw(strategy) for number, strategy in single.items()}
        room: dict[int, int] = {}  # length parameter -> its greatest value
        for number, strategy in several.items():
            if hints.null and draw(st.booleans()):
                values[number], count = NULL, 0
            else:
                values[number], count = draw(strategy)
            for length in sized[number]:
                room[length] = min(count, room.get(length, count))
        for group in sized.values():
            if len(group) > 1:  # a product: all but one are 1
                for length in group[:-1]:
                    room[length] = min(room[length], 1)
        for length, most in room.items():
            type_ = prototype.parameters[length].type
            high = min(most, limits(type_)[1]) if isinstance(type_, IntegerView) else most
            low, high = _within(prototype.parameters[length].name, hints, 0, high)
            values[length] = Number(draw(st.one_of(st.just(high), st.integers(low, high))))
        return tuple(values[number] for number in range(len(prototype.parameters)))

    return build()


def _within(name: str, hints: Hints, low: int, high: int) -> tuple[int, int]:
    if name not in hints.ranges:
        return low, high
    first, last = hints.ranges[name]
    low = min(max(low, int(first)), high)
    return low, max(low, min(high, int(last)))


def _bytes(type_: TypeView) -> bool:
    return isinstance(type_, VoidView) or (isinstance(type_, IntegerView) and type_.size == 1)


def _ranged(types: _Types, type_: TypeView, where: str, span: tuple[float, float]) -> SearchStrategy[Value]:
    if isinstance(type_, FloatingView):
        return types.floating(type_, *span)
    if not isinstance(type_, IntegerView | EnumerationView):
        raise Refused(f"{where} is not a number: it has no range")
    least, greatest = limits(type_)
    low, high = max(int(span[0]), least), min(int(span[1]), greatest)
    if low > high:
        raise Refused(f"{where}: no value of its type is between {span[0]:g} and {span[1]:g}")
    return types.integer(IntegerView(type_.name, type_.size, type_.signed), low, high)

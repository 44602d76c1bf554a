"""The last steps of shrinking. hypothesis does not shrink a number that came from a list of special values. Here each integer is moved as
near to 0 as possible, by bisection, and each string loses the bytes that do not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from uselib.abi.dynamic.probe.values import Group, Items, Number, Text, UnionMember, Value
from uselib.emulator.trace.prototypes.type_views import (
    ArrayView,
    IntegerView,
    PointerView,
    Prototype,
    StructureView,
    TypeView,
)

Path = tuple[int, ...]
Arguments = tuple[Value, ...]
_ROUNDS = 3


def shrink(
    prototype: Prototype,
    arguments: Arguments,
    differs: Callable[[Arguments], bool],
    ranges: Mapping[str, tuple[float, float]],
) -> Arguments:
    """Smaller arguments for which `differs` still holds. Lengths only become smaller, so they go on fitting their buffers."""
    for _ in range(_ROUNDS):
        before = arguments
        for number, parameter in enumerate(prototype.parameters):
            if parameter.name in ranges:
                continue
            for path, type_ in _leaves(parameter.type, arguments[number], ()):
                arguments = _leaf(arguments, (number, *path), type_, differs)
        if arguments == before:
            break
    return arguments


def _leaf(arguments: Arguments, path: Path, type_: TypeView, differs: Callable[[Arguments], bool]) -> Arguments:
    value = _get(Group(arguments), path)

    def tried(new: Value) -> Arguments | None:
        candidate = _replaced(Group(arguments), path, new)
        assert isinstance(candidate, Group)
        return candidate.items if differs(candidate.items) else None

    if isinstance(value, Text):
        position = len(value.data) - 1
        while position >= 0:
            shorter = Text(value.data[:position] + value.data[position + 1 :], value.room)
            found = tried(shorter)
            if found is not None:
                arguments, value = found, shorter
            position -= 1
        return arguments
    if not isinstance(value, Number) or not isinstance(value.value, int) or not isinstance(type_, IntegerView):
        return arguments
    return _number(arguments, value.value, tried)


def _number(arguments: Arguments, number: int, tried: Callable[[Value], Arguments | None]) -> Arguments:
    """Bisects between 0, which does not differ, and a number that does."""
    sign = -1 if number < 0 else 1
    low, high = 0, abs(number)
    if not high:
        return arguments
    zero = tried(Number(0))
    if zero is not None:
        return zero
    while high - low > 1:
        middle = (low + high) // 2
        found = tried(Number(sign * middle))
        if found is None:
            low = middle
        else:
            arguments, high = found, middle
    return arguments


def _leaves(type_: TypeView, value: Value, path: Path) -> Iterator[tuple[Path, TypeView]]:
    """Numbers and strings with their types, by their places."""
    if isinstance(value, Number | Text):
        yield path, type_
    elif isinstance(value, UnionMember) and isinstance(type_, StructureView):
        yield from _leaves(type_.fields[value.index].type, value.item, (*path, 0))
    elif isinstance(value, Group) and isinstance(type_, StructureView):
        for n, (field, item) in enumerate(zip(type_.fields, value.items, strict=True)):
            yield from _leaves(field.type, item, (*path, n))
    elif isinstance(value, Group | Items):
        inner = (
            type_.element if isinstance(type_, ArrayView) else type_.target if isinstance(type_, PointerView) else None
        )
        if inner is not None:
            for n, item in enumerate(value.items):
                yield from _leaves(inner, item, (*path, n))


def _get(value: Value, path: Path) -> Value:
    for n in path:
        if isinstance(value, UnionMember):
            value = value.item
        else:
            assert isinstance(value, Group | Items)
            value = value.items[n]
    return value


def _replaced(value: Value, path: Path, new: Value) -> Value:
    if not path:
        return new
    if isinstance(value, UnionMember):
        return UnionMember(value.index, _replaced(value.item, path[1:], new))
    assert isinstance(value, Group | Items)
    items = list(value.items)
    items[path[0]] = _replaced(items[path[0]], path[1:], new)
    return Group(tuple(items)) if isinstance(value, Group) else Items(tuple(items))

"""The conversions of printf and scanf format strings (C11 7.21.6.1, 7.21.6.2; POSIX's `%n$` is not followed)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from uselib.emulator.trace.prototypes.machine_types import BASE_TYPES
from uselib.emulator.trace.prototypes.type_views import PointerView, TypeView
from uselib.linker.image import Machine

_PRINTF = re.compile(rb"%(?:[-+ #0'I]*)(\*|\d+)?(?:\.(\*|-?\d+)?)?(hh|h|ll|l|q|j|z|t|L)?(.)?", re.DOTALL)
_SCANF = re.compile(rb"%(\*)?(\d+)?m?(hh|h|ll|l|q|j|z|t|L)?(\[\^?\]?[^]]*\]|.)?", re.DOTALL)
_SIGNED = {
    "": "int",
    "hh": "signed char",
    "h": "short",
    "l": "long",
    "ll": "long long",
    "q": "long long",
    "j": "long long",
    "L": "long long",
    "z": "long",
    "t": "long",
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """One argument. letter: the conversion, `*` for a width or precision, empty for one that is not known (the last);
    length: the length modifier. precision: -1 if not given, -2 if it is the argument before (`%.*s`)."""

    letter: str
    length: str = ""
    precision: int = -1


def conversions(format_: bytes, kind: str) -> Iterator[Conversion]:
    """The arguments that a format string takes, in order. The first that it does not understand (`%1$d`, one of the
    program's own, a cut one) has an empty letter and is the last."""
    pattern = _SCANF if kind == "scanf" else _PRINTF
    position = 0
    while (position := format_.find(b"%", position)) >= 0:
        match = pattern.match(format_, position)
        assert match is not None  # both patterns match any text behind a %
        position = match.end()
        letter = (match[4] or b"").decode("latin-1")
        if letter == "%":
            continue
        if not letter or letter == "$":
            yield Conversion("")
            return
        length = (match[3] or b"").decode("latin-1")
        if kind == "scanf":
            if not match[1]:
                yield Conversion(letter[0], length)
            continue
        if match[1] == b"*":
            yield Conversion("*")
        precision = -1
        if match[2] == b"*":
            yield Conversion("*")
            precision = -2
        elif match[2]:
            precision = min(int(match[2]), 1 << 20) if len(match[2]) < 10 else 1 << 20
        elif b"." in match[0]:
            precision = 0
        if letter == "m":  # glibc, musl: strerror(errno), takes no argument
            continue
        if letter not in "*diouxXcCsSpnaAeEfFgG":
            yield Conversion("")
            return
        yield Conversion(letter, length, precision)


def promoted(conversion: Conversion, machine: Machine) -> TypeView:
    """The type that the argument of a printf conversion has after the default argument promotions."""
    types = BASE_TYPES[machine]
    letter, length = conversion.letter, conversion.length
    if letter in "spnS":
        return PointerView(types["char" if letter == "s" and not length else "void"], machine.word, letter == "s")
    if letter in "aAeEfFgG":
        return types["long double" if length == "L" else "double"]
    name = {"h": "int", "hh": "int"}.get(length, _SIGNED[length])
    return types[name if letter in "di*cC" else f"unsigned {name}"]


def integer_name(conversion: Conversion) -> str:
    """The integer type that the conversion shows, before promotion: `%hhd` is a signed char."""
    name = _SIGNED[conversion.length]
    if conversion.letter in "di*":
        return name
    return "unsigned char" if name == "signed char" else f"unsigned {name}"

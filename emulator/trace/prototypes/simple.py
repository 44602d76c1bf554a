"""Reads the simple declarations of libc.txt by regular expression, ten times as fast as a C parser: a recorder asks for all of
them at once when it starts. What is not simple (pointers to functions) is left to pycparser; a test compares the two."""

from __future__ import annotations

import re
from collections.abc import Callable

from uselib.emulator.trace.prototypes.type_views import PointerView, Prototype, PrototypeParameter, TypeView

_FUNCTION = re.compile(
    r"(_Noreturn )?([\w ]+?) ?(\**)(\w+)\(([^()]*(?:bytes\([\w*]+\)[^()]*)*)\)(?: (PRINTF|SCANF)\((\d+)\))?;$"
)
_PARAMETER = re.compile(r"(out )?(?:bytes\(([\w*]+)\) )?([\w ]+?) ?((?:\*(?:const )?)*)(\w+)(\[\d*\])?$")

TypeOf = Callable[[list[str], int], TypeView]  # words, pointers that are still followed to structures


def _pointed(type_of: TypeOf, words: list[str], stars: list[str], word: int) -> TypeView:
    """A type with `*`s behind it; stars: the qualifier that stands behind each."""
    const = "const" in words
    type_ = type_of([w for w in words if w != "const"], 1 - len(stars))
    for star in stars:
        type_ = PointerView(type_, word, const)
        const = star == "const"
    return type_


def simple_prototype(line: str, word: int, type_of: TypeOf) -> Prototype | None:
    """The prototype that a line declares, or None if it is not simple. word: bytes of a pointer."""
    match = _FUNCTION.match(line)
    if match is None:
        return None
    noreturn, result, stars, name, text, kind, number = match.groups()
    items = [] if text == "void" else text.split(", ")
    variadic = bool(items) and items[-1] == "..."
    rows = [_PARAMETER.match(item) for item in (items[:-1] if variadic else items)]
    names = [row[5] for row in rows if row]
    parameters = []
    for row in rows:
        if row is None:
            return None
        pointers = re.findall(r"\*(const)?", row[4]) + [""] * (row[6] is not None)
        length = tuple(names.index(count) for count in row[2].split("*")) if row[2] else ()
        parameters.append(
            PrototypeParameter(row[5], _pointed(type_of, row[3].split(), pointers, word), row[1] is not None, length)
        )
    return Prototype(
        name,
        _pointed(type_of, result.split(), [""] * len(stars), word),
        tuple(parameters),
        variadic,
        int(number) - 1 if number else -1,
        kind.lower() if kind else "printf",
        "libc",
        noreturn is not None,
    )

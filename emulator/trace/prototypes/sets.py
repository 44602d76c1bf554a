"""Integers with named values, as libc.txt and users' files declare them:

enum NAME : TYPE { A = 1, B };          one value of several
flags NAME : TYPE { A = 1, B = 2/6 };   bits; VALUE/MASK is for fields of several bits
chars NAME : TYPE;                      a character
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from uselib.emulator.trace.prototypes.type_views import IntegerView, NamedValue, TypeView, enumeration
from uselib.linker.errors import Diagnostic, FormatError

SET = re.compile(r"(enum|flags|chars)\s+(\w+)\s*:\s*([\w\s]+?)\s*(?:\{(.*)\})?\s*;", re.DOTALL)
"""Kind, name, type, body."""
_ITEM = re.compile(r"(\w+)\s*(?:=\s*(-?\w+)\s*(?:/\s*(\w+))?)?$")


def set_type(text: str, where: str, type_of: Callable[[list[str]], TypeView]) -> TypeView:
    """The type that a set declares. type_of: of the words of its TYPE. Raises FormatError(where, what is wrong)."""
    match = SET.match(text)
    assert match is not None
    kind, name, type_name, body = match.groups()
    base = type_of(type_name.split())
    if not isinstance(base, IntegerView):
        raise FormatError(Diagnostic(where, f"`{type_name}` is not an integer type", name))
    if kind == "chars":
        return IntegerView(name, base.size, base.signed, base.alignment, "character")
    values = tuple(_values(kind, name, body or "", where))
    return enumeration(name, base.size, base.signed, values, flags=kind == "flags")


def _values(kind: str, name: str, body: str, where: str) -> Iterator[NamedValue]:
    following = 0
    for text in body.split(","):
        if not text.strip():
            continue
        item = _ITEM.match(text.strip())
        try:
            if item is None:
                raise ValueError
            value = following if item[2] is None else _number(item[2])
            mask = _number(item[3]) if item[3] else value if kind == "flags" else -1
        except ValueError:
            raise FormatError(Diagnostic(where, f"`{text.strip()[:40]}` is not NAME = VALUE", name)) from None
        following = value + 1
        yield NamedValue(item[1], value, mask)


def _number(text: str) -> int:
    """A C integer constant. Raises ValueError."""
    text = text.rstrip("uUlL")
    negative = text.startswith("-")
    digits = text.lstrip("-")
    octal = len(digits) > 1 and digits.startswith("0") and digits.isdigit()
    value = int(digits, 8 if octal else 0)
    return -value if negative else value

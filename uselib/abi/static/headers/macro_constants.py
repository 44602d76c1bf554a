"""Object-like macros with a constant value: values that are compiled into programs and leave no symbol."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from uselib.abi.static.model.facts import Constant
from uselib.linker.c_types.preprocess import Macro

_INTEGER = re.compile(r"\(*\s*([-+~]?)\s*(0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)([uUlL]*)\s*\)*$")
_FLOAT = re.compile(
    r"\(*\s*([-+]?)\s*((?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|0[xX][0-9a-fA-F.]+[pP][-+]?\d+)[fFlL]?\s*\)*$"
)
_STRING = re.compile(r'(?:(?:u8|[LuU])?"(?:\\.|[^"\\\n])*"\s*)+$')
_PIECE = re.compile(r'"((?:\\.|[^"\\\n])*)"')
_WORDS = re.compile(r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\b[A-Za-z_]\w*\b""")
_UNSIGNED = re.compile(r"\b(?:0[xX][0-9a-fA-F]+|\d+)(?:[uU][lL]*|[lL]+[uU])\b")
_WIDE = re.compile(r"\b(?:0[xX][0-9a-fA-F]+|\d+)[uU]?[lL]+[uU]?\b")
_LONGEST = 10_000  # characters of an expansion
_DEEPEST = 64

Expression = Callable[[str], int | None]


def _number(text: str) -> int:
    if len(text) > 1 and text[0] == "0" and text.isdigit():
        return int(text, 8) if not set(text) & {"8", "9"} else 0
    return int(text, 0)


def expanded(body: str, macros: Mapping[str, Macro]) -> str | None:
    """`body` with object-like macros put in; None if function-like ones are left in it, or it has no end."""

    def grown(text: str, busy: frozenset[str], depth: int) -> str | None:
        parts: list[str] = []
        position = total = 0
        for match in _WORDS.finditer(text):
            macro = macros.get(match[0])
            if macro is None or match[0] in busy:
                continue
            if macro.body is None and text[match.end() :].lstrip().startswith("("):
                return None
            if macro.body is None:
                continue
            inner = grown(macro.body, busy | {match[0]}, depth + 1) if depth < _DEEPEST else None
            if inner is None:
                return None
            parts += [text[position : match.start()], inner]
            total += len(inner)
            position = match.end()
            if total > _LONGEST:
                return None
        return "".join(parts) + text[position:]

    return grown(body, frozenset(), 0)


def value_of(text: str, expression: Expression, word: int) -> int | float | str | None:
    """The value of an expanded macro, or None if it has none. word: bytes of a pointer."""
    text = text.strip()
    if not text or text.count("(") != text.count(")"):
        return None
    if match := _INTEGER.match(text):
        number = _number(match[2])
        signed = {"-": -number, "~": ~number}.get(match[1], number)
        return _unsigned(signed, text, word)
    if match := _FLOAT.match(text):
        value = float.fromhex(match[2]) if match[2][:2].lower() == "0x" else float(match[2])
        return -value if match[1] == "-" else value
    if _STRING.match(text):
        return "".join(_PIECE.findall(text))  # escapes as they stand
    if not re.search(r"\d|'|\w", text) or '"' in text:
        return None
    found = expression(text)
    return None if found is None else _unsigned(found, text, word)


def _unsigned(value: int, text: str, word: int) -> int:
    """C's arithmetic with an unsigned operand: `~0U` is 4294967295."""
    if value >= 0 or not _UNSIGNED.search(text) or text.lstrip("( ").startswith(("int", "long", "short")):
        return value
    longest = re.search(r"(?i)ll", text) is not None
    size = (8 if longest else word) if _WIDE.search(text) else 4
    return value & ((1 << 8 * size) - 1)


def constants(
    wanted: Iterable[Macro],
    macros: Mapping[str, Macro],
    expression: Expression,
    word: int,
    expand: Callable[[list[str]], Mapping[str, str]] = lambda names: {},
) -> dict[str, Constant]:
    """Those of the wanted macros that are constants, by name. expand: what the compiler makes of macros that use function-like ones."""
    rows = [macro for macro in wanted if macro.body]  # else a guard, or function-like
    texts = {macro.name: expanded(macro.body or "", macros) for macro in rows}
    texts |= expand([name for name, text in texts.items() if text is None])
    found: dict[str, Constant] = {}
    for macro in rows:
        text = texts[macro.name]
        value = None if text is None else value_of(text, expression, word)
        if value is not None:
            found[macro.name] = Constant(macro.name, value, f"{macro.file}:{macro.line}")
    return found

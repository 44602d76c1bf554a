"""Constant expressions of C declarations: array sizes, widths of bit-fields, values of enumerations."""

from __future__ import annotations

import operator
from collections.abc import Callable

from pycparser import c_ast

from uselib.linker.quick_typing import Any


def _quotient(a: int, b: int) -> int:
    """C's division: towards zero, and exact (`int(a / b)` goes through a double)."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


_BINARY: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "<": lambda a, b: int(a < b),
    ">": lambda a, b: int(a > b),
    "<=": lambda a, b: int(a <= b),
    ">=": lambda a, b: int(a >= b),
    "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
    "&&": lambda a, b: int(bool(a and b)),
    "||": lambda a, b: int(bool(a or b)),
    "<<": lambda a, b: a << min(b, 63),
    ">>": lambda a, b: a >> min(b, 63),
    "/": lambda a, b: _quotient(a, b),
    "%": lambda a, b: a - b * _quotient(a, b),
}
_UNARY: dict[str, Callable[[int], int]] = {
    "-": operator.neg,
    "+": operator.pos,
    "~": operator.invert,
    "!": lambda a: int(not a),
}
_ESCAPES = {"n": 10, "t": 9, "r": 13, "0": 0, "a": 7, "b": 8, "f": 12, "v": 11}


def _constant(text: str) -> int | None:
    if text.startswith("'"):
        inner = text[1:-1]
        if inner.startswith("\\"):
            return _ESCAPES.get(inner[1:], ord(inner[1]) if len(inner) == 2 else None)
        return ord(inner) if len(inner) == 1 else None
    digits = text.rstrip("uUlL")
    try:
        return int(digits, 8) if digits[:1] == "0" and digits.isdigit() else int(digits, 0)
    except ValueError:
        return None


def evaluated(
    node: Any,
    constant: Callable[[str], int | None],
    size_of: Callable[[Any], int | None],
    cast: Callable[[Any, int], int | None] | None = None,
) -> int | None:
    """The value of an expression, or None if it is not a constant known here. `constant`: values of names; `cast`: a value as a
    type (a syntax tree) has it."""

    def value(node: Any) -> int | None:
        if isinstance(node, c_ast.Constant):
            return _constant(node.value)
        if isinstance(node, c_ast.ID):
            return constant(node.name)
        if isinstance(node, c_ast.Cast):
            whole = value(node.expr)
            return whole if whole is None or cast is None else cast(node.to_type, whole)
        if isinstance(node, c_ast.UnaryOp):
            if node.op == "sizeof":
                return size_of(node.expr)
            inner = value(node.expr)
            return None if inner is None or node.op not in _UNARY else _UNARY[node.op](inner)
        if isinstance(node, c_ast.BinaryOp):
            left, right = value(node.left), value(node.right)
            if left is None or right is None or node.op not in _BINARY or (node.op in "/%" and not right):
                return None
            if node.op in ("<<", ">>") and right < 0:
                return None
            return _BINARY[node.op](left, right)
        if isinstance(node, c_ast.TernaryOp):
            condition = value(node.cond)
            return None if condition is None else value(node.iftrue if condition else node.iffalse)
        return None

    result = value(node)
    return result if result is None or -(1 << 63) <= result < 1 << 64 else None

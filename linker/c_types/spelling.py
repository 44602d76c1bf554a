"""Types spelled as C, for the text of findings."""

from __future__ import annotations

from uselib.linker.c_types.types import (
    Array,
    Base,
    Enumeration,
    FunctionType,
    Pointer,
    Qualified,
    Record,
    Typedef,
    TypeId,
    Types,
    Unknown,
    Void,
)

_DEEPEST = 6  # levels of pointers and arrays that are spelled; deeper ones only come from damaged files


def spell(types: Types, number: TypeId, declarator: str = "", depth: int = 0) -> str:
    """The type as C declares it: `const char *`, `int (*)(void *)`, with `declarator` (a name) where C puts it."""
    row = types[number]
    if depth > _DEEPEST:
        return "..."
    match row:
        case Pointer(target, _, kind):
            mark = {"reference": "&", "rvalue_reference": "&&"}.get(kind, "*")
            inner = mark + declarator
            if isinstance(_unqualified(types, target), FunctionType | Array):
                inner = f"({inner})"
            return spell(types, target, inner, depth + 1)
        case Array(element, count):
            return spell(types, element, f"{declarator}[{'' if count is None else count}]", depth + 1)
        case FunctionType(result, _, variadic, convention, prototyped):
            words = [spell(types, parameter.type, parameter.name, depth + 1) for parameter in row.parameters]
            if variadic:
                words.append("...")
            listed = ", ".join(words) or ("void" if prototyped else "")
            head = f"__attribute__(({convention})) " if convention else ""
            return head + spell(types, result, f"{declarator}({listed})", depth + 1)
        case Qualified(qualifier, target):
            word = {"atomic": "_Atomic"}.get(qualifier, qualifier)
            if isinstance(types[target], Pointer):  # char *const p
                return spell(types, target, f"{word} {declarator}".rstrip(), depth + 1)
            return f"{word} {spell(types, target, declarator, depth + 1)}"
        case Typedef(name):
            return _join(name, declarator)
        case Base(name):
            return _join(name, declarator)
        case Record(kind):
            return _join(f"{kind} {_tag(row)}", declarator)
        case Enumeration():
            return _join(f"enum {_tag(row)}", declarator)
        case Unknown():
            return _join("?", declarator)
        case Void():
            return _join("void", declarator)
    return "?"


def _unqualified(types: Types, number: TypeId) -> object:
    row = types[number]
    for _ in range(_DEEPEST):
        if not isinstance(row, Qualified):
            break
        row = types[row.target]
    return row


def _tag(row: Record | Enumeration) -> str:
    return row.name or "{...}"


def _join(word: str, declarator: str) -> str:
    if not declarator:
        return word
    return f"{word} {declarator}" if not declarator.startswith("[") else word + declarator

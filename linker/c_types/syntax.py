"""Questions about pycparser's syntax trees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pycparser import c_ast

from uselib.linker.c_types.value_types import Array, Function, Pointer, Type
from uselib.linker.image import Machine


def position(word: str | int, names: list[str]) -> int:
    if isinstance(word, int):
        return word if 0 <= word < len(names) else -1
    return names.index(word) if word in names else -1


def decayed(type_: Type, machine: Machine) -> Type:
    """A parameter of array or function type is a pointer (C11 6.7.6.3)."""
    if isinstance(type_, Array):
        return Pointer(type_.element, machine.word, name=type_.name)
    if isinstance(type_, Function):
        return Pointer(type_, machine.word)
    return type_


def is_const(node: Any) -> bool:
    while isinstance(node, c_ast.ArrayDecl):
        node = node.type
    return "const" in (getattr(node, "quals", None) or [])


def is_void(node: Any) -> bool:
    return (
        isinstance(node, c_ast.TypeDecl) and isinstance(node.type, c_ast.IdentifierType) and node.type.names == ["void"]
    )


def walk(node: Any, wanted: Any) -> Iterator[Any]:
    stack = [node]
    while stack:
        here = stack.pop()
        if isinstance(here, wanted):
            yield here
        stack.extend(child for _, child in here.children())


def tags(node: Any) -> Iterator[Any]:
    """The structures, unions and enumerations with a name that are defined in a declaration."""
    for found in walk(node, c_ast.Struct | c_ast.Union | c_ast.Enum):
        body = found.values if isinstance(found, c_ast.Enum) else found.decls
        if found.name and body is not None:
            yield found


def enums(node: Any) -> Iterator[Any]:
    return (found for found in walk(node, c_ast.Enum) if found.values is not None)

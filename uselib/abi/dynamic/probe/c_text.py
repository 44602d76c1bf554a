"""Calls as C: declarations, prototypes, and a call with the objects that its arguments point to."""

from __future__ import annotations

from collections.abc import Sequence

from uselib.abi.dynamic.probe.values import (
    Bytes,
    Group,
    Items,
    Null,
    Number,
    Text,
    UnionMember,
    Value,
    c_number,
    c_string,
)
from uselib.emulator.trace.prototypes.type_views import (
    ArrayView,
    ComplexView,
    EnumerationView,
    FloatingView,
    IntegerView,
    PointerView,
    Prototype,
    StructureView,
    TypeView,
    spelled,
)


def declared(type_: TypeView, name: str) -> str:
    """A declaration of `name` as C."""
    if isinstance(type_, ArrayView) and not type_.name:
        return declared(type_.element, f"{name}[{type_.count or ''}]")
    if isinstance(type_, PointerView) and not type_.name and isinstance(type_.target, ArrayView):
        return declared(type_.target, f"(*{name})")
    text = spelled(type_)
    return f"{text}{'' if text.endswith('*') or not name else ' '}{name}"


def prototype_text(prototype: Prototype) -> str:
    """The prototype as C."""
    parameters = ", ".join(declared(p.type, p.name) for p in prototype.parameters) or "void"
    return f"{declared(prototype.result, prototype.name)}({parameters})"


class _Text:
    """Declarations of the objects that arguments point to, and the expressions for them."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def expression(self, type_: TypeView, value: Value, name: str) -> str:
        """An initialiser or argument. The object it points to is declared in `lines`."""
        if isinstance(value, Null):
            return "0" if not isinstance(type_, PointerView) else "NULL"
        if isinstance(value, Number):
            if isinstance(type_, IntegerView | EnumerationView | FloatingView):
                return c_number(type_, value.value)
            return str(value.value)
        if isinstance(value, UnionMember) and isinstance(type_, StructureView):
            field = type_.fields[value.index]
            return f"{{.{field.name} = {self.expression(field.type, value.item, f'{name}_{field.name}')}}}"
        if isinstance(value, Group):
            return self._group(type_, value, name)
        assert isinstance(type_, PointerView)
        return self._pointed(type_, value, name)

    def _group(self, type_: TypeView, value: Group, name: str) -> str:
        if isinstance(type_, StructureView):
            parts = [
                f".{f.name} = {self.expression(f.type, item, f'{name}_{f.name}')}"
                for f, item in zip(type_.fields, value.items, strict=True)
                if not _zero(item)
            ]
            return "{" + (", ".join(parts) or "0") + "}"
        element: TypeView = (
            type_.element if isinstance(type_, ArrayView) else type_.part if isinstance(type_, ComplexView) else type_
        )
        items = list(value.items)
        while items and _zero(items[-1]):
            items.pop()
        inner = ", ".join(self.expression(element, item, f"{name}_{n}") for n, item in enumerate(items))
        return "{" + (inner or "0") + "}"

    def _pointed(self, type_: PointerView, value: Value, name: str) -> str:
        target = type_.target
        if isinstance(value, Text):
            size = str(len(value.data) + 1 + value.room) if value.room else ""
            self.lines.append(f"char {name}[{size}] = {c_string(value.data)};")
            return name
        if isinstance(value, Bytes):
            shown = value.data.rstrip(b"\0")
            initial = c_string(shown) if shown else "{0}"
            self.lines.append(f"char {name}[{max(len(value.data), 1)}] = {initial};")
            return name
        assert isinstance(value, Items)
        texts = [
            self.expression(target, item, f"{name}_{n}" if n else f"{name}_") for n, item in enumerate(value.items)
        ]
        kind = declared(target, "").strip()
        if len(texts) == 1:
            self.lines.append(f"{kind} {name} = {texts[0]};")
            return f"&{name}"
        self.lines.append(f"{kind} {name}[{max(len(texts), 1)}] = {{{', '.join(texts) or '0'}}};")
        return name


def _zero(value: Value) -> bool:
    if isinstance(value, Number):
        return repr(value.value) in ("0", "0.0")
    if isinstance(value, Group):
        return all(map(_zero, value.items))
    return isinstance(value, Null)


def call_text(prototype: Prototype, values: Sequence[Value]) -> list[str]:
    """The call as C: declarations of the objects that its arguments point to, then the call itself."""
    text = _Text()
    expressions = []
    for number, (parameter, value) in enumerate(zip(prototype.parameters, values, strict=True)):
        name = parameter.name or f"argument{number + 1}"
        inner = text.expression(parameter.type, value, name)
        if isinstance(parameter.type, StructureView):
            inner = f"({spelled(parameter.type)}){inner}"
        expressions.append(inner)
    return [*text.lines, f"{prototype.name}({', '.join(expressions)})"]


def one_line(prototype: Prototype, values: Sequence[Value]) -> str:
    """A call as one statement, in a block of its own if it needs declarations."""
    *lines, call = call_text(prototype, values)
    return f"{{ {' '.join(lines)} {call}; }}" if lines else f"{call};"

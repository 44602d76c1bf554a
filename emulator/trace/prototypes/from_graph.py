"""Rows of the type graph (linker/c_types/types.py) -> value types (type_views.py): made when asked for, each once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from uselib.emulator.trace.prototypes.machine_types import base_view
from uselib.emulator.trace.prototypes.type_views import (
    ArrayView,
    EnumerationView,
    FieldView,
    FunctionView,
    NamedValue,
    OpaqueView,
    PointerView,
    StructureView,
    TypeView,
    VoidView,
    enumeration,
    renamed,
)
from uselib.linker.c_types import types as ct
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import dataclass

_MEMBERS = 1024  # of a structure or enumeration that are looked at
_LARGEST_COUNT = 1 << 28  # elements of an array
_DEEPEST = 32  # typedefs and qualifiers around a type


class UnreadableType(Exception):
    """A type of the graph is Unknown; the text says why."""


@dataclass(frozen=True, slots=True)
class ViewHints:
    """What is known beside the graph. named: a value type that takes the place of a typedef's, or None; flags: tags of
    enumerations whose values are joined by `|`."""

    named: Callable[[str], TypeView | None] = lambda name: None
    flags: Collection[str] = ()


class TypeViews:
    """The value types of a graph. rows: may grow; complete: reads the members of a row that is a record or enumeration.

    hints: what is known beside the graph; unknown: the type of rows that are Unknown (None: UnreadableType is raised).

    `pointers` is how many pointers are still followed to structures; beyond them a structure is opaque.
    """

    def __init__(
        self,
        rows: Sequence[ct.Type],
        complete: Callable[[ct.TypeId], None],
        machine: Machine,
        hints: ViewHints | None = None,
        unknown: TypeView | None = None,
    ) -> None:
        self._rows, self._complete, self._machine = rows, complete, machine
        self._hints, self._unknown = hints or ViewHints(), unknown
        self._made: dict[tuple[ct.TypeId, int], TypeView] = {}

    def of(self, number: ct.TypeId, pointers: int = 1) -> TypeView:
        """The value type of a row. Raises UnreadableType."""
        key = number, max(pointers, -1)
        found = self._made.get(key)
        if found is None:
            self._made[key] = OpaqueView(getattr(self._rows[number], "name", "?"))  # a type within itself ends here
            try:
                found = self._made[key] = self._make(number, pointers)
            except BaseException:
                del self._made[key]
                raise
        return found

    def _make(self, number: ct.TypeId, pointers: int) -> TypeView:
        row = self._rows[number]
        match row:
            case ct.Void():
                return VoidView()
            case ct.Base():
                return base_view(row, self._machine)
            case ct.Pointer(_, _, "member"):
                return OpaqueView("pointer to member")
            case ct.Pointer(target):
                return PointerView(self.of(target, pointers - 1), self._machine.word, self._is_const(target))
            case ct.Array(element, count):
                known = count is not None and 0 < count < _LARGEST_COUNT
                return ArrayView(self.of(element, pointers), count if known and count is not None else 0)
            case ct.Record():
                return self._record(number, row, pointers)
            case ct.Enumeration():
                return self._enumeration(number, row)
            case ct.Typedef(name, target):
                return self._hints.named(name) or renamed(self.of(target, pointers), name)
            case ct.Qualified(_, target):
                return self.of(target, pointers)
            case ct.FunctionType():
                return FunctionView()
            case ct.Unknown(reason):
                if self._unknown is None:
                    raise UnreadableType(reason)
                return self._unknown

    def _is_const(self, number: ct.TypeId) -> bool:
        """Whether it is const, perhaps through typedefs and other qualifiers."""
        row = self._rows[number]
        for _ in range(_DEEPEST):
            if isinstance(row, ct.Qualified) and row.qualifier == "const":
                return True
            if not isinstance(row, ct.Qualified | ct.Typedef):
                return False
            row = self._rows[row.target]
        return False

    def _record(self, number: ct.TypeId, row: ct.Record, pointers: int) -> TypeView:
        label = _label("union" if row.kind == "union" else "struct", row.name)
        if pointers < 0:
            return OpaqueView(label)
        self._complete(number)
        completed = self._rows[number]
        if not isinstance(completed, ct.Record):
            return self._make(number, pointers)
        if completed.size is None:
            return OpaqueView(label)
        fields = tuple(self._field(member, min(pointers, 0)) for member in completed.members[:_MEMBERS])
        natural = max((max(f.type.alignment or f.type.size, 1) for f in fields), default=1)
        return StructureView(
            label, completed.size, min(completed.alignment or natural, 16), fields, row.kind == "union"
        )

    def _field(self, member: ct.RecordMember, pointers: int) -> FieldView:
        type_ = self.of(member.type, pointers)
        name = "" if member.name.startswith("<") else member.name  # a base class of C++
        byte, bit = divmod(member.offset, 8)
        return FieldView(name, type_, byte, None if not member.width else (bit, min(member.width, 128)))

    def _enumeration(self, number: ct.TypeId, row: ct.Enumeration) -> TypeView:
        self._complete(number)
        completed = self._rows[number]
        if not isinstance(completed, ct.Enumeration):
            return self._make(number, 0)
        values = tuple(NamedValue(name, value, -1) for name, value in completed.values[:_MEMBERS])
        size = 4 if completed.size is None else completed.size
        flags = True if row.name in self._hints.flags else None
        made: EnumerationView = enumeration(_label("enum", row.name), size, completed.signed, values, flags)
        return made


def _label(kind: str, name: str) -> str:
    return f"{kind} {name}" if name else kind

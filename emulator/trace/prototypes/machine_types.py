"""The value types of C's keywords on the two machines, and of any basic type of the graph."""

from __future__ import annotations

from uselib.emulator.trace.prototypes.type_views import (
    ArrayView,
    ComplexView,
    FloatingView,
    IntegerView,
    OpaqueView,
    TypeView,
    VoidView,
)
from uselib.linker.c_types.base_types import BASE_ROWS, base_alignment, keyword_name
from uselib.linker.c_types.types import VECTOR_OF, Base
from uselib.linker.image import Machine

_STYLES = {"bool": "boolean", "char": "character"}


def _known(name: str, row: Base, machine: Machine) -> TypeView:
    alignment = base_alignment(row, machine)
    if row.encoding == "float":
        return FloatingView(name, row.size, alignment)
    if row.encoding == "complex":
        return ComplexView(name, FloatingView(name.removesuffix(" _Complex"), row.size // 2, alignment))
    return IntegerView(name, row.size, row.signed, alignment, _STYLES.get(row.encoding, "decimal"))


BASE_TYPES: dict[Machine, dict[str, TypeView]] = {
    machine: {"void": VoidView(), **{name: _known(name, row, machine) for name, row in rows.items()}}
    for machine, rows in BASE_ROWS.items()
}
"""By the names of `keyword_name`."""


def base_view(row: Base, machine: Machine) -> TypeView:
    """The value type of a basic type, of C or of another language."""
    known = BASE_TYPES[machine].get(keyword_name(row.name.split()))
    if known is not None and known.size == row.size:
        return known
    size, limit = row.size, 4 if machine is Machine.I386 else 16
    alignment = min(size, limit) or 1
    if row.name.startswith(VECTOR_OF):
        element = BASE_TYPES[machine].get(keyword_name(row.name.removeprefix(VECTOR_OF).split()))
        return (
            ArrayView(element, size // element.size)
            if element is not None and element.size
            else OpaqueView(row.name, size)
        )
    if row.encoding in ("float", "complex"):
        length = size // 2 if row.encoding == "complex" else size
        if length not in (4, 8, 12, 16) or "128" in row.name or row.name.startswith("_Decimal"):
            return OpaqueView(row.name, size, alignment)
        part = FloatingView(row.name, length, min(length, limit))
        return ComplexView(row.name, part) if row.encoding == "complex" else part
    if not size:
        return OpaqueView(row.name)
    style = _STYLES.get(row.encoding, "decimal")
    return IntegerView(row.name, size, row.signed, alignment, style if size == 1 or style == "boolean" else "decimal")

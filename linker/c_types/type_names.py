"""Which declaration declares which tag or type name."""

from __future__ import annotations

from collections.abc import Iterable

from uselib.linker.c_types.units import TopLevelDeclaration
from uselib.linker.quick_dataclass import dataclass


@dataclass(frozen=True)
class TypeNames:
    """The declarations of tags and of type names, and those that may define enumerators."""

    tags: dict[str, TopLevelDeclaration]
    typedefs: dict[str, TopLevelDeclaration]
    with_values: tuple[TopLevelDeclaration, ...] = ()

    @classmethod
    def of(cls, units: Iterable[TopLevelDeclaration]) -> TypeNames:
        listed = list(units)
        tags = {tag: unit for unit in listed for tag in unit.tags()}
        typedefs = {name: unit for unit in listed for name in unit.typedefs()}
        return cls(tags, typedefs, tuple(unit for unit in listed if "enum" in unit.text and "{" in unit.text))

    def over(self, base: TypeNames) -> TypeNames:
        """These, and those of `base` where a name is not among them."""
        both = (*base.with_values, *self.with_values)
        return TypeNames({**base.tags, **self.tags}, {**base.typedefs, **self.typedefs}, both)

"""Entries that refer to another entry for the attributes that both share."""

from __future__ import annotations

from uselib.linker.dwarf import constants as dw
from uselib.linker.dwarf.abbreviations import Abbreviation, Damage
from uselib.linker.dwarf.units import ELSEWHERE, AttributeValues, Information, Unit


def origin_of(
    information: Information, unit: Unit, abbreviation: Abbreviation, values: AttributeValues, body: int
) -> tuple[Unit, Abbreviation, AttributeValues, int]:
    """The entry with a function's name, parameters and result: a body that was also inlined (DW_AT_abstract_origin), or a
    definition apart from its declaration (DW_AT_specification), has them elsewhere."""
    for attribute in (dw.ABSTRACT_ORIGIN, dw.ABSTRACT_ORIGIN, dw.SPECIFICATION):
        at = values.get(attribute)
        if at is None:
            continue
        if at == ELSEWHERE:
            raise Damage("a function's declaration stands in another file (dwz)")
        owner = information.unit_of(at)
        first, found, behind = information.entry(owner, at)
        if first is None or first.tag != dw.SUBPROGRAM:
            raise Damage("a function's declaration is not where it should be")
        own = {key: value for key, value in values.items() if key != attribute}
        if attribute == dw.ABSTRACT_ORIGIN or not abbreviation.children:
            unit, abbreviation, body = owner, first, behind
        values = {**found, **own}
    return unit, abbreviation, values, body

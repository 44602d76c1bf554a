"""Whether two units mean the same record."""

from __future__ import annotations

from uselib.linker.dwarf import constants as dw
from uselib.linker.dwarf.units import ELSEWHERE, AttributeValues, Information, Unit
from uselib.linker.quick_typing import Any


def member_identity(information: Information, unit: Unit, member: AttributeValues) -> tuple[Any, ...]:
    """The facts of a member that are compared to decide whether two units mean the same record. Its type counts by kind and name only."""
    kind: tuple[Any, ...] = ()
    at = member.get(dw.TYPE, ELSEWHERE)
    if at >= 0:
        owner = unit if unit.start <= at < unit.end else information.unit_of(at)
        abbreviation, values, _ = information.entry(owner, at)
        kind = (abbreviation.tag if abbreviation is not None else 0, values.get(dw.NAME))
    where = member.get(dw.DATA_MEMBER_LOCATION, 0)
    bits = member.get(dw.BIT_SIZE), member.get(dw.BIT_OFFSET), member.get(dw.DATA_BIT_OFFSET)
    return (member.get(dw.NAME, ""), where, *bits, *kind)

"""Enumerations: programs have the numbers compiled in."""

from __future__ import annotations

from uselib.abi.static.comparison.compare_records import LayoutChange
from uselib.abi.static.comparison.name_heuristics import is_reserved, is_sentinel
from uselib.abi.static.model.findings import Severity
from uselib.linker.c_types.types import Enumeration


def compare_enumerations(old: Enumeration, new: Enumeration) -> list[LayoutChange]:
    """Values are matched by name; what is left over at one value was renamed."""
    if old.size is None or new.size is None:
        return []
    before, after = dict(old.values), dict(new.values)
    changes = [
        change
        for name in before
        if name in after and before[name] != after[name]
        for change in [_changed(old, name, before, after)]
    ]
    removed = [name for name in before if name not in after]
    added = [name for name in after if name not in before]
    for name in tuple(removed):
        heir = next((other for other in added if after[other] == before[name]), None)
        alias = next(
            (other for other in after if other in before and after[other] == before[other] == before[name]), None
        )
        if heir is not None:
            added.remove(heir)
            removed.remove(name)
            rule = "enumerator-reserved-used" if is_reserved(name) else "enumerator-renamed"
            changes.append(LayoutChange(rule, Severity.COMPATIBLE, f"{name} is now {heir}, still {after[heir]}"))
        elif alias is not None:
            removed.remove(name)
            changes.append(
                LayoutChange(
                    "enumerator-renamed", Severity.COMPATIBLE, f"{name} is gone; {alias} has its value {after[alias]}"
                )
            )
    for name in removed:
        severity = Severity.RISK if _sentinel(old, name) or is_reserved(name) else Severity.BREAKING
        changes.append(LayoutChange("enumerator-removed", severity, f"{name} = {before[name]} was removed"))
    for name in added:
        changes.append(LayoutChange("enumerator-added", Severity.MINOR, f"{name} = {after[name]} was added"))
    if old.size != new.size:
        changes.append(
            LayoutChange("enum-size-changed", Severity.BREAKING, "the size", f"{old.size} bytes", f"{new.size} bytes")
        )
    return changes


def _changed(enumeration: Enumeration, name: str, before: dict[str, int], after: dict[str, int]) -> LayoutChange:
    numbers = f"{name}: {before[name]} became {after[name]}"
    if _sentinel(enumeration, name) and after[name] > before[name]:
        return LayoutChange("enum-sentinel-changed", Severity.RISK, numbers)
    holder = next(
        (
            other
            for other, value in after.items()
            if value == before[name] and other in before and before[other] != value
        ),
        "",
    )
    new = next((other for other, value in after.items() if value == before[name] and other not in before), "")
    if holder and after[name] == before[holder]:
        return LayoutChange("enumerator-changed", Severity.BREAKING, f"{numbers}; {holder} took its place")
    words = f"{numbers}; {before[name]} is now {new or holder}" if new or holder else numbers
    return LayoutChange("enumerator-changed", Severity.BREAKING, words)


def _sentinel(enumeration: Enumeration, name: str) -> bool:
    """Whether the enumerator is the last one and only counts or bounds the others."""
    highest = max((value for _, value in enumeration.values), default=0)
    return is_sentinel(name) and dict(enumeration.values)[name] == highest

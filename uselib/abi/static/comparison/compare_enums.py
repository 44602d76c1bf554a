"""Enumerations: programs have the numbers compiled in."""

from __future__ import annotations

from uselib.abi.static.comparison.layout_changes import LayoutChange
from uselib.abi.static.comparison.name_heuristics import is_reserved, is_sentinel
from uselib.abi.static.model.findings import Severity
from uselib.linker.c_types.types import Enumeration


def compare_enumerations(old: Enumeration, new: Enumeration) -> list[LayoutChange]:
    """Values are matched by name; what is left over at one value was renamed."""
    if old.size is None or new.size is None:
        return []
    before, after = dict(old.values), dict(new.values)
    changes = [_changed(old, name, before, after) for name in before if name in after and before[name] != after[name]]
    removed = [name for name in before if name not in after]
    added = [name for name in after if name not in before]
    changes += _renamed(before, after, removed, added)
    for name in removed:
        severity = Severity.RISK if _sentinel(old, name) or is_reserved(name) else Severity.BREAKING
        changes.append(LayoutChange("enumerator-removed", severity, f"{name} = {before[name]} was removed"))
    for name in added:
        changes.append(LayoutChange("enumerator-added", Severity.MINOR, f"{name} = {after[name]} was added"))
    if old.size != new.size:
        sizes = f"{old.size} bytes", f"{new.size} bytes"
        changes.append(LayoutChange("enum-size-changed", Severity.BREAKING, "the size", *sizes))
    return changes


def _renamed(before: dict[str, int], after: dict[str, int], removed: list[str], added: list[str]) -> list[LayoutChange]:
    """Names that are gone while their value still has one; they are taken out of `removed`, and their new names out of `added`."""
    changes = []
    for name in tuple(removed):
        value = before[name]
        successor = next((other for other in added if after[other] == value), None)
        alias = next((other for other in after if before.get(other) == after[other] == value), None)
        if successor is not None:
            added.remove(successor)
            rule = "enumerator-reserved-used" if is_reserved(name) else "enumerator-renamed"
            words = f"{name} is now {successor}, still {value}"
        elif alias is not None:
            rule, words = "enumerator-renamed", f"{name} is gone; {alias} has its value {value}"
        else:
            continue
        removed.remove(name)
        changes.append(LayoutChange(rule, Severity.COMPATIBLE, words))
    return changes


def _changed(enumeration: Enumeration, name: str, before: dict[str, int], after: dict[str, int]) -> LayoutChange:
    numbers = f"{name}: {before[name]} became {after[name]}"
    if _sentinel(enumeration, name) and after[name] > before[name]:
        return LayoutChange("enum-sentinel-changed", Severity.RISK, numbers)
    names = [other for other, value in after.items() if value == before[name]]  # of the old value, now
    holder = next((other for other in names if other in before and before[other] != before[name]), "")
    new = next((other for other in names if other not in before), "")
    if holder and after[name] == before[holder]:
        return LayoutChange("enumerator-changed", Severity.BREAKING, f"{numbers}; {holder} took its place")
    words = f"{numbers}; {before[name]} is now {new or holder}" if new or holder else numbers
    return LayoutChange("enumerator-changed", Severity.BREAKING, words)


def _sentinel(enumeration: Enumeration, name: str) -> bool:
    """Whether the enumerator is the last one and only counts or bounds the others."""
    highest = max((value for _, value in enumeration.values), default=0)
    return is_sentinel(name) and dict(enumeration.values)[name] == highest

"""Exported data: where it is, how large, of what type, and whether it may be written."""

from __future__ import annotations

from difflib import SequenceMatcher

from uselib.abi.static.comparison import difference_rules
from uselib.abi.static.comparison.context import Comparison
from uselib.abi.static.comparison.name_heuristics import about_release
from uselib.abi.static.comparison.type_differences import TypeDifference
from uselib.abi.static.model.facts import DataFact
from uselib.abi.static.model.findings import Severity
from uselib.abi.static.model.unqualified import unqualified
from uselib.linker.c_types.types import Array, Base, Enumeration, Record, TypeId, Types


def compare_data(check: Comparison) -> None:
    old, new = check.old.data, check.new.data
    matched: set[str] = set()
    for name, datum in old.items():
        if datum.retired:
            continue
        present = new.get(name) or _renamed(check, datum)
        if present is not None:
            matched.add(present.name)
        if present is None or present.retired:
            _gone(check, datum)
            continue
        _compare_place(check, datum, present)
        _compare_contents(check, datum, present)
    for name, datum in new.items():
        if name not in matched and not datum.retired:
            hidden = check.new.public is not None and name not in check.new.public
            severity = Severity.COMPATIBLE if hidden else None
            check.tell(
                "data-added", name, f"{name} was added ({datum.size} bytes)", place=datum.place, severity=severity
            )


def _renamed(check: Comparison, datum: DataFact) -> DataFact | None:
    if not check.fixed:
        return None
    for other in check.new.data.values():
        if other.name in check.old.data or check.place_of(other.address, True) != check.place_of(datum.address, False):
            continue
        alike = SequenceMatcher(None, datum.name, other.name).ratio() > 0.7
        if datum.name in other.former_names or (alike and other.size == datum.size and _same_type(check, datum, other)):
            check.tell(
                "data-renamed", datum.name, f"{datum.name} is now {other.name}, at the same address", place=other.place
            )
            return other
    return None


def _same_type(check: Comparison, old: DataFact, new: DataFact) -> bool:
    if old.type is None or new.type is None:
        return False
    return all(
        difference.severity < Severity.RISK for difference in check.pairs.compare(old.type, new.type).differences
    )


def _gone(check: Comparison, datum: DataFact) -> None:
    name = datum.name
    if name in check.new.functions:
        rule, message = "symbol-kind-changed", f"{name} was data and is now a function"
    else:
        rule, message = "data-removed", f"{name} was removed"
        if check.fixed:
            message += _now_there(check, datum)
    check.tell(rule, name, message, place=datum.place, severity=check.severity_for(name, Severity.BREAKING))


def _now_there(check: Comparison, datum: DataFact) -> str:
    place = check.place_of(datum.address, False)
    for other in check.new.data.values():
        start = check.place_of(other.address, True)
        if other.name != datum.name and start <= place < start + max(other.size, 1):
            inside = f", {place - start} bytes into it" if place > start else ""
            return f"; at its address is now {other.name}{inside}"
    return ""


def _compare_place(check: Comparison, old: DataFact, new: DataFact) -> None:
    name = old.name
    moved = check.fixed and check.place_of(old.address, False) != check.place_of(new.address, True)
    if moved:
        words = f"{name} moved{_now_there(check, old)}"
        severity = check.severity_for(name, Severity.BREAKING)
        check.tell(
            "data-moved",
            name,
            words,
            old=f"{old.address:#x}",
            new=f"{new.address:#x}",
            place=new.place,
            severity=severity,
        )
    explained = _compare_types(check, old, new)
    if not explained and old.size != new.size and old.size and new.size:
        _size(check, old, new)
    if old.writable and new.writable is False and not _constant(check.old.types, old.type):
        _became_constant(check, new, name)
    elif old.type is not None and new.type is not None:
        before, after = _constant(check.old.types, old.type), _constant(check.new.types, new.type)
        if after and not before:
            _became_constant(check, new, name)
        elif before and not after:
            check.tell("data-const-removed", name, f"{name} was constant and can now change", place=new.place)


def _became_constant(check: Comparison, new: DataFact, name: str) -> None:
    severity = check.severity_for(name, Severity.BREAKING)
    check.tell("data-const-added", name, f"{name} is now constant", place=new.place, severity=severity)


def _size(check: Comparison, old: DataFact, new: DataFact) -> None:
    rule = "data-grown" if new.size > old.size else "data-shrunk"
    severity = Severity.BREAKING
    if rule == "data-grown" and check.fixed:
        severity = Severity.RISK  # the library's own storage, not a copy in the program: the old part is where it was
    sizes = f"{old.size} bytes", f"{new.size} bytes"
    words = f"{old.name}: {old.size} bytes became {new.size}"
    severity = check.severity_for(old.name, severity)
    check.tell(rule, old.name, words, old=sizes[0], new=sizes[1], place=new.place, severity=severity)


def _compare_types(check: Comparison, old: DataFact, new: DataFact) -> bool:
    """Whether a difference in size is explained by what was told."""
    if old.type is None or new.type is None:
        return False
    outcome = check.pairs.compare(old.type, new.type)
    check.exported.add_data(old.name, outcome.edges)
    explained = isinstance(_element(check.old.types, old.type), Record) and not outcome.differences
    before, after = check.pairs.words(old.type, new.type)
    words = f"{old.name}: {before} became {after}"
    for difference in outcome.differences:
        severity: Severity | None = check.severity_for(old.name, _severity(difference))
        if difference.kind == "length":
            if old.size != new.size:
                continue  # told by size
            severity = None
        explained |= difference.kind in ("size", "type")
        rule = difference_rules.DATA[difference.kind]
        check.tell(rule, old.name, words, old=before, new=after, place=new.place, severity=severity)
    return explained


def _severity(difference: TypeDifference) -> Severity:
    if difference.kind == "const-removed":
        return Severity.RISK
    return max(difference.severity, difference.called)  # a pointer to a function: either side may call it


def _element(types: Types, number: TypeId) -> object:
    row = unqualified(types, number).row
    for _ in range(20):
        if not isinstance(row, Array):
            break
        row = unqualified(types, row.element).row
    return row


def _constant(types: Types, number: TypeId | None) -> bool:
    """Whether the object itself (of an array: its elements) is const."""
    if number is None:
        return False
    for _ in range(20):
        found = unqualified(types, number)
        if "const" in found.qualifiers:
            return True
        if not isinstance(found.row, Array):
            return False
        number = found.row.element
    return False


def _compare_contents(check: Comparison, old: DataFact, new: DataFact) -> None:
    """A constant whose value changed. Programs read it when they run, so they see the new value."""
    if old.contents is None or new.contents is None or old.size != new.size or old.contents == new.contents:
        return
    if new.writable and not _constant(check.new.types, new.type):
        return
    if old.type is None or not isinstance(_element(check.old.types, old.type), Base | Enumeration):
        return  # pointers differ whenever something moved
    severity = Severity.COMPATIBLE if about_release(old.name) else None
    check.tell("constant-data-changed", old.name, f"{old.name} has another value", place=new.place, severity=severity)

"""Facts that only headers have: types that no exported name leads to (commands passed as `int`, structures passed as `void *`),
calling conventions, which compilers leave out of debug information, and the text of inline functions, which is compiled into programs."""

from __future__ import annotations

import re
from dataclasses import replace

from uselib.abi.static.comparison.compare_enums import compare_enumerations
from uselib.abi.static.comparison.compare_records import compare_records
from uselib.abi.static.comparison.compare_types import TypeComparer
from uselib.abi.static.comparison.context import Comparison
from uselib.abi.static.comparison.layout_changes import LayoutChange, RecordUsage
from uselib.abi.static.comparison.type_differences import TypePairs
from uselib.abi.static.model.facts import Facts
from uselib.abi.static.model.findings import Severity
from uselib.abi.static.model.unqualified import named
from uselib.linker.c_types.types import Enumeration, FunctionType, Record, TypeId

_WORD = re.compile(r"[A-Za-z_]\w*")


def compare_declared(check: Comparison) -> None:
    """To be called after the types that exports lead to were compared."""
    _inlines(check)
    if check.old.record_names is None or check.new.record_names is None:
        return
    old, new = check.old.declared or check.old, check.new.declared or check.new
    if old is not check.old and new is not check.new:
        _conventions(check, old, new)
    pairs = TypeComparer(old.types, new.types, old.machine)
    met = {pair.name for pair in check.exported.types.values()}
    after = dict(named(new.types))
    for name, number in named(old.types):
        if name in met or name not in after or name not in check.old.record_names:
            continue
        subject, changes, place = _compare(pairs, name, number, after[name])
        for change in changes:
            words = f"{subject}: {change.sentence} (no exported name leads to it)"
            severity = change.severity
            check.tell(change.rule, subject, words, old=change.old, new=change.new, place=place, severity=severity)


def _compare(pairs: TypePairs, name: str, old: TypeId, new: TypeId) -> tuple[str, list[LayoutChange], str]:
    before, after = pairs.old[old], pairs.new[new]
    if isinstance(before, Enumeration) and isinstance(after, Enumeration):
        return f"enum {name}", compare_enumerations(before, after), after.place
    if isinstance(before, Record) and isinstance(after, Record):
        changes = compare_records(pairs, before, after, RecordUsage())
        # who allocates it is not known
        changes = [replace(c, severity=Severity.RISK) if c.rule == "member-appended" else c for c in changes]
        return f"{before.kind} {name}", changes, after.place
    return name, [], ""


def _conventions(check: Comparison, old: Facts, new: Facts) -> None:
    told = {finding.subject for finding in check.findings if finding.rule.id == "calling-convention-changed"}
    for name, function in old.functions.items():
        other = new.functions.get(name)
        if other is None or function.type is None or other.type is None or name in told:
            continue
        before, after = old.types.plain(function.type), new.types.plain(other.type)
        if (
            isinstance(before, FunctionType)
            and isinstance(after, FunctionType)
            and before.convention != after.convention
        ):
            first, second = before.convention or "standard", after.convention or "standard"
            words = f"{name}: the calling convention: {first} became {second}"
            check.tell("calling-convention-changed", name, words, old=first, new=second, place=other.place)


def _inlines(check: Comparison) -> None:
    """Old programs run the old text with the new library. That breaks them if the functions that the text calls have changed too."""
    old, new = check.old.inlines or {}, check.new.inlines or {}
    changed = {
        name for finding in check.findings if finding.rule.id == "implementation-changed" for name in finding.through
    }
    for name, text in old.items():
        if name not in new or new[name] == text:
            continue
        called = set(_WORD.findall(text)) & check.old.functions.keys()
        touched = called & changed if called else changed
        words = f"the text of {name}, which is compiled into programs, is another"
        if touched:
            words += f", and so is the machine code of {', '.join(sorted(touched)[:3])}"
        severity = Severity.BREAKING if touched else Severity.RISK
        check.tell("inline-function-changed", name, words, old=text, new=new[name], severity=severity)

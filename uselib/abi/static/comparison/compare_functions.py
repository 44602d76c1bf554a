"""Exported functions: which there are, under which names, and what their types are."""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import pairwise

from uselib.abi.static.comparison.compare_signatures import compare_signatures
from uselib.abi.static.comparison.context import Comparison
from uselib.abi.static.comparison.name_heuristics import is_count, is_many
from uselib.abi.static.comparison.type_differences import SignatureChange
from uselib.abi.static.model.facts import FunctionFact
from uselib.abi.static.model.findings import Severity
from uselib.abi.static.model.unqualified import unqualified
from uselib.linker.c_types.spelling import spell
from uselib.linker.c_types.types import Base, FunctionType, Pointer, TypeId


def compare_functions(check: Comparison) -> None:
    renamed = _compare_presence(check)
    for name, old in check.old.functions.items():
        new = check.new.functions.get(renamed.get(name, name))
        if new is None or new.retired or old.retired:
            continue
        _compare_types(check, old, new)
        _compare_interposition(check, old, new)
    _compare_code(check, renamed)


def _compare_presence(check: Comparison) -> dict[str, str]:
    """Tells what was removed, added and renamed; gives the renamed functions' new names."""
    old, new = check.old.functions, check.new.functions
    at_address = {}
    if check.fixed:
        at_address = {check.place_of(f.address, True): f for f in new.values() if f.address and not f.retired}
    renamed: dict[str, str] = {}
    for name, function in old.items():
        present = new.get(name)
        if not function.retired and (present is None or present.retired):
            successor = at_address.get(check.place_of(function.address, False)) if check.fixed else None
            if successor is None or name in check.new.data:
                _without_successor(check, name, function, present)
            elif _has_successor(check, name, function, present, successor):
                renamed[name] = successor.name
    known = {name for name, function in old.items() if not function.retired} | set(renamed.values())
    for name, function in new.items():
        if name not in known and not function.retired:
            _added(check, name, function)
    return renamed


def _without_successor(check: Comparison, name: str, function: FunctionFact, present: FunctionFact | None) -> None:
    """A function that is gone, while no other has its slot."""
    if name in check.new.data:
        _gone(check, function, None, "")
    elif check.fixed or not _version_moved(check, function):
        _gone(check, function, present, "")


def _has_successor(
    check: Comparison, name: str, function: FunctionFact, present: FunctionFact | None, successor: FunctionFact
) -> bool:
    """A function that is gone, whose slot leads to another one. True: it is the same function under another name."""
    if successor.name in check.old.functions:
        _gone(check, function, present, f"; its slot now leads to {successor.name}")
        return False
    if name in successor.former_names:
        words = f"{name} is now {successor.name}, in the same slot"
        check.tell("function-renamed", name, words, place=successor.place)
        return True
    return _tell_successor(check, function, successor)


def _added(check: Comparison, name: str, function: FunctionFact) -> None:
    hidden = check.new.public is not None and name not in check.new.public
    words = f"function {name} was added" + (f" in slot {function.slot}" if function.slot else "")
    check.tell("function-added", name, words, place=function.place, severity=Severity.COMPATIBLE if hidden else None)


def _gone(check: Comparison, function: FunctionFact, present: FunctionFact | None, suffix: str) -> None:
    name = function.name
    if present is not None:
        kind, message = "function-retired", f"{name} was retired: its slot traps"
    elif name in check.new.data:
        kind, message = "symbol-kind-changed", f"{name} was a function and is now data"
    else:
        kind, message = "function-removed", f"function {name} was removed"
    slot = f" (slot {function.slot})" if function.slot else ""
    check.tell(
        kind, name, message + slot + suffix, place=function.place, severity=check.severity_for(name, Severity.BREAKING)
    )


def _tell_successor(check: Comparison, old: FunctionFact, new: FunctionFact) -> bool:
    """The slot of a function that is gone leads to one that was not there: perhaps the same function under another name. True: it is."""
    words = f"slot {old.slot or new.slot} was {old.name} and is now {new.name}"
    same_code = bool(old.code) and old.code == new.code
    same_type = _same_type(check, old, new)
    alike = SequenceMatcher(None, old.name, new.name).ratio() > 0.7
    if same_type and (same_code or (old.size and old.size == new.size and alike and not (old.code and new.code))):
        check.tell("function-renamed", old.name, words + ", with the same code", place=new.place)
        return True
    check.tell(
        "slot-reused", old.name, words, place=new.place, severity=check.severity_for(old.name, Severity.BREAKING)
    )
    return False


def _same_type(check: Comparison, old: FunctionFact, new: FunctionFact) -> bool:
    before, after = _function_type(check, old, False), _function_type(check, new, True)
    if before is None or after is None:
        return True  # not known to differ
    changes, _ = compare_signatures(check.pairs, before, after)
    return all(change.severity < Severity.RISK for change in changes)


def _version_moved(check: Comparison, old: FunctionFact) -> bool:
    """A symbol of a .so that is only under another version now: told by compare_versions."""
    base = old.name.split("@")[0]
    return bool(old.symbol_version) and any(f.name.split("@")[0] == base for f in check.new.functions.values())


def _function_type(check: Comparison, function: FunctionFact, new: bool) -> FunctionType | None:
    if function.type is None:
        return None
    row = unqualified((check.new if new else check.old).types, function.type).row
    return row if isinstance(row, FunctionType) else None


def _compare_types(check: Comparison, old: FunctionFact, new: FunctionFact) -> None:
    before, after = _function_type(check, old, False), _function_type(check, new, True)
    if before is None or after is None or old.type is None or new.type is None:
        return
    changes, edges = compare_signatures(check.pairs, before, after)
    check.exported.add_function(old.name, edges, _counted(check, before), _indexed(check, before))
    same_code = bool(old.code) and old.code == new.code
    declarations = spell(check.old.types, old.type, old.name), spell(check.new.types, new.type, new.name)
    for change in changes:
        check.tell(
            change.kind,
            old.name,
            f"{old.name}: {_sentence(change)}",
            old=declarations[0],
            new=declarations[1],
            place=new.place or old.place,
            severity=_severity(check, old.name, change, same_code),
        )


def _counted(check: Comparison, function: FunctionType) -> bool:
    """Whether a parameter like `int *count` takes the number of objects."""
    types = check.old.types
    for parameter in function.parameters:
        row = types.plain(parameter.type)
        if isinstance(row, Pointer) and is_count(parameter.name):
            target = types.plain(row.target)
            if isinstance(target, Base) and target.size > 1:
                return True
    return False


def _indexed(check: Comparison, function: FunctionType) -> set[TypeId]:
    """Records of which it takes arrays: `sum(const struct item *items, int count)`."""
    types = check.old.types
    found = set()
    for parameter, following in pairwise(function.parameters):
        row = types.plain(parameter.type)
        if isinstance(row, Pointer) and is_many(following.name) and isinstance(types.plain(following.type), Base):
            found.add(unqualified(types, row.target).number)
    return found


def _sentence(change: SignatureChange) -> str:
    return (
        f"{change.words}: {change.old} became {change.new}" if change.old and change.old != change.new else change.words
    )


def _severity(check: Comparison, name: str, change: SignatureChange, same_code: bool) -> Severity:
    severity = change.severity
    if same_code and change.declared:  # only the declaration changed: what runs is the same
        severity = min(severity, Severity.RISK)
    return check.severity_for(name, severity)


def _compare_interposition(check: Comparison, old: FunctionFact, new: FunctionFact) -> None:
    """Whether programs can replace the function, and the address of its pointer: start-up of an old program writes to the old address."""
    name = old.name
    if old.interposable and not new.interposable:
        check.tell("interposition-removed", name, f"{name} can no longer be replaced by a program")
    elif new.interposable and not old.interposable:
        check.tell("interposition-added", name, f"{name} can now be replaced by a program")
    elif old.pointer and new.pointer and check.place_of(old.pointer, False) != check.place_of(new.pointer, True):
        words = f"the pointer to the program's {name} moved"
        check.tell("interposition-pointer-moved", name, words, old=f"{old.pointer:#x}", new=f"{new.pointer:#x}")


def _compare_code(check: Comparison, renamed: dict[str, str]) -> None:
    """One finding for all functions whose machine code is another. Only a run can tell what the new code does."""
    changed = []
    for name, old in check.old.functions.items():
        new = check.new.functions.get(renamed.get(name, name))
        if new is not None and old.code and new.code and old.code != new.code and not new.retired:
            changed.append(name)
    if changed:
        count = f"{len(changed)} functions" if len(changed) > 1 else changed[0]
        check.tell(
            "implementation-changed",
            "implementation",
            f"the machine code of {count} is another",
            through=tuple(sorted(changed)),
        )

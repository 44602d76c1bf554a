"""The addresses that programs are bound to: slots, the jump table, the library's base and size."""

from __future__ import annotations

from uselib.abi.static.comparison.context import Comparison
from uselib.abi.static.model.facts import FunctionFact
from uselib.abi.static.model.findings import Severity


def compare_slots(check: Comparison) -> None:
    """Functions of fixed-address libraries that are at another address than the one programs jump to."""
    if not check.fixed:
        return
    moved = [pair for pair in _common(check) if _moved(check, *pair)]
    if not moved:
        return
    if len(moved) > 1 and all(old.slot and old.slot == new.slot for old, new in moved):
        old, new = moved[0]
        words = f"all slots moved: slot {old.slot} was at {old.address:#x} and is at {new.address:#x}"
        addresses = f"{old.address:#x}", f"{new.address:#x}"
        through = tuple(sorted(old.name for old, _ in moved))
        check.tell("jump-table-moved", "jump table", words, old=addresses[0], new=addresses[1], through=through)
        return
    holders = {check.place_of(f.address, True): f for f in check.new.functions.values()}
    for old, new in moved:
        holder = holders.get(check.place_of(old.address, False))
        swapped = holder is not None and _swapped(check, holder, new)
        if swapped and holder is not None:
            rule, words = (
                "slots-swapped",
                f"{old.name} and {holder.name} changed slots: slot {old.slot} is now {holder.name}",
            )
        else:
            rule = "slot-moved"
            words = f"{old.name} moved from {_where(old)} to {_where(new)}; {_where(old)} {_now(check, old, holder)}"
        severity = check.severity_for(old.name, Severity.BREAKING)
        check.tell(rule, old.name, words, old=_where(old), new=_where(new), place=new.place, severity=severity)


def _common(check: Comparison) -> list[tuple[FunctionFact, FunctionFact]]:
    functions = check.new.functions
    return [
        (old, functions[name])
        for name, old in check.old.functions.items()
        if name in functions
        and old.address
        and functions[name].address
        and not functions[name].retired
        and not old.retired
    ]


def _moved(check: Comparison, old: FunctionFact, new: FunctionFact) -> bool:
    if check.place_of(old.address, False) == check.place_of(new.address, True):
        return False
    # a function may have several slots: the old one may still lead to it
    return not (old.slot and old.slot != new.slot and check.new.slots.get(old.slot) == old.name)


def _swapped(check: Comparison, holder: FunctionFact, new: FunctionFact) -> bool:
    before = check.old.functions.get(holder.name)
    return before is not None and check.place_of(before.address, False) == check.place_of(new.address, True)


def _where(function: FunctionFact) -> str:
    return f"slot {function.slot}" if function.slot else f"{function.address:#x}"


def _now(check: Comparison, old: FunctionFact, holder: FunctionFact | None) -> str:
    if holder is not None:
        return f"is now {holder.name}"
    name = check.new.slots.get(old.slot)
    return f"is now {name}" if name else "is empty"

"""Gives each function its slot: the one it had, the empty one that has its name, the one that #branch says, or a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from uselib.linker.errors import Diagnostic, Diagnostics, LinkError
from uselib.linker.library import jump_table
from uselib.linker.library.releases.history import History, SlotRecord, SlotState
from uselib.linker.library.releases.names import MatchedNames
from uselib.linker.library.releases.rules import ReleaseStep
from uselib.linker.library.specification import Specification
from uselib.linker.quick_dataclass import dataclass, field, replace


@dataclass
class _OldSlots:
    """The slots of the release before, by number: those that a function keeps (its present name), the empty and the retired ones."""

    kept: dict[int, str] = field(default_factory=dict)
    empty: dict[int, SlotRecord] = field(default_factory=dict)
    retired: dict[int, SlotRecord] = field(default_factory=dict)


def number_slots(
    step: ReleaseStep, names: MatchedNames, functions: Set[str], spec: Specification
) -> tuple[SlotRecord, ...]:
    """Every slot of the release. Raises LinkError: #branch contradicts the release before, or the table is full."""
    old = step.inherited
    before = old.slots if old is not None else ()
    slots = _old_slots(before, step, names, functions)
    if old is not None:
        _check_branch(step, old, slots, spec)
    kept = slots.kept | _filled(slots, functions, spec)
    fixed = {name: numbers for name, numbers in spec.branch.items() if name not in kept.values()}
    _, names_of, count = jump_table.numbering(functions, fixed, max(len(before), spec.slot_count), kept)
    if count > jump_table.LARGEST:
        raise LinkError(
            Diagnostic(
                step.where,
                f"{count} slots are more than the {jump_table.LARGEST} that a table may have",
                remedy="take a new major version with --renumber, or put the new functions into a library of their own",
            )
        )
    records = []
    for number in range(1, count + 1):
        was = before[number - 1] if number <= len(before) else None
        if number in names_of:
            records.append(_since(SlotRecord(number, SlotState.FUNCTION, step.version, names_of[number]), was))
        elif number in slots.retired:
            records.append(slots.retired[number])
        else:
            known = slots.empty.get(number)
            name = spec.empty.get(number) or (known.name if known is not None else "")
            records.append(_since(SlotRecord(number, SlotState.EMPTY, step.version, name), was))
    return tuple(records)


def _old_slots(before: Sequence[SlotRecord], step: ReleaseStep, names: MatchedNames, functions: Set[str]) -> _OldSlots:
    result = _OldSlots()
    for slot in before:
        if slot.state is SlotState.EMPTY:
            result.empty[slot.number] = slot
        elif slot.state is SlotState.FUNCTION and slot.name in names.new_name:
            result.kept[slot.number] = names.new_name[slot.name]
        elif slot.state is SlotState.FUNCTION:
            result.retired[slot.number] = replace(slot, state=SlotState.RETIRED, since=step.version)
        elif slot.name in names.back & functions:
            result.kept[slot.number] = slot.name
        else:
            result.retired[slot.number] = slot
    return result


def _filled(slots: _OldSlots, functions: Set[str], spec: Specification) -> dict[int, str]:
    """The empty slots whose functions this release has."""
    taken = set(slots.kept.values()) | spec.branch.keys()
    filled: dict[int, str] = {}
    for number, slot in slots.empty.items():
        if slot.name in functions and slot.name not in taken:
            filled[number] = slot.name
            taken.add(slot.name)
    return filled


def _since(record: SlotRecord, was: SlotRecord | None) -> SlotRecord:
    """The record with the release since which the slot has its state. An empty slot may get another name and keeps its release."""
    if was is None or was.state is not record.state:
        return record
    if record.state is SlotState.FUNCTION and was.name != record.name:
        return record
    return replace(record, since=was.since)


def _shown(numbers: Sequence[int]) -> str:
    return f"slot {numbers[0]}" if len(numbers) == 1 else f"slots {', '.join(map(str, numbers))}"


def _numbers_of(kept: Mapping[int, str]) -> dict[str, tuple[int, ...]]:
    """Function -> its slots, ascending."""
    result: dict[str, tuple[int, ...]] = {}
    for number in sorted(kept):
        result[kept[number]] = (*result.get(kept[number], ()), number)
    return result


def _check_branch(step: ReleaseStep, old: History, slots: _OldSlots, spec: Specification) -> None:
    """#branch may repeat old numbers and number new functions, nothing else. Raises LinkError naming both sides."""
    problems = Diagnostics()
    remedy = "or leave the line out" if not step.major else "leave the line out, or --renumber"
    numbers_of = _numbers_of(slots.kept)
    for name, numbers in spec.branch.items():
        where = spec.branch_where.get(name, spec.where)
        if name not in numbers_of:
            _check_new(name, numbers, where, old, slots, remedy, problems)
        elif numbers != numbers_of[name]:
            known = _shown(numbers_of[name])
            problems.add(
                where,
                f"#branch gives it {_shown(numbers)}, and {old.file_name} has it in {known}",
                symbol=name,
                remedy=f"write {known}, {remedy}",
            )
    for number in spec.empty:
        if number in slots.kept:
            owner = slots.kept[number]
            problems.add(
                spec.where,
                f"#branch leaves slot {number} empty, which is {owner}'s in {old.file_name}",
                remedy=f"give it to {owner}, {remedy}",
            )
    problems.raise_if_any()


def _check_new(
    name: str, numbers: Sequence[int], where: str, old: History, slots: _OldSlots, remedy: str, problems: Diagnostics
) -> None:
    """A new function may not take a slot that another one has or had."""
    for number in numbers:
        if number in slots.kept:
            owner, now = old.slots[number - 1].name, slots.kept[number]
            known = owner if owner == now else f"{owner} (now {now})"
            what = f"which is {known}'s in {old.file_name}"
        elif number in slots.retired:
            gone = slots.retired[number]
            what = f"which was {gone.name}'s until {gone.since} and is never used again"
        else:
            continue
        problems.add(
            where,
            f"#branch gives it slot {number}, {what}",
            symbol=name,
            remedy=f"number new functions behind the old ones, {remedy}",
        )

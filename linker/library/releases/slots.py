"""Which slot each function has: the one it had, the empty one that has its name, the one that #branch says, or a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from uselib.linker.errors import Diagnostic, Diagnostics, LinkError
from uselib.linker.library import jump_table
from uselib.linker.library.releases.history import History, SlotRecord, SlotState
from uselib.linker.library.releases.names import Names
from uselib.linker.library.releases.rules import Step
from uselib.linker.library.specification import Specification


def number_slots(step: Step, names: Names, functions: Set[str], spec: Specification) -> tuple[SlotRecord, ...]:
    """Every slot of the release. Raises LinkError: #branch says otherwise than the release before, or the table is full."""
    old = step.ground
    before = old.slots if old is not None else ()
    retired: dict[int, SlotRecord] = {}
    empty: dict[int, SlotRecord] = {}
    kept: dict[int, str] = {}
    for slot in before:
        now = names.new_name.get(slot.name) if slot.state is SlotState.FUNCTION else None
        if slot.state is SlotState.RETIRED and slot.name in names.back & functions:
            now = slot.name
        if now is not None:
            kept[slot.number] = now
        elif slot.state is SlotState.EMPTY:
            empty[slot.number] = slot if slot.state is SlotState.EMPTY else replace(slot, name="")
        else:
            retired[slot.number] = replace(slot, state=SlotState.RETIRED,
                                           since=slot.since if slot.state is SlotState.RETIRED else step.version)  # fmt: skip
    if old is not None:
        _check_branch(step, old, kept, retired, spec)
    taken = set(kept.values()) | spec.branch.keys()
    for number, slot in empty.items():  # a function that a slot was reserved for
        if slot.name in functions and slot.name not in taken:
            kept[number] = slot.name
            taken.add(slot.name)
    fixed = {name: numbers for name, numbers in spec.branch.items() if name not in kept.values()}
    _, slots, count = jump_table.numbering(functions, fixed, max(len(before), spec.slot_count), kept)
    if count > jump_table.LARGEST:
        raise LinkError(
            Diagnostic(step.where, f"{count} slots are more than the {jump_table.LARGEST} that a table may have",
                       remedy="take a new major version with --renumber, or put the new functions into a library of their own")
        )  # fmt: skip
    records = []
    for number in range(1, count + 1):
        was = before[number - 1] if number <= len(before) else None
        if number in slots:
            same = was is not None and was.state is SlotState.FUNCTION and was.name == slots[number]
            since = was.since if was is not None and same else step.version
            records.append(SlotRecord(number, SlotState.FUNCTION, since, slots[number]))
        elif number in retired:
            records.append(retired[number])
        else:
            name = spec.empty.get(number) or (empty[number].name if number in empty else "")
            same = was is not None and was.state is SlotState.EMPTY
            since = was.since if was is not None and same else step.version
            records.append(SlotRecord(number, SlotState.EMPTY, since, name))
    return tuple(records)


def _check_branch(
    step: Step, old: History, kept: Mapping[int, str], retired: Mapping[int, SlotRecord], spec: Specification
) -> None:
    """#branch may only say what is so already, and number what is new. Raises LinkError naming both."""
    problems = Diagnostics()
    remedy = "or leave the line out" if not step.major else "leave the line out, or --renumber"
    numbers_of: dict[str, tuple[int, ...]] = {}
    for number in sorted(kept):
        numbers_of[kept[number]] = (*numbers_of.get(kept[number], ()), number)

    def shown(numbers: Sequence[int]) -> str:
        return f"slot {numbers[0]}" if len(numbers) == 1 else f"slots {', '.join(map(str, numbers))}"

    for name, numbers in spec.branch.items():
        where = spec.branch_where.get(name, spec.where)
        if name in numbers_of:
            if numbers != numbers_of[name]:
                problems.add(
                    where, f"#branch gives it {shown(numbers)}, and {old.file_name} has it in {shown(numbers_of[name])}",
                    symbol=name, remedy=f"write {shown(numbers_of[name])}, {remedy}",
                )  # fmt: skip
            continue
        for number in numbers:
            if number in kept:
                owner, now = old.slots[number - 1].name, kept[number]
                known = owner if owner == now else f"{owner} (now {now})"
                problems.add(where, f"#branch gives it slot {number}, which is {known}'s in {old.file_name}", symbol=name,
                             remedy=f"number new functions behind the old ones, {remedy}")  # fmt: skip
            elif number in retired:
                gone = retired[number]
                problems.add(
                    where, f"#branch gives it slot {number}, which was {gone.name}'s until {gone.since} and is never used again",
                    symbol=name, remedy=f"number new functions behind the old ones, {remedy}",
                )  # fmt: skip
    for number in spec.empty:
        if number in kept:
            problems.add(spec.where, f"#branch leaves slot {number} empty, which is {kept[number]}'s in {old.file_name}",
                         remedy=f"give it to {kept[number]}, {remedy}")  # fmt: skip
    problems.raise_if_any()

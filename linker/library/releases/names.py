"""Who is who in two releases: what is kept, renamed, retired, back or new. Raises what was not declared (evolution.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

from uselib.linker.errors import Diagnostic, Diagnostics
from uselib.linker.formats.library_names import POINTER_SUFFIX
from uselib.linker.library import jump_table
from uselib.linker.library.releases.history import History, PlaceState, Renaming, SlotState
from uselib.linker.library.releases.rules import OR_MAJOR, Change, Level, Step, reads


@dataclass(frozen=True)
class Names:
    """Who is who. new_name: of everything in the old release that is still there; back: retired names that are offered again."""

    new_name: Mapping[str, str] = field(default_factory=dict)
    back: frozenset[str] = frozenset()
    renamed: tuple[Renaming, ...] = ()
    aliases: tuple[Renaming, ...] = ()
    changes: tuple[Change, ...] = ()


def settle_names(step: Step, functions: Set[str], data: Set[str], pointers: Set[str]) -> Names:
    """Matches old names with new ones. Raises LinkError with everything that is gone without a word, or declared wrongly.

    functions, data: the exports. pointers: f$pointer of the interposable functions, and the variables of #init.
    """
    old = step.ground
    if old is None:
        return Names()
    problems = Diagnostics()
    places = old.data_places()
    slots = old.functions()
    renames = _renames(step, old, functions, data | pointers, problems)
    retire = _retirements(step, old, functions | data | pointers, problems)
    new_name: dict[str, str] = {}
    changes: list[Change] = []
    gone: list[str] = []
    for name in (*slots, *places):
        now = renames.get(name, name)
        is_function = name in slots
        same, other = (functions, data | pointers) if is_function else (data | pointers, functions)
        if now in same:
            new_name[name] = now
        elif now in other and not step.major:
            was, became = ("a function", "data") if is_function else ("data", "a function")
            problems.add(
                step.where, f"was {was} in {old.file_name} and is {became} now", symbol=now,
                remedy=f"give the new one another name, {OR_MAJOR}",
            )  # fmt: skip
        else:
            gone.append(name)
    for name in gone:
        function = name.removesuffix(POINTER_SUFFIX)
        implied = function != name and function in gone  # a function's pointer goes with it
        if not (step.major or implied or name in retire):
            problems.items.append(_missing(step, old, name, slots, functions))
    if gone:
        changes.append(Change(Level.MINOR, f"{reads(gone)} {'is' if len(gone) == 1 else 'are'} retired"))
    fresh = tuple(Renaming(step.version, name, now) for name, now in renames.items() if POINTER_SUFFIX not in name)
    if fresh:
        changes.append(Change(Level.MINOR, reads(f"{r.old} is now {r.new}" for r in fresh)))
    retired = {s.name for s in old.slots if s.state is SlotState.RETIRED} & functions
    retired |= {p.name for p in old.places if p.state is PlaceState.RETIRED} & (data | pointers)
    back = frozenset(retired - new_name.keys() - set(new_name.values()))
    if back:
        changes.append(Change(Level.MINOR, f"{reads(sorted(back))} {'is' if len(back) == 1 else 'are'} back"))
    aliases = _aliases(step, old, fresh, retire, new_name, functions | data, problems)
    if dropped := [a.old for a in old.aliases if a.old not in {b.old for b in aliases}]:
        changes.append(
            Change(Level.MINOR, f"{reads(dropped)} {'is' if len(dropped) == 1 else 'are'} not offered any more")
        )
    known = set(new_name.values()) | back
    if added := jump_table.default_order((functions | data | pointers) - known):
        changes.append(Change(Level.MINOR, f"{reads(added)} {'is' if len(added) == 1 else 'are'} new"))
    problems.raise_if_any()
    return Names(new_name, back, (*old.renamed, *fresh), aliases, tuple(changes))


def _missing(step: Step, old: History, name: str, slots: Mapping[str, int], functions: Set[str]) -> Diagnostic:
    """Something is gone, and nothing was said of it."""
    function = name.removesuffix(POINTER_SUFFIX)
    if function != name and function in functions:
        return Diagnostic(
            step.where, f"was interposable in {old.file_name} and is not any more, so programs that replace it would not be heard",
            function, f"keep it interposable, retire `{name}`, {OR_MAJOR}",
        )  # fmt: skip
    if name in slots:
        where, what = f"slot {slots[name]}", "--retire it (its slot becomes a trap that names it)"
    else:
        where, what = f"at {old.data_places()[name].address:#x}", "--retire it (its place stays reserved)"
    return Diagnostic(
        step.where, f"is in {old.file_name}, {where}, and no object exports it now", name,
        f"bring it back, {what}, --rename {name}=NEW if it has another name, {OR_MAJOR}",
    )  # fmt: skip


def _renames(step: Step, old: History, functions: Set[str], data: Set[str], problems: Diagnostics) -> dict[str, str]:
    """Old name -> new name, of this step only; a function's pointer goes with it."""
    slots, places = old.functions(), old.data_places()
    there = slots.keys() | places.keys()
    done = {(r.old, r.new) for r in old.renamed}
    result: dict[str, str] = {}
    for line in step.declared.rename:
        before, now, where = line
        if before not in there:
            if (before, now) not in done and not (step.major and now in there):
                problems.add(where, f"{old.file_name} has no such function or datum to rename", symbol=before)
        elif result.get(before, now) != now or (now in result.values() and result.get(before) != now):
            problems.add(where, f"is renamed twice, to {now} and another name", symbol=before)
        elif now in there and now not in {r.old for r in step.declared.rename}:
            place = f"slot {slots[now]}" if now in slots else f"at {places[now].address:#x}"
            problems.add(where, f"cannot become {now}, which {old.file_name} has too ({place})", symbol=before)
        elif before in functions | data and before not in {r.new for r in step.declared.rename}:
            problems.add(where, f"is to be renamed to {now}, but an object still exports it", symbol=before,
                         remedy="take the old name out, and offer it with --keep-old-names if sources still use it")  # fmt: skip
        elif now not in functions | data:
            problems.add(where, f"is to be renamed to {now}, but no object exports that", symbol=before)
        else:
            result[before] = now
            if before + POINTER_SUFFIX in places:
                result[before + POINTER_SUFFIX] = now + POINTER_SUFFIX
    return result


def _retirements(step: Step, old: History, present: Set[str], problems: Diagnostics) -> frozenset[str]:
    """The names that may go."""
    there = old.functions().keys() | old.data_places().keys()
    aliases = {a.old for a in old.aliases}
    done = {s.name for s in old.slots if s.state is SlotState.RETIRED}
    done |= {p.name for p in old.places if p.state is PlaceState.RETIRED}
    for name in step.declared.retire:
        if name in present and name not in aliases:
            problems.add(step.where, "is to be retired, but an object still exports it", symbol=name,
                         remedy="take it out, or keep it private with --hide")  # fmt: skip
        elif name not in there | aliases | done and not step.major:
            problems.add(step.where, f"is to be retired, but {old.file_name} does not have it", symbol=name)
    return frozenset(step.declared.retire)


def _aliases(
    step: Step, old: History, fresh: Iterable[Renaming], retire: Set[str], new_name: Mapping[str, str], present: Set[str],
    problems: Diagnostics,
) -> tuple[Renaming, ...]:  # fmt: skip
    """Old names that the stub goes on offering: those of before, until they are retired, and with --keep-old-names those of now."""
    result = []
    for alias in old.aliases:
        now = new_name.get(alias.new)
        if alias.old in retire or now is None:
            continue
        if alias.old in present:
            problems.add(
                step.where, f"is another name of {alias.new} since {alias.release}, and an object exports it for itself",
                symbol=alias.old, remedy="take it out, or --retire the old name first",
            )  # fmt: skip
        result.append(replace(alias, new=now))
    if step.declared.keep_old_names:
        result += [r for r in fresh if r.old not in present]
    return tuple(result)

"""Matches the names of the release before with those of this one: kept, renamed, retired, offered again, new.

Removed names must be declared (rules.py); all that are not are reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from uselib.linker.errors import Diagnostic, Diagnostics
from uselib.linker.formats.library_names import POINTER_SUFFIX
from uselib.linker.library import jump_table
from uselib.linker.library.releases.history import History, PlaceState, Renaming, SlotState
from uselib.linker.library.releases.rules import OR_MAJOR, InterfaceChange, ReleaseLevel, ReleaseStep, listed
from uselib.linker.quick_dataclass import NamedTuple, dataclass, field, replace


@dataclass(frozen=True)
class MatchedNames:
    """new_name: old name -> new name of everything that this release still has. back: retired names that are offered again."""

    new_name: Mapping[str, str] = field(default_factory=dict)
    back: frozenset[str] = frozenset()
    renamed: tuple[Renaming, ...] = ()
    aliases: tuple[Renaming, ...] = ()
    changes: tuple[InterfaceChange, ...] = ()


class _Exported(NamedTuple):
    """The exports of this release. data: with the pointers of interposable functions and the variables of #init."""

    functions: Set[str]
    data: Set[str]

    @property
    def all(self) -> Set[str]:
        return self.functions | self.data


def match_names(step: ReleaseStep, functions: Set[str], data: Set[str], pointers: Set[str]) -> MatchedNames:
    """Matches old names with new ones. Raises LinkError with every name that was removed without a declaration, or declared wrongly.

    functions, data: the exports. pointers: f$pointer of the interposable functions, and the variables of #init.
    """
    old = step.inherited
    if old is None:
        return MatchedNames()
    problems = Diagnostics()
    now = _Exported(functions, data | pointers)
    renames = _renames(step, old, now, problems)
    retire = _retirements(step, old, now, problems)
    new_name, gone = _kept_and_gone(step, old, now, renames, problems)
    problems.items += _undeclared(step, old, gone, retire, now)
    fresh = tuple(Renaming(step.version, name, new) for name, new in renames.items() if POINTER_SUFFIX not in name)
    back = _offered_again(old, now) - new_name.keys() - set(new_name.values())
    aliases = _aliases(step, old, fresh, retire, new_name, functions | data, problems)
    problems.raise_if_any()
    dropped = {a.old for a in old.aliases} - {a.old for a in aliases}
    changes = (
        *_change(gone, "retired"),
        *_renamed_change(fresh),
        *_change(sorted(back), "back"),
        *_change([a.old for a in old.aliases if a.old in dropped], "not offered any more"),
        *_change(jump_table.default_order(now.all - set(new_name.values()) - back), "new"),
    )
    return MatchedNames(new_name, back, (*old.renamed, *fresh), aliases, changes)


def _change(names: Sequence[str], what: str) -> Iterator[InterfaceChange]:
    """`a is new`, `a and b are new`; nothing if there are no names."""
    if names:
        yield InterfaceChange(ReleaseLevel.MINOR, f"{listed(names)} {'is' if len(names) == 1 else 'are'} {what}")


def _renamed_change(fresh: Sequence[Renaming]) -> Iterator[InterfaceChange]:
    if fresh:
        yield InterfaceChange(ReleaseLevel.MINOR, listed(f"{r.old} is now {r.new}" for r in fresh))


def _kept_and_gone(
    step: ReleaseStep, old: History, now: _Exported, renames: Mapping[str, str], problems: Diagnostics
) -> tuple[dict[str, str], list[str]]:
    """(old name -> new name of everything that is still there, the old names of everything removed)."""
    new_name: dict[str, str] = {}
    gone: list[str] = []
    slots = old.functions()
    for name in (*slots, *old.data_places()):
        new = renames.get(name, name)
        is_function = name in slots
        same, other = (now.functions, now.data) if is_function else (now.data, now.functions)
        if new in same:
            new_name[name] = new
        elif new in other and not step.major:
            was, became = ("a function", "data") if is_function else ("data", "a function")
            problems.add(
                step.where,
                f"was {was} in {old.file_name} and is {became} now",
                symbol=new,
                remedy=f"give the new one another name, {OR_MAJOR}",
            )
        else:
            gone.append(name)
    return new_name, gone


def _undeclared(
    step: ReleaseStep, old: History, gone: Sequence[str], retire: Set[str], now: _Exported
) -> Iterator[Diagnostic]:
    """The names that were removed and not retired. A new major version may drop any name."""
    if step.major:
        return
    for name in gone:
        function = name.removesuffix(POINTER_SUFFIX)
        implied = function != name and function in gone  # a function's pointer is removed with it
        if not implied and name not in retire:
            yield _missing(step, old, name, now.functions)


def _missing(step: ReleaseStep, old: History, name: str, functions: Set[str]) -> Diagnostic:
    function = name.removesuffix(POINTER_SUFFIX)
    if function != name and function in functions:
        return Diagnostic(
            step.where,
            f"was interposable in {old.file_name} and no longer is, so the library would not call a program's own definition",
            function,
            f"keep it interposable, retire `{name}`, {OR_MAJOR}",
        )
    slot = old.functions().get(name)
    if slot is not None:
        where, what = f"slot {slot}", "--retire it (its slot becomes a trap that names it)"
    else:
        where, what = f"at {old.data_places()[name].address:#x}", "--retire it (its place stays reserved)"
    return Diagnostic(
        step.where,
        f"is in {old.file_name}, {where}, and no object exports it now",
        name,
        f"bring it back, {what}, --rename {name}=NEW if it has another name, {OR_MAJOR}",
    )


def _renames(step: ReleaseStep, old: History, now: _Exported, problems: Diagnostics) -> dict[str, str]:
    """Old name -> new name, of this step only; a function's pointer is renamed with it."""
    slots, places = old.functions(), old.data_places()
    there = slots.keys() | places.keys()
    done = {(r.old, r.new) for r in old.renamed}
    starts, ends = {r.old for r in step.declared.rename}, {r.new for r in step.declared.rename}
    result: dict[str, str] = {}
    for before, new, where in step.declared.rename:
        if before not in there:
            if (before, new) not in done and not (step.major and new in there):
                problems.add(where, f"{old.file_name} has no such function or datum to rename", symbol=before)
        elif result.get(before, new) != new or (new in result.values() and result.get(before) != new):
            problems.add(where, f"is renamed twice, to {new} and another name", symbol=before)
        elif new in there and new not in starts:
            place = f"slot {slots[new]}" if new in slots else f"at {places[new].address:#x}"
            problems.add(where, f"cannot become {new}, which {old.file_name} has too ({place})", symbol=before)
        elif before in now.all and before not in ends:
            problems.add(
                where,
                f"is to be renamed to {new}, but an object still exports it",
                symbol=before,
                remedy="remove the old name, and offer it with --keep-old-names if sources still use it",
            )
        elif new not in now.all:
            problems.add(where, f"is to be renamed to {new}, but no object exports that", symbol=before)
        else:
            result[before] = new
            if before + POINTER_SUFFIX in places:
                result[before + POINTER_SUFFIX] = new + POINTER_SUFFIX
    return result


def _retired(old: History) -> _Exported:
    """The names that an earlier release retired."""
    return _Exported(
        {s.name for s in old.slots if s.state is SlotState.RETIRED},
        {p.name for p in old.places if p.state is PlaceState.RETIRED},
    )


def _offered_again(old: History, now: _Exported) -> frozenset[str]:
    retired = _retired(old)
    return frozenset(retired.functions & now.functions | retired.data & now.data)


def _retirements(step: ReleaseStep, old: History, now: _Exported, problems: Diagnostics) -> frozenset[str]:
    """The names that may be removed."""
    aliases = {a.old for a in old.aliases}
    known = old.functions().keys() | old.data_places().keys() | aliases | _retired(old).all
    for name in step.declared.retire:
        if name in now.all and name not in aliases:
            problems.add(
                step.where,
                "is to be retired, but an object still exports it",
                symbol=name,
                remedy="remove it, or keep it private with --hide",
            )
        elif name not in known and not step.major:
            problems.add(step.where, f"is to be retired, but {old.file_name} does not have it", symbol=name)
    return frozenset(step.declared.retire)


def _aliases(
    step: ReleaseStep,
    old: History,
    fresh: Iterable[Renaming],
    retire: Set[str],
    new_name: Mapping[str, str],
    present: Set[str],
    problems: Diagnostics,
) -> tuple[Renaming, ...]:
    """Old names that the stub still offers: the earlier ones until they are retired, and with --keep-old-names those of this step."""
    result = []
    for alias in old.aliases:
        now = new_name.get(alias.new)
        if alias.old in retire or now is None:
            continue
        if alias.old in present:
            problems.add(
                step.where,
                f"is another name of {alias.new} since {alias.release}, and an object exports a symbol of that name",
                symbol=alias.old,
                remedy="remove it, or --retire the old name first",
            )
        result.append(replace(alias, new=now))
    if step.declared.keep_old_names:
        result += [r for r in fresh if r.old not in present]
    return tuple(result)

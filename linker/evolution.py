"""From one release to the next: what programs that were linked before rely on, and what is thus refused.

The rules, as a distribution that ships a library for years needs them (`mkshlib --previous`):

| since the release before          | within a major version                                              | release |
|-----------------------------------|---------------------------------------------------------------------|---------|
| code, order of objects, text size | free                                                                | patch   |
| new function                      | behind all old slots, or in the empty one that has its name         | minor   |
| new datum, new interposable       | behind all old places                                               | minor   |
| function or datum gone            | refused, unless --retire: trap, place stays reserved                | minor   |
| renamed                           | with --rename: same slot, same place                                | minor   |
| datum grown                       | refused, unless --move-data: behind all others, old place reserved  | minor   |
| datum shrunk                      | the rest stays reserved, and it may grow again up to there          | minor   |
| not interposable any more         | refused, unless --retire f$pointer                                  | minor   |
| retired name is back              | same slot; same place if it fits                                    | minor   |
| function <-> datum, other base    | refused                                                             | major   |

A new major version is another library: no program of the one before loads it. With --previous it keeps slots and places
of what is still there, slots of what is gone are empty and nothing else stays reserved; --renumber forgets all of it.

Pure: names, numbers and sizes in, records out. `settle_names` comes first (who is who), then `number_slots`; `carry_places`
once sizes are known (places.py lays them out).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from linker import jump_table
from linker.errors import Diagnostic, Diagnostics, LinkError
from linker.history import History, PlaceRecord, PlaceState, Renaming, SlotRecord, SlotState
from linker.image import Version
from linker.interpose import POINTER_SUFFIX
from linker.spec import RenameLine, Specification

_MAJOR = "or take a new major version"


class Level(enum.IntEnum):
    """How large a step a change is."""

    PATCH, MINOR, MAJOR = range(3)

    @property
    def article(self) -> str:
        return f"a {self.name.lower()} release"


@dataclass(frozen=True)
class Change:
    """Something that differs from the release before: `text` completes `because ...`."""

    level: Level
    text: str


@dataclass(frozen=True)
class Declared:
    """What the maintainer says of the changes."""

    retire: tuple[str, ...] = ()
    rename: tuple[RenameLine, ...] = ()
    move: tuple[str, ...] = ()
    keep_old_names: bool = False
    renumber: bool = False

    @property
    def first(self) -> str:
        """An option or directive that makes no sense without --previous; empty if there is none."""
        given = (
            ("retire", self.retire), ("rename", self.rename), ("move-data", self.move),
            ("keep-old-names", self.keep_old_names), ("renumber", self.renumber),
        )  # fmt: skip
        return next((name for name, value in given if value), "")


@dataclass(frozen=True)
class Step:
    """From `old` to `version`; messages name `where`. Without `old`, a library's first release."""

    old: History | None
    version: Version
    declared: Declared
    where: str

    @property
    def major(self) -> bool:
        """Whether promises to older programs end here."""
        return self.old is None or self.version.major != self.old.version.major

    @property
    def ground(self) -> History | None:
        """The history that numbers and places are taken from."""
        return None if self.declared.renumber and self.major else self.old

    @property
    def releases(self) -> tuple[Version, ...]:
        if self.old is None or self.major:
            return (self.version,)
        return tuple(dict.fromkeys((*self.old.releases, self.version)))

    def since(self, record: Version) -> Version:
        """The release since which something unchanged is so."""
        return self.version if self.major else record


@dataclass(frozen=True)
class Names:
    """Who is who. new_name: of everything in the old release that is still there; back: retired names that are offered again."""

    new_name: Mapping[str, str] = field(default_factory=dict)
    back: frozenset[str] = frozenset()
    renamed: tuple[Renaming, ...] = ()
    aliases: tuple[Renaming, ...] = ()
    changes: tuple[Change, ...] = ()


def check_version(step: Step) -> None:
    """Raises LinkError if the version is below the previous one, or the declarations do not fit the step."""
    old = step.old
    if old is None:
        if step.declared.first:
            raise LinkError(
                Diagnostic(step.where, f"{step.declared.first} speaks of an earlier release, and none is given",
                           remedy="give it with --previous")
            )  # fmt: skip
        return
    if step.version < old.version:
        raise LinkError(
            Diagnostic(step.where, f"is older than {old.file_name}, which is given as its predecessor",
                       remedy="give --previous the release before it")
        )  # fmt: skip
    if step.declared.renumber and not step.major:
        raise LinkError(
            Diagnostic(step.where, f"renumbering would break every program linked with {old.file_name}",
                       remedy=f"take a new major version, {old.version.major + 1}.0.0")
        )  # fmt: skip


def check_level(step: Step, changes: Sequence[Change]) -> None:
    """Raises LinkError if the version number promises more than the changes keep."""
    old = step.old
    if old is None or step.major:
        return
    level = max((change.level for change in changes), default=Level.PATCH)
    v, w = step.version, old.version
    given = Level.MINOR if v.minor > w.minor else Level.PATCH
    if level <= given:
        return
    wanted = Version(w.major, w.minor + 1, 0)
    shown = [change.text for change in changes if change.level > given]
    more = f"; and {len(shown) - 3} more" if len(shown) > 3 else ""
    raise LinkError(
        Diagnostic(step.where, f"is {level.article} after {w}, because {'; '.join(shown[:3])}{more}",
                   remedy=f"call it {wanted}, so that programs linked with it refuse {w}")
    )  # fmt: skip


def same_version(step: Step) -> LinkError:
    """The error for a release that is made again with other contents."""
    v = step.version
    return LinkError(
        Diagnostic(step.where, f"has other contents than the {v} that is out already",
                   remedy=f"give it a version of its own, {Version(v.major, v.minor, v.patch + 1)}")
    )  # fmt: skip


@dataclass(frozen=True)
class Room:
    """What a library may still use without moving anything; bytes.

    text: up to the data; None if no data are promised, so that they may still move. end: of the memory in use. limit: of the library's
    entry in the registry; None without one. slots: numbers that are left.
    """

    text: int | None
    data_address: int
    end: int
    limit: int | None
    slots: int

    def within(self, limit: int) -> Room:
        return replace(self, limit=limit)

    def __str__(self) -> str:
        text = "any amount of text (no data are promised)"
        if self.text is not None:
            text = f"{self.text} bytes of text before the data at {self.data_address:#x}"
        data = "any amount of data (no registry bounds it)"
        if self.limit is not None:
            data = f"{max(0, self.limit - self.end)} bytes of data before {self.limit:#x}"
        return f"{text}, {data}, {self.slots} slots of 8 bytes of text"


def summary(step: Step, changes: Sequence[Change]) -> str:
    """What a release is, against the one before. Empty for a library's first."""
    if step.old is None:
        return ""
    if step.version == step.old.version:
        return f"the same as the {step.version} that is out already"
    after = f"after {step.old.version}: "
    if step.major:
        return after + "a new major version, so nothing that earlier programs rely on is promised"
    level = max((change.level for change in changes), default=Level.PATCH)
    because = "; ".join(change.text for change in changes) or "the interface is the same"
    return f"{after}{level.article} ({because})"


def reads(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b, c and 4 more`."""
    found = list(names)
    if len(found) > 4:
        return f"{', '.join(found[:3])} and {len(found) - 3} more"
    return " and ".join(filter(None, (", ".join(found[:-1]), found[-1]))) if found else ""


# -- names -------------------------------------------------------------------------------------------------------------


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
                remedy=f"give the new one another name, {_MAJOR}",
            )  # fmt: skip
        else:
            gone.append(name)
    for name in gone:
        function = name.removesuffix(POINTER_SUFFIX)
        implied = function != name and function in gone  # a function's pointer goes with it
        if not (step.major or implied or name in retire):
            problems.items.append(_missing(step, old, name, slots, functions))
    if gone and not step.major:
        changes.append(Change(Level.MINOR, f"{reads(gone)} {'is' if len(gone) == 1 else 'are'} retired"))
    kept = tuple(r for r in old.renamed if not step.major)
    fresh = tuple(Renaming(step.version, name, now) for name, now in renames.items() if POINTER_SUFFIX not in name)
    if fresh:
        changes.append(Change(Level.MINOR, reads(f"{r.old} is now {r.new}" for r in fresh)))
    retired = {s.name for s in old.slots if s.state is SlotState.RETIRED} & functions
    retired |= {p.name for p in old.places if p.state is PlaceState.RETIRED} & (data | pointers)
    back = frozenset(retired - new_name.keys() - set(new_name.values())) if not step.major else frozenset()
    if back:
        changes.append(Change(Level.MINOR, f"{reads(sorted(back))} {'is' if len(back) == 1 else 'are'} back"))
    aliases = _aliases(step, old, fresh, retire, new_name, functions | data, problems)
    if dropped := [a.old for a in old.aliases if not step.major and a.old not in {b.old for b in aliases}]:
        changes.append(
            Change(Level.MINOR, f"{reads(dropped)} {'is' if len(dropped) == 1 else 'are'} not offered any more")
        )
    known = set(new_name.values()) | back
    if added := jump_table.default_order((functions | data | pointers) - known):
        changes.append(Change(Level.MINOR, f"{reads(added)} {'is' if len(added) == 1 else 'are'} new"))
    problems.raise_if_any()
    return Names(new_name, back, (*kept, *fresh), aliases, tuple(changes))


def _missing(step: Step, old: History, name: str, slots: Mapping[str, int], functions: Set[str]) -> Diagnostic:
    """Something is gone, and nothing was said of it."""
    function = name.removesuffix(POINTER_SUFFIX)
    if function != name and function in functions:
        return Diagnostic(
            step.where, f"was interposable in {old.file_name} and is not any more, so programs that replace it would not be heard",
            function, f"keep it interposable, retire `{name}`, {_MAJOR}",
        )  # fmt: skip
    if name in slots:
        where, what = f"slot {slots[name]}", "--retire it (its slot becomes a trap that names it)"
    else:
        where, what = f"at {old.data_places()[name].address:#x}", "--retire it (its place stays reserved)"
    return Diagnostic(
        step.where, f"is in {old.file_name}, {where}, and no object exports it now", name,
        f"bring it back, {what}, --rename {name}=NEW if it has another name, {_MAJOR}",
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
    for alias in () if step.major else old.aliases:
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


# -- slots -------------------------------------------------------------------------------------------------------------


def number_slots(step: Step, names: Names, functions: Set[str], spec: Specification) -> tuple[SlotRecord, ...]:
    """Every slot of the release. Raises LinkError: #branch says otherwise than the release before, or the table is full."""
    old = step.ground
    before = old.slots if old is not None else ()
    retired: dict[int, SlotRecord] = {}
    empty: dict[int, SlotRecord] = {}
    kept: dict[int, str] = {}
    for slot in before:
        now = names.new_name.get(slot.name) if slot.state is SlotState.FUNCTION else None
        if now is None and slot.name in names.back and slot.state is SlotState.RETIRED:
            now = slot.name
        if now is not None:
            kept[slot.number] = now
        elif step.major or slot.state is SlotState.EMPTY:
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
            since = step.since(was.since) if was is not None and same else step.version
            records.append(SlotRecord(number, SlotState.FUNCTION, since, slots[number]))
        elif number in retired:
            records.append(retired[number])
        else:
            name = spec.empty.get(number) or (empty[number].name if number in empty else "")
            same = was is not None and was.state is SlotState.EMPTY
            since = step.since(was.since) if was is not None and same else step.version
            records.append(SlotRecord(number, SlotState.EMPTY, since, name))
    return tuple(records)


def _check_branch(
    step: Step, old: History, kept: Mapping[int, str], retired: Mapping[int, SlotRecord], spec: Specification
) -> None:
    """#branch may only say what is so already, and number what is new. Raises LinkError naming both."""
    problems = Diagnostics()
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
                    symbol=name, remedy=f"write {shown(numbers_of[name])}, or leave the line out",
                )  # fmt: skip
            continue
        for number in numbers:
            if number in kept:
                owner, now = old.slots[number - 1].name, kept[number]
                known = owner if owner == now else f"{owner} (now {now})"
                problems.add(where, f"#branch gives it slot {number}, which is {known}'s in {old.file_name}", symbol=name,
                             remedy="number new functions behind the old ones, or leave the line out")  # fmt: skip
            elif number in retired:
                gone = retired[number]
                problems.add(
                    where, f"#branch gives it slot {number}, which was {gone.name}'s until {gone.since} and is never used again",
                    symbol=name, remedy="number new functions behind the old ones, or leave the line out",
                )  # fmt: skip
    for number in spec.empty:
        if number in kept:
            problems.add(spec.where, f"#branch leaves slot {number} empty, which is {kept[number]}'s in {old.file_name}",
                         remedy=f"give it to {kept[number]}, or leave the line out")  # fmt: skip
    problems.raise_if_any()


# -- places ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Promise:
    """`name` lies at `offset` from the start of .exported, and `reserved` bytes there are its own."""

    name: str
    offset: int
    reserved: int
    since: Version


@dataclass(frozen=True)
class Fixed:
    """`name` lies at `offset` from the base, outside .exported: it has to be there by itself."""

    name: str
    offset: int


@dataclass(frozen=True)
class Carried:
    """What earlier releases promised of data. `reserved`: places (as in the old history) that hold nothing any more."""

    promises: tuple[Promise, ...] = ()
    reserved: tuple[PlaceRecord, ...] = ()
    fixed: tuple[Fixed, ...] = ()
    changes: tuple[Change, ...] = ()


def carry_places(step: Step, names: Names, sizes: Mapping[str, int]) -> Carried:
    """The places that old data keep. `sizes`: bytes of all data and pointers of this release.

    Raises LinkError with every datum that has grown beyond its place without a word.
    """
    old = step.ground
    if old is None:
        return Carried()
    problems = Diagnostics()
    promises: list[Promise] = []
    reserved: list[PlaceRecord] = []
    fixed: list[Fixed] = []
    changes: list[Change] = []
    end = old.data + old.data_size
    for place in old.places:
        holds = place.state in (PlaceState.DATA, PlaceState.POINTER)
        inside = old.data <= place.address and place.end <= end
        now = names.new_name.get(place.name) if holds else None
        if now is None and place.state is PlaceState.RETIRED and place.name in names.back:
            now = place.name if sizes[place.name] <= place.reserved else None
        if now is None:
            if not step.major and inside:
                since = step.version if holds else place.since
                state = PlaceState.RETIRED if holds else place.state
                reserved.append(replace(place, size=0, state=state, since=since))
            continue
        if not inside:
            fixed.append(Fixed(now, place.address - old.base))
            continue
        size = sizes[now]
        since = step.since(place.since) if holds and now == place.name else step.version
        if size <= place.reserved:
            promises.append(Promise(now, place.address - old.data, size if step.major else place.reserved, since))
            if holds and size != place.size:
                verb = "shrunk" if size < place.size else "grown within its place"
                changes.append(Change(Level.MINOR, f"{now} has {verb}"))
        elif step.major or {now, place.name} & set(step.declared.move):
            if not step.major:
                reserved.append(replace(place, size=0, state=PlaceState.MOVED, since=step.version))
                changes.append(Change(Level.MINOR, f"{now} has grown and moved"))
        else:
            problems.add(
                step.where,
                f"has grown from {place.size} to {size} bytes, and its place in {old.file_name} has {place.reserved}",
                symbol=now,
                remedy=f"keep its size, --move-data {now} (programs linked before go on using the old place), {_MAJOR}",
            )
    problems.raise_if_any()
    return Carried(tuple(promises), tuple(reserved), tuple(fixed), tuple(changes))

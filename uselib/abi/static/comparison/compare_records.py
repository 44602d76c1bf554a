"""How the layout of a structure or union differs, and what that does to programs compiled against the old one.

Members are matched by name, so two members of one type that changed places are found. A member that is left over on each side, at one
offset and of one type, was renamed, which no program notices.

Growth at the end is judged by who allocates the objects (`RecordUsage`): a program that allocates them, passes them by value or indexes
arrays of them has the old size compiled in; a program that only gets pointers from the library has not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from uselib.abi.static.comparison import difference_rules
from uselib.abi.static.comparison.layout_changes import LayoutChange, RecordUsage
from uselib.abi.static.comparison.name_heuristics import canonical, is_reserved, is_size_tag, unit_changed
from uselib.abi.static.comparison.type_differences import Edge, TypeDifference, TypePairs
from uselib.abi.static.model.fields import Field, fields, is_operations_table, is_packed, natural_alignment
from uselib.abi.static.model.findings import Severity
from uselib.abi.static.model.unqualified import unqualified
from uselib.linker.c_types.spelling import spell
from uselib.linker.c_types.types import Base, Pointer, Record, TypeId, Types

COMPATIBLE, MINOR, RISK, BREAKING = Severity.COMPATIBLE, Severity.MINOR, Severity.RISK, Severity.BREAKING
_CONTAINER_TEXT = "data buf buffer items elements ptr values bytes capacity cap used array entries start"
_CONTAINER = frozenset(
    _CONTAINER_TEXT.split()
)  # members of a record that holds others: its first member `size` counts them


@dataclass(frozen=True)
class _Matched:
    """common, renamed: (old, new) of one member; renamed ones by place. moved: those of `common` that lie elsewhere."""

    common: tuple[tuple[Field, Field], ...]
    renamed: tuple[tuple[Field, Field], ...]
    removed: tuple[Field, ...]
    added: tuple[Field, ...]
    reserved: tuple[Field, ...]  # of the old one

    @property
    def moved(self) -> tuple[tuple[Field, Field], ...]:
        return tuple((a, b) for a, b in self.common if a.offset != b.offset)


def _named_once(members: list[Field]) -> list[Field]:
    """Without second members of one name, which only damaged files have."""
    first = {member.name: member for member in reversed(members)}
    return [member for member in members if not member.name or first[member.name] is member]


def match(pairs: TypePairs, old: Record, new: Record) -> _Matched:
    before, after = _named_once(fields(pairs.old, old)), _named_once(fields(pairs.new, new))
    reserved = tuple(field for field in before if is_reserved(field.name))
    kept = {field.name: field for field in after if not is_reserved(field.name)}
    named = [field for field in before if not is_reserved(field.name)]
    common = tuple((field, kept[field.name]) for field in named if field.name in kept)
    names = {field.name for field in named}
    removed = [field for field in named if field.name not in kept]
    added = [field for field in after if field.name in kept and field.name not in names]
    renamed = []
    for field in tuple(removed):
        for other in added:
            if (field.offset, field.width) == (other.offset, other.width) and not _differs(
                pairs, field.type, other.type
            ):
                renamed.append((field, other))
                removed.remove(field)
                added.remove(other)
                break
    return _Matched(common, tuple(renamed), tuple(removed), tuple(added), reserved)


def _differs(pairs: TypePairs, old: TypeId, new: TypeId) -> bool:
    return any(difference.severity >= RISK for difference in pairs.compare(old, new).differences)


def member_edges(pairs: TypePairs, old: Record, new: Record) -> list[Edge]:
    """The records and enumerations that members of both lead to."""
    matched = match(pairs, old, new)
    return [edge for a, b in matched.common + matched.renamed for edge in pairs.compare(a.type, b.type).edges]


def compare_records(pairs: TypePairs, old: Record, new: Record, usage: RecordUsage) -> list[LayoutChange]:
    """What changed in a record whose members are visible to programs. Empty if an old program cannot tell the difference."""
    if old.opaque or new.opaque:
        return []
    matched = match(pairs, old, new)
    changes = _retyped(pairs, matched, usage)
    changes += _renamed(pairs, matched)
    swapped = _swapped(matched)
    moved = [pair for pair in matched.moved if pair[0].name not in swapped]
    if swapped:
        names = " and ".join(f"`{name}`" for name in swapped)
        changes.append(LayoutChange("members-swapped", BREAKING, f"{names} changed places"))
    changes += _added(pairs, old, new, matched, usage)
    changes += _removed(pairs, matched)
    changes = _with_moves(pairs, old, new, changes, moved)
    changes += _size(pairs, old, new, changes, usage)
    if is_operations_table(pairs.old, old):
        changes = [_of_table(change) for change in changes]
    return changes


def _retyped(pairs: TypePairs, matched: _Matched, usage: RecordUsage) -> list[LayoutChange]:
    found = []
    for a, b in matched.common:
        if a.width != b.width:
            words = f"`{a.name}`: {_width(a)} became {_width(b)}"
            found.append(LayoutChange("bit-field-changed", BREAKING, words))
            continue
        for difference in pairs.compare(a.type, b.type).differences:
            found.append(_member_change(pairs, a, b, difference, usage))
    return found


def _width(field: Field) -> str:
    return "a whole member" if field.width is None else f"{field.width} bit" + ("s" if field.width != 1 else "")


def _member_change(
    pairs: TypePairs, old: Field, new: Field, difference: TypeDifference, usage: RecordUsage
) -> LayoutChange:
    severity = difference.severity
    if difference.kind == "length" and difference.words == "grown" and not usage.size_matters:
        severity = RISK  # behind it, if anything, members moved, which is told apart
    rule = difference_rules.MEMBER[difference.kind]
    if difference.called > Severity.COMPATIBLE or difference.kind == "callback":
        # who calls through the pointer: the program, if the library makes the table
        severity = difference.severity if usage.caller_allocated else difference.called
        rule = "callback-changed"
    words = f"`{old.name}`" + (f": {difference.words}" if difference.words else "")
    before, after = pairs.words(old.type, new.type)
    return LayoutChange(rule, severity, words, before, after)


def _renamed(pairs: TypePairs, matched: _Matched) -> list[LayoutChange]:
    found = []
    for a, b in matched.renamed:
        units = unit_changed(a.name, b.name)
        words = f"`{a.name}` is now `{b.name}`"
        if units:
            found.append(LayoutChange("unit-changed", BREAKING, f"{words}: {units}", a.name, b.name))
        else:
            found.append(LayoutChange("member-renamed", COMPATIBLE, words, a.name, b.name))
    names, others = (
        {canonical(a.name): a for a, _ in matched.renamed},
        {canonical(b.name): b for _, b in matched.renamed},
    )
    crossed = [name for name, a in names.items() if name in others and others[name].offset != a.offset]
    if len(crossed) > 1:
        found.append(
            LayoutChange("members-swapped", BREAKING, " and ".join(f"`{name}`" for name in crossed) + " changed places")
        )
    return found


def _swapped(matched: _Matched) -> list[str]:
    """Members that took one another's places."""
    moved = {a.offset: (a, b) for a, b in matched.moved}
    return [a.name for a, b in moved.values() if b.offset in moved and moved[b.offset][1].offset == a.offset]


def _added(pairs: TypePairs, old: Record, new: Record, matched: _Matched, usage: RecordUsage) -> list[LayoutChange]:
    found = []
    kept = [a for a, b in matched.common + matched.renamed if a.offset == b.offset]
    end = 8 * (old.size or 0)
    for field in matched.added:
        words = f"`{spell(pairs.new, field.type, field.name)}` at {field.where}"
        if old.kind == "union" or (field.size and any(field.overlaps(a) for a in kept)):
            found.append(LayoutChange("union-member-added", MINOR, words))
        elif field.size and any(field.overlaps(a) for a in matched.reserved):
            found.append(LayoutChange("reserved-member-used", MINOR, words))
        elif field.offset >= end or (field.end > end and field.size):
            found.append(_appended(pairs, old, new, field, matched, words, usage))
        elif any(a.offset >= field.offset and b.offset > a.offset for a, b in matched.common):
            found.append(LayoutChange("member-inserted", BREAKING, words))
        else:
            found.append(LayoutChange("padding-used", RISK if usage.caller_allocated else MINOR, words))
    return found


def _appended(
    pairs: TypePairs, old: Record, new: Record, field: Field, matched: _Matched, words: str, usage: RecordUsage
) -> LayoutChange:
    if any(b.offset >= field.end and b.offset > a.offset for a, b in matched.common):
        return LayoutChange("member-inserted", BREAKING, words)
    if old.size == new.size or not field.size:  # a flexible array takes no room
        return LayoutChange("padding-used", RISK if usage.caller_allocated else MINOR, words)
    if usage.by_value or usage.indexed:
        return LayoutChange("member-appended", BREAKING, words)
    if _size_tagged(pairs, old):
        return LayoutChange("size-tagged-struct-grown", MINOR, words)
    return LayoutChange("member-appended", BREAKING if usage.caller_allocated else MINOR, words)


def _size_tagged(pairs: TypePairs, record: Record) -> bool:
    """Whether the first member is the size of the structure as the program knows it."""
    members = fields(pairs.old, record)
    if not members or not is_size_tag(members[0].name):
        return False
    row = unqualified(pairs.old, members[0].type).row
    holds = any(
        field.name.lower() in _CONTAINER and isinstance(unqualified(pairs.old, field.type).row, Pointer)
        for field in members
    )
    return isinstance(row, Base) and row.encoding in ("signed", "unsigned") and not holds


def _removed(pairs: TypePairs, matched: _Matched) -> list[LayoutChange]:
    return [
        LayoutChange("member-removed", BREAKING, f"`{spell(pairs.old, field.type, field.name)}` at {field.where}")
        for field in matched.removed
    ]


def _with_moves(
    pairs: TypePairs, old: Record, new: Record, changes: list[LayoutChange], moved: list[tuple[Field, Field]]
) -> list[LayoutChange]:
    """Says which members moved: with the change that moved them, or as a finding of its own."""
    if not moved:
        return changes
    words = ", ".join(f"`{a.name}` from {a.where} to {b.where}" for a, b in moved[:4])
    words += ", ..." if len(moved) > 4 else ""
    for index, change in enumerate(changes):
        if change.rule in _MOVING_RULES:
            inserted = change.severity < BREAKING and change.rule in _ADDING_RULES
            rule = "member-inserted" if inserted else change.rule
            told = LayoutChange(rule, BREAKING, f"{change.words}; moved: {words}", change.old, change.new)
            return [*changes[:index], told, *changes[index + 1 :]]
    return [*changes, LayoutChange(_move_rule(pairs, old, new, moved), BREAKING, f"moved: {words}")]


# Changes that move the members behind them; the first ones add a member.
_ADDING_TEXT = "member-appended union-member-added reserved-member-used padding-used"
_CHANGING_TEXT = "member-inserted member-removed member-retyped member-array-length bit-field-changed"
_ADDING_RULES = frozenset(_ADDING_TEXT.split())
_MOVING_RULES = _ADDING_RULES.union(_CHANGING_TEXT.split())


def _move_rule(pairs: TypePairs, old: Record, new: Record, moved: list[tuple[Field, Field]]) -> str:
    """The rule of members that moved without another change that explains it."""
    word = pairs.machine.word
    if is_packed(pairs.old, old, word) != is_packed(pairs.new, new, word):
        return "packing-changed"
    if all(a.width is not None for a, _ in moved):
        return "bit-field-changed"
    if _order(old, pairs, True) != _order(new, pairs, False) or _content_grew(pairs, old, new):
        return "member-moved"
    return "alignment-changed" if all(b.offset >= a.offset for a, b in moved) else "member-moved"


def _order(record: Record, pairs: TypePairs, old: bool) -> list[str]:
    return [field.name for field in fields(pairs.old if old else pairs.new, record) if not is_reserved(field.name)]


def _content_grew(pairs: TypePairs, old: Record, new: Record) -> bool:
    """Whether a member before the moved ones grew (the type of an embedded record)."""
    after = {field.name: field for field in fields(pairs.new, new)}
    return any(field.name in after and after[field.name].size != field.size for field in fields(pairs.old, old))


def _size(
    pairs: TypePairs, old: Record, new: Record, changes: list[LayoutChange], usage: RecordUsage
) -> list[LayoutChange]:
    """A size or alignment that no member's change explains."""
    told = any(
        change.severity is BREAKING or change.rule in ("member-appended", "size-tagged-struct-grown")
        for change in changes
    )
    before, after = f"{old.size} bytes", f"{new.size} bytes"
    if old.size != new.size and not told:
        severity = BREAKING if usage.size_matters else RISK
        shrunk = (new.size or 0) < (old.size or 0) and any(change.rule == "reserved-member-used" for change in changes)
        if shrunk and not (usage.by_value or usage.indexed):
            severity = RISK  # objects of old programs are larger than they need be
        rule = "union-size-changed" if old.kind == "union" else "record-size-changed"
        if is_packed(pairs.old, old, pairs.machine.word) != is_packed(pairs.new, new, pairs.machine.word):
            rule = "packing-changed"
        return [LayoutChange(rule, severity, "the size", before, after)]
    aligned = _alignment(pairs.old, old, pairs), _alignment(pairs.new, new, pairs)
    if old.size == new.size and aligned[0] != aligned[1] and not told:
        # up to a word x86 does not mind; beyond, instructions on vectors fault
        vectors = aligned[1] > max(aligned[0], 8)
        severity = BREAKING if vectors and usage.caller_allocated else RISK
        return [LayoutChange("alignment-changed", severity, "the alignment", *map(str, aligned))]
    return []


def _alignment(types: Types, record: Record, pairs: TypePairs) -> int:
    """The alignment: the larger of what the file says (only where an attribute raised it) and of what the members need."""
    word = pairs.machine.word
    if is_packed(types, record, word):
        return record.alignment or 1
    below = [natural_alignment(types, member.type, word) for member in record.members]
    return max(record.alignment, *below, 1)


def _of_table(change: LayoutChange) -> LayoutChange:
    """The change as one of a table of operations (pointers to functions)."""
    if change.rule == "member-appended":
        return replace(change, rule="operations-table-grown")
    if change.rule in ("member-inserted", "members-swapped", "member-moved", "member-removed"):
        return replace(change, rule="operations-table-reordered")
    return change

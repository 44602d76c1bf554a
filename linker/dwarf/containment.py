"""What types hold by value: sizes, and records that contain themselves."""

from __future__ import annotations

from collections.abc import Callable

from uselib.linker.c_types import types as ct
from uselib.linker.quick_dataclass import replace

_DEEPEST = 150  # typedefs of arrays of typedefs of ...


def size_of(rows: list[ct.Type], row: int) -> int | None:
    """Bytes of a type; None if it has no size, or none is known."""
    times = 1
    for _ in range(_DEEPEST):
        type_ = rows[row]
        if isinstance(type_, ct.Typedef | ct.Qualified):
            row = type_.target
        elif isinstance(type_, ct.Array) and type_.count is not None:
            times, row = times * type_.count, type_.element
        elif isinstance(type_, ct.Base | ct.Pointer | ct.Record | ct.Enumeration):
            return None if type_.size is None else times * type_.size
        else:
            break
    return None


def cut_cycles(rows: list[ct.Type], unknown: Callable[[str], int]) -> None:
    """Gives members by which a record contains itself, not through a pointer, an unknown type (`unknown` makes one): that is
    damage, and would lead users of the graph round for ever."""
    inside: dict[int, list[int]] = {}
    for row, type_ in enumerate(rows):
        if isinstance(type_, ct.Record):
            below = [record for record in (_held(rows, member.type) for member in type_.members) if record]
            if below:
                inside[row] = below
    done: set[int] = set()
    for start in inside:
        path, on_path = [(start, 0)], {start}
        while path:
            row, turn = path.pop()
            below = inside.get(row, [])
            if row in done or turn == len(below):
                done.add(row)
                on_path.discard(row)
                continue
            path.append((row, turn + 1))
            if below[turn] in on_path:
                _cut(rows, row, below[turn], unknown("a structure contains itself"))
            elif below[turn] not in done:
                path.append((below[turn], 0))
                on_path.add(below[turn])


def _cut(rows: list[ct.Type], row: int, held: int, lost: int) -> None:
    record = rows[row]
    assert isinstance(record, ct.Record)
    members = tuple(replace(m, type=lost) if _held(rows, m.type) == held else m for m in record.members)
    rows[row] = replace(record, members=members)


def _held(rows: list[ct.Type], row: int) -> int:
    """The record that something of this type holds by value, or 0."""
    for _ in range(_DEEPEST):
        type_ = rows[row]
        if isinstance(type_, ct.Record):
            return row
        if isinstance(type_, ct.Typedef | ct.Qualified):
            row = type_.target
        elif isinstance(type_, ct.Array):
            row = type_.element
        else:
            return 0
    return 0

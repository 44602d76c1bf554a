"""Where exported data lie: section .exported, which programs know by absolute addresses.

Whole input sections are placed, for they cannot be cut (-fdata-sections gives each variable its own). The first
release has them in byte order of their first names, then the pointers of interposable functions. Every later one has
sections with promised data at the offsets where they were, nothing where a place is reserved, and new ones behind:

    +0   calls  (section .bss.calls of greet.o)     promised
    +4   4 bytes that were `verbosity`              reserved: zeroes
    +8   level  (section .data.level of greet.o)    new

The bytes between are filler sections, so that the layout pass, which packs sections, comes to the same offsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from uselib.linker.errors import Diagnostics
from uselib.linker.formats import elf
from uselib.linker.image import PAGE
from uselib.linker.library import jump_table
from uselib.linker.library.releases.places import Carried, Promise
from uselib.linker.passes.inputs import InputSection, Symbol

EXPORTED = ".exported"


@dataclass(frozen=True)
class Item:
    """An input section with exported data: names -> (offset in the section, bytes)."""

    section: InputSection
    names: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Arrangement:
    """Section .exported: its input sections in order, fillers included, the offset of each name, and the whole size."""

    sections: tuple[InputSection, ...] = ()
    offsets: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    size: int = 0


def _goes_first(section: InputSection) -> bool:
    """Whether a section with exported data can be moved into .exported: not code, nor what is found by its name."""
    if section.flags & elf.SHF_EXECINSTR or (section.name.isidentifier() and section.name != "COMMON"):
        return False
    return not section.name.startswith((".init_array", ".fini_array", ".ctors", ".dtors", ".eh_frame"))


def items(symbols: Iterable[Symbol]) -> tuple[Item, ...]:
    """The sections of exported data (and #init pointers), in byte order of their first names."""
    by_name = {symbol.name: symbol for symbol in symbols}
    found: dict[int, tuple[InputSection, dict[str, tuple[int, int]]]] = {}
    for name in jump_table.default_order(by_name):
        symbol = by_name[name]
        section = symbol.section
        if section is not None and _goes_first(section):
            names = found.setdefault(id(section), (section, {}))[1]
            names[name] = (symbol.value, symbol.size)
    return tuple(Item(section, _extents(section, names)) for section, names in found.values())


def _extents(section: InputSection, names: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Assembler source may give no size: such a datum reaches to the next one, or to the section's end."""
    starts = sorted({value for value, _ in names.values()} | {section.size})
    return {
        name: (value, size or max(0, next((at for at in starts if at > value), section.size) - value))
        for name, (value, size) in names.items()
    }


@dataclass(frozen=True)
class _Fixed:
    """A section with promised data: from `start`, `end` being that of the section and of all that it may still grow into."""

    item: Item
    start: int
    end: int
    promises: tuple[Promise, ...]

    @property
    def label(self) -> str:
        return f"{self.item.section.name} of {self.item.section.where.partition(':(')[0]}"


def arrange(found: Sequence[Item], carried: Carried, origin: int, where: str) -> Arrangement:
    """The contents of .exported. origin: where it started in the release before; 0 if it need not stay there.

    Raises LinkError: data that lay apart are in one section now or the other way round, a section with private data in it has
    grown into its neighbour, or an alignment has grown.
    """
    problems = Diagnostics()
    promises = {promise.name: promise for promise in carried.promises}
    fixed: list[_Fixed] = []
    fresh: list[Item] = []
    for item in found:
        own = tuple(promises[name] for name in item.names if name in promises)
        if not own:
            fresh.append(item)
            if item.section.alignment > PAGE and origin % item.section.alignment:
                problems.add(
                    where, f"wants an alignment of {item.section.alignment} bytes, and the data have been at {origin:#x} since earlier "
                    "releases", symbol=next(iter(item.names)), remedy="ask for less, or take a new major version",
                )  # fmt: skip
        elif (placed := _fix(item, own, problems, where)) is not None:
            fixed.append(placed)
    fixed.sort(key=lambda f: (f.start, f.item.section.size))
    reserved = [(place.address - origin, place.end - origin, place.name) for place in carried.reserved]
    _check_room(fixed, reserved, problems, where)
    problems.raise_if_any()
    return _pack(fixed, fresh, max((end for _, end, _ in reserved), default=0))


def _fix(item: Item, own: Sequence[Promise], problems: Diagnostics, where: str) -> _Fixed | None:
    section = item.section
    starts = {promise.offset - item.names[promise.name][0]: promise.name for promise in own}
    first, *others = starts.items()
    label = f"section {section.name} of {section.where.partition(':(')[0]}"
    if others:
        problems.add(
            where, f"and {others[0][1]} cannot both stay where they were: {label} has them at another distance now",
            symbol=first[1], remedy="compile with -fdata-sections, so that each variable has a section of its own",
        )  # fmt: skip
        return None
    start = first[0]
    if start < 0:
        problems.add(
            where, f"cannot stay where it was: {label} now has {-start} bytes too many in front of it",
            symbol=first[1], remedy="compile with -fdata-sections, so that each variable has a section of its own",
        )  # fmt: skip
        return None
    if start % max(section.alignment, 1):
        problems.add(
            where, f"cannot stay where it was: it wants an alignment of {section.alignment} bytes now", symbol=first[1],
            remedy="keep its alignment, or take a new major version",
        )  # fmt: skip
        return None
    end = max(start + section.size, *(promise.offset + promise.reserved for promise in own))
    return _Fixed(item, start, end, tuple(own))


def _check_room(
    fixed: Sequence[_Fixed], reserved: Sequence[tuple[int, int, str]], problems: Diagnostics, where: str
) -> None:
    """No section may lie on another one, nor on a place that is reserved (unless that shared its bytes all along)."""
    for before, after in pairwise(fixed):
        if after.start < before.start + before.item.section.size or _eats(before, after):
            problems.add(
                where, f"cannot stay where it was: {before.label}, which begins before it, has grown over it",
                symbol=after.promises[0].name,
                remedy="compile with -fdata-sections, so that private data lie apart from exported data",
            )  # fmt: skip
    for one in fixed:
        start, end = one.start, one.start + one.item.section.size
        for low, high, name in reserved:
            low_common, high_common = max(start, low), min(end, high)
            shared = any(p.offset <= low_common and high_common <= p.offset + p.reserved for p in one.promises)
            if low_common < high_common and not shared:
                problems.add(
                    where, f"has a place that stays reserved, and {one.label} reaches into it", symbol=name,
                    remedy="compile with -fdata-sections, so that each variable has a section of its own",
                )  # fmt: skip


def _eats(before: _Fixed, after: _Fixed) -> bool:
    """Whether a section begins within bytes that stay reserved for the one before it (after shrinking)."""
    return after.start < before.end and not any(
        p.offset < before.end and after.start <= p.offset for p in after.promises
    )


def _pack(fixed: Sequence[_Fixed], fresh: Sequence[Item], reserved_end: int) -> Arrangement:
    sections: list[InputSection] = []
    offsets: dict[str, int] = {}
    sizes: dict[str, int] = {}
    position = 0

    def fill(to: int) -> None:
        nonlocal position
        if to > position:
            flags = elf.SHF_ALLOC | elf.SHF_WRITE
            sections.append(InputSection(None, 0, EXPORTED, elf.SHT_PROGBITS, flags, to - position, 1))
            position = to

    def put(item: Item) -> None:
        nonlocal position
        sections.append(item.section)
        for name, (value, size) in item.names.items():
            offsets[name], sizes[name] = position + value, size
        position += item.section.size

    for one in fixed:
        fill(one.start)
        put(one.item)
    fill(max([reserved_end, *(one.end for one in fixed)]))
    for item in fresh:
        fill((position + item.section.alignment - 1) & -item.section.alignment)
        put(item)
    return Arrangement(tuple(sections), offsets, sizes, position)

"""Lays out the exported data: section .exported, which programs know by absolute addresses.

Whole input sections are placed, since they cannot be cut (-fdata-sections gives each variable its own). The first
release has them in byte order of their first names, then the pointers of interposable functions. Every later release has the sections with
data of earlier releases at their old offsets, nothing in reserved places, and new sections behind:

    +0   calls  (section .bss.calls of greet.o)     kept
    +4   4 bytes that were `verbosity`              reserved: zeroes
    +8   level  (section .data.level of greet.o)    new

Filler sections have the bytes between, so that the layout pass, which packs sections, gets the same offsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from uselib.linker.errors import Diagnostics
from uselib.linker.formats import elf
from uselib.linker.image import PAGE
from uselib.linker.library import jump_table
from uselib.linker.library.releases.places import KeptDatum, KeptPlaces
from uselib.linker.passes.model import InputSection, Symbol
from uselib.linker.quick_dataclass import dataclass, field

EXPORTED = ".exported"
APART = "compile with -fdata-sections, so that each variable has a section of its own"


@dataclass(frozen=True)
class DataSection:
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


def _can_move(section: InputSection) -> bool:
    """Whether a section with exported data can be moved into .exported. Code cannot, nor can a section that is found by its name."""
    if section.flags & elf.SHF_EXECINSTR or (section.name.isidentifier() and section.name != "COMMON"):
        return False
    return not section.name.startswith((".init_array", ".fini_array", ".ctors", ".dtors", ".eh_frame"))


def data_sections(symbols: Iterable[Symbol]) -> tuple[DataSection, ...]:
    """The sections of exported data (and #init pointers), in byte order of their first names."""
    by_name = {symbol.name: symbol for symbol in symbols}
    found: dict[int, tuple[InputSection, dict[str, tuple[int, int]]]] = {}
    for name in jump_table.default_order(by_name):
        symbol = by_name[name]
        section = symbol.section
        if section is not None and _can_move(section):
            names = found.setdefault(id(section), (section, {}))[1]
            names[name] = (symbol.value, symbol.size)
    return tuple(DataSection(section, _extents(section, names)) for section, names in found.values())


def _extents(section: InputSection, names: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """The sizes of data. A datum without a size, from assembler source, extends to the next one or to the section's end."""
    starts = sorted({value for value, _ in names.values()} | {section.size})
    return {
        name: (value, size or max(0, next((at for at in starts if at > value), section.size) - value))
        for name, (value, size) in names.items()
    }


@dataclass(frozen=True)
class _KeptSection:
    """A section with data of earlier releases, from `start`. end: the end of the section and of the room that it may still grow into."""

    item: DataSection
    start: int
    end: int
    data: tuple[KeptDatum, ...]

    @property
    def label(self) -> str:
        return f"{self.item.section.name} of {self.item.section.where.partition(':(')[0]}"


def arrange(found: Sequence[DataSection], kept: KeptPlaces, origin: int, where: str) -> Arrangement:
    """The contents of .exported. origin: where it started in the release before; 0 if it need not stay there.

    Raises LinkError: data that lay apart are in one section now or the other way round, a section with private data in it has
    grown into its neighbour, or an alignment has grown.
    """
    problems = Diagnostics()
    known = {datum.name: datum for datum in kept.data}
    fixed: list[_KeptSection] = []
    fresh: list[DataSection] = []
    for item in found:
        own = tuple(known[name] for name in item.names if name in known)
        if not own:
            fresh.append(item)
            if item.section.alignment > PAGE and origin % item.section.alignment:
                problems.add(
                    where,
                    f"needs an alignment of {item.section.alignment} bytes, and the data have been at {origin:#x} since earlier releases",
                    symbol=next(iter(item.names)),
                    remedy="ask for less, or take a new major version",
                )
        elif (placed := _keep(item, own, problems, where)) is not None:
            fixed.append(placed)
    fixed.sort(key=lambda f: (f.start, f.item.section.size))
    reserved = [(place.address - origin, place.end - origin, place.name) for place in kept.reserved]
    _check_room(fixed, reserved, problems, where)
    problems.raise_if_any()
    return _pack(fixed, fresh, max((end for _, end, _ in reserved), default=0))


def _keep(item: DataSection, own: Sequence[KeptDatum], problems: Diagnostics, where: str) -> _KeptSection | None:
    section = item.section
    starts = {datum.offset - item.names[datum.name][0]: datum.name for datum in own}
    first, *others = starts.items()
    start, name = first
    label = f"section {section.name} of {section.where.partition(':(')[0]}"
    if others:
        problems.add(
            where,
            f"and {others[0][1]} cannot both keep their addresses: {label} has them at another distance now",
            symbol=name,
            remedy=APART,
        )
        return None
    if start < 0:
        why = f"cannot keep its address: {label} now has {-start} bytes too many in front of it"
        problems.add(where, why, symbol=name, remedy=APART)
        return None
    if start % max(section.alignment, 1):
        why = f"cannot keep its address: it needs an alignment of {section.alignment} bytes now"
        problems.add(where, why, symbol=name, remedy="keep its alignment, or take a new major version")
        return None
    end = max(start + section.size, *(datum.offset + datum.reserved for datum in own))
    return _KeptSection(item, start, end, tuple(own))


def _check_room(
    fixed: Sequence[_KeptSection], reserved: Sequence[tuple[int, int, str]], problems: Diagnostics, where: str
) -> None:
    """No section may overlap another one, nor a reserved place (unless the two have always shared their bytes)."""
    for before, after in pairwise(fixed):
        if after.start < before.start + before.item.section.size or _lies_in_reserved_bytes(before, after):
            problems.add(
                where,
                f"cannot keep its address: {before.label}, which begins before it, has grown over it",
                symbol=after.data[0].name,
                remedy="compile with -fdata-sections, so that private data lie apart from exported data",
            )
    for one in fixed:
        start, end = one.start, one.start + one.item.section.size
        for low, high, name in reserved:
            low_common, high_common = max(start, low), min(end, high)
            shared = any(d.offset <= low_common and high_common <= d.offset + d.reserved for d in one.data)
            if low_common < high_common and not shared:
                problems.add(
                    where,
                    f"has a place that stays reserved, and {one.label} reaches into it",
                    symbol=name,
                    remedy=APART,
                )


def _lies_in_reserved_bytes(before: _KeptSection, after: _KeptSection) -> bool:
    """Whether a section begins within bytes that are reserved for a shrunk section before it."""
    return after.start < before.end and not any(d.offset < before.end and after.start <= d.offset for d in after.data)


def _pack(fixed: Sequence[_KeptSection], fresh: Sequence[DataSection], reserved_end: int) -> Arrangement:
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

    def put(item: DataSection) -> None:
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

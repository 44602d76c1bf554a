"""The arrangement of .exported, by properties: kept data have their offsets, reserved bytes are unused, nothing overlaps."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from uselib.linker.errors import LinkError
from uselib.linker.formats import elf
from uselib.linker.image import Version
from uselib.linker.library.releases import arrangement as places
from uselib.linker.library.releases.arrangement import DataSection
from uselib.linker.library.releases.history import PlaceRecord, PlaceState
from uselib.linker.library.releases.places import KeptDatum, KeptPlaces
from uselib.linker.passes.model import InputSection

V = Version(1, 0, 0)
ORIGIN = 0x61003000


def section(size: int, alignment: int) -> InputSection:
    return InputSection(None, 0, ".data.x", elf.SHT_PROGBITS, elf.SHF_ALLOC | elf.SHF_WRITE, size, alignment)


@dataclass(frozen=True)
class Datum:
    """A datum over time: its size (bytes reserved), alignment, and fate."""

    size: int
    alignment: int
    fate: str  # kept, shrunk, retired, new


FATES = st.sampled_from(["kept", "kept", "shrunk", "retired", "new"])
DATA = st.lists(st.builds(Datum, st.integers(1, 70), st.sampled_from([1, 2, 4, 8, 32]), FATES), min_size=1, max_size=14)


def packed(found: places.Arrangement) -> list[tuple[int, int, InputSection]]:
    """(start, end, section), as the layout pass comes to them: one behind the other, aligned."""
    rows, position = [], 0
    for part in found.sections:
        position = (position + part.alignment - 1) & -part.alignment
        rows.append((position, position + part.size, part))
        position += part.size
    return rows


@dataclass(frozen=True)
class Release:
    """The sections of a new release, and the places of the old one that programs rely on."""

    found: list[DataSection]
    kept: tuple[KeptDatum, ...]
    reserved: tuple[PlaceRecord, ...]


def next_release(data: list[Datum]) -> Release:
    old = [(f"n{n}", datum) for n, datum in enumerate(data) if datum.fate != "new"]
    items = [DataSection(section(d.size, d.alignment), {name: (0, d.size)}) for name, d in old]
    first = places.arrange(items, KeptPlaces(), 0, "t")
    found, kept, reserved = [], [], []
    for n, datum in enumerate(data):
        name = f"n{n}"
        size = datum.size if datum.fate != "shrunk" else (datum.size + 1) // 2
        if datum.fate == "retired":
            reserved.append(PlaceRecord(ORIGIN + first.offsets[name], 0, datum.size, PlaceState.RETIRED, V, name))
            continue
        found.append(DataSection(section(size, datum.alignment), {name: (0, size)}))
        if datum.fate != "new":
            kept.append(KeptDatum(name, first.offsets[name], datum.size, V))
    return Release(found, tuple(kept), tuple(reserved))


@given(DATA)
def test_kept_data_have_their_offsets(data: list[Datum]) -> None:
    release = next_release(data)
    again = places.arrange(release.found, KeptPlaces(release.kept, release.reserved), ORIGIN, "t")
    rows = packed(again)
    where = {id(part): start for start, _, part in rows}
    for item in release.found:
        (name,) = item.names
        assert where[id(item.section)] == again.offsets[name]
    for datum in release.kept:
        assert again.offsets[datum.name] == datum.offset
    own = {id(item.section) for item in release.found}
    check_reserved([(start, end) for start, end, part in rows if id(part) in own], release)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(rows))
    ends = [place.end - ORIGIN for place in release.reserved]
    assert again.size == max([end for _, end, _ in rows], default=0) >= max(ends, default=0)


def check_reserved(taken: list[tuple[int, int]], release: Release) -> None:
    """No section overlaps retired bytes, or bytes into which a shrunk datum may grow again."""
    for place in release.reserved:
        low, high = place.address - ORIGIN, place.end - ORIGIN
        assert all(end <= low or high <= start for start, end in taken)
    for datum in release.kept:
        others = [row for row in taken if row[0] != datum.offset]
        assert all(end <= datum.offset or datum.offset + datum.reserved <= start for start, end in others)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30), st.integers(0, 20), st.booleans()), max_size=8))
def test_sections_with_private_data(rows: list[tuple[int, int, int, bool]]) -> None:
    """Sections that have more than the kept datum: either all data keep their places without an overlap, or the link is refused."""
    found, kept, reserved = [], [], []
    for n, (at, size, before, gone) in enumerate(rows):
        if gone:
            reserved.append(PlaceRecord(ORIGIN + at, 0, size, PlaceState.RETIRED, V, f"n{n}"))
        else:
            found.append(DataSection(section(before + size + before // 2, 1), {f"n{n}": (before, size)}))
            kept.append(KeptDatum(f"n{n}", at, size, V))
    try:
        made = places.arrange(found, KeptPlaces(tuple(kept), tuple(reserved)), ORIGIN, "t")
    except LinkError as problem:
        assert all("keep" in d.message or "stays reserved" in d.message for d in problem.diagnostics)
        return
    own = {id(item.section) for item in found}
    taken = [(start, end) for start, end, part in packed(made) if id(part) in own]
    assert {name: made.offsets[name] for name in made.offsets} == {p.name: p.offset for p in kept}
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(taken))
    for place in reserved:  # only bytes that had two names may be in use
        low, high = place.address - ORIGIN, place.end - ORIGIN
        for start, end in taken:
            common = (max(start, low), min(end, high))
            shared = any(p.offset <= common[0] and common[1] <= p.offset + p.reserved for p in kept)
            assert common[0] >= common[1] or shared

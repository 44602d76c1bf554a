"""Where the members of structures and unions lie (System V psABI 3.1.2)."""

from __future__ import annotations

import math
from collections.abc import Iterable

from uselib.linker.quick_dataclass import NamedTuple


def _up(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


class LayoutMember(NamedTuple):
    """A member to be laid out: bytes, bytes, bits of a bit-field. named: a bit-field without a name does not align its record.
    packed: by its own attribute or its record's, and no alignment was asked for."""

    size: int
    alignment: int
    width: int | None = None
    named: bool = True
    packed: bool = False


class RecordLayout(NamedTuple):
    """Where members lie. offsets: in bits from the start of the record; size and alignment in bytes."""

    offsets: tuple[int, ...]
    size: int
    alignment: int


def laid_out(members: Iterable[LayoutMember], *, union: bool = False, pack: int = 0, aligned: int = 1) -> RecordLayout:
    """Lays out a structure as the System V ABIs do (psABI 3.1.2; bit-fields as gcc's PCC_BITFIELD_TYPE_MATTERS).

    A bit-field lies within as many alignment units as its type has, else it begins at the next unit; a width of 0 ends the
    unit; bit-fields without a name do not align the structure; under `#pragma pack` and the attribute they follow each other
    bit by bit. pack: what the pragma limits alignments to, 0 none; aligned: what the
    record's own attribute demands at least.
    """
    offsets: list[int] = []
    position = 0  # in bits
    end = 0
    alignment = aligned
    for size, natural, width, named, packed in members:
        unit = 1 if packed else min(natural, pack) if pack else natural
        if union:
            position = 0
        if width is None:
            position = _up(position, unit * 8)
            offsets.append(position)
            position += size * 8
            alignment = max(alignment, unit)
        elif width == 0:
            position = _up(position, natural * 8)
            offsets.append(position)
        else:
            units = math.ceil((position % (unit * 8) + width) / (unit * 8))
            if not packed and not pack and units > size // unit:
                position = _up(position, unit * 8)
            offsets.append(position)
            if named:  # as gcc: the pragma aligns a bit-field's record even where the attribute packs it
                alignment = max(alignment, min(natural, pack) if pack else unit)
            position += width
        end = max(end, position)
    return RecordLayout(tuple(offsets), _up(-(-end // 8), alignment), alignment)


def enumeration_size(values: Iterable[int], packed: bool) -> int:
    """Bytes of an enumeration without a type of its own, as gcc chooses them: 4 or 8; packed: the fewest that hold its values."""
    known = (0, *values)
    low, high = min(known), max(known)
    sizes = (1, 2, 4, 8) if packed else (4, 8)
    return next((s for s in sizes if -(1 << 8 * s - 1) <= low and high < 1 << (8 * s - (low < 0))), 8)

"""Numbers that entries encode in several ways: offsets of members, elements of arrays, values of enumerators."""

from __future__ import annotations

from collections.abc import Iterable

from uselib.linker.dwarf import constants as dw
from uselib.linker.dwarf.abbreviations import uleb
from uselib.linker.dwarf.units import AttributeValues
from uselib.linker.quick_typing import Any


def member_offset(member: AttributeValues, size: int) -> int:
    """Bits from a record's start to a member (DW_TAG_member, DW_TAG_inheritance). size: bytes of a bit-field's type."""
    stated = member.get(dw.DATA_MEMBER_LOCATION, 0)
    where: int = 8 * (stated if isinstance(stated, int) else _computed(stated))
    width = member.get(dw.BIT_SIZE)
    if width is None:
        return where
    if dw.DATA_BIT_OFFSET in member:
        return where + int(member[dw.DATA_BIT_OFFSET])
    # DWARF 2 and 3: counted from the most significant bit of the storage unit
    skipped = member.get(dw.BIT_OFFSET, 0)
    skipped -= 1 << 64 if skipped >> 63 == 1 else 0
    return where + 8 * int(member.get(dw.BYTE_SIZE) or size) - int(skipped) - int(width)


def _computed(where: Any) -> int:
    """0 where a member is found at run time (virtual bases). DW_OP_plus_uconst is DWARF 2's way."""
    if isinstance(where, bytes) and where[:1] in (b"\x23", b"\x10"):
        return uleb(where, 1)[0]
    return 0


def element_count(bounds: AttributeValues) -> int | None:
    """Elements of one dimension; None if it has no bound, or one that is computed at run time."""
    count = bounds.get(dw.COUNT)
    if isinstance(count, int):
        return count
    upper = bounds.get(dw.UPPER_BOUND)
    if not isinstance(upper, int):
        return None
    return 0 if upper in (-1, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF) else upper + 1


def enumerator_value(enumerator: AttributeValues) -> int:
    """Raises KeyError if it has none."""
    value = enumerator[dw.CONST_VALUE]
    return value if isinstance(value, int) else int.from_bytes(value, "little")


def with_sign(values: Iterable[tuple[str, int]], size: int) -> list[tuple[str, int]]:
    """Values of a signed enumeration of `size` bytes: 0xffffffff of DW_FORM_data4 is -1."""
    limit = 1 << (8 * size - 1)
    return [(name, value - 2 * limit if limit <= value < 2 * limit else value) for name, value in values]

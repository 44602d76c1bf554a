"""Units and entries of .debug_info (and of .debug_types, which is read as if it stood behind it).

`Information.entry(unit, offset)` decodes one entry; `children` gives those below it; references come out as offsets, strings as
str, numbers as int, expressions as bytes. Damage in the data raises Damage, or struct.error, IndexError or KeyError where an explicit check
would be too slow: callers catch DAMAGE around each name that they look up.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator

from uselib.linker.dwarf import abbreviations as ab
from uselib.linker.dwarf import constants as dw
from uselib.linker.dwarf.abbreviations import Abbreviation, Damage, FormSizes, sleb, uleb
from uselib.linker.dwarf.sections import Sections
from uselib.linker.quick_dataclass import dataclass, field
from uselib.linker.quick_typing import Any

DAMAGE = (Damage, struct.error, IndexError, KeyError, ValueError, OverflowError, RecursionError)

AttributeValues = dict[int, Any]
ELSEWHERE = -1  # a reference into a file that is not read (dwz's common file, a type unit that is missing)

_REFERENCES = frozenset((dw.F_REF1, dw.F_REF2, dw.F_REF4, dw.F_REF8, dw.F_REF_UDATA))
_STRX = frozenset((dw.F_STRX, dw.F_STRX1, dw.F_STRX2, dw.F_STRX3, dw.F_STRX4, dw.F_GNU_STR_INDEX))
_ADDRX = frozenset((dw.F_ADDRX, dw.F_ADDRX1, dw.F_ADDRX2, dw.F_ADDRX3, dw.F_ADDRX4, dw.F_GNU_ADDR_INDEX))
_ALTERNATE = frozenset((dw.F_GNU_REF_ALT, dw.F_REF_SUP4, dw.F_REF_SUP8))
_ALTERNATE_STRING = frozenset((dw.F_GNU_STRP_ALT, dw.F_STRP_SUP))
_PLAIN = frozenset(
    (dw.F_DATA1, dw.F_DATA2, dw.F_DATA4, dw.F_DATA8, dw.F_FLAG, dw.F_SEC_OFFSET, dw.F_ADDR, dw.F_UDATA, dw.F_SDATA)
)


@dataclass(slots=True, eq=False)
class Unit:
    """A unit's header and, once asked for, its abbreviations and the attributes of its first entry."""

    number: int
    start: int
    end: int
    forms: FormSizes
    abbrev_offset: int
    first: int
    kind: int
    signature: int = 0
    type_at: int = 0
    table: ab.AbbreviationTable = field(default_factory=dict)
    top: AttributeValues = field(default_factory=dict)
    language: int = 0
    str_offsets_base: int = 0
    addr_base: int = 0


class Information:
    """All units of a file. problems: a sentence for each unit that cannot be read."""

    def __init__(self, sections: Sections) -> None:
        self.sections = sections
        self.data = sections.info + sections.types
        self.problems: list[str] = list(sections.problems)
        self.alternate = False  # something refers to a dwz file
        self._strings: dict[int, str] = {}
        self._tables: dict[tuple[int, tuple[int, int, int]], ab.AbbreviationTable] = {}
        self.signatures: dict[int, int] = {}  # type signature -> offset of the type's entry
        self.units: list[Unit] = []
        self._read_units(0, len(sections.info), "debug_info")
        self._read_units(len(sections.info), len(self.data), "debug_types")
        self._starts = [unit.start for unit in self.units]

    # -- units ---------------------------------------------------------------------------------------------------------

    def _read_units(self, at: int, end: int, section: str) -> None:
        while at < end:
            try:
                unit = self._unit(at, end, section == "debug_types")
            except DAMAGE as problem:
                text = str(problem) if isinstance(problem, Damage) else "its header is cut off"
                self.problems.append(
                    f"{self.sections.where}: the debug information is damaged from offset {at:#x} of .{section} on: {text}"
                )
                return
            self.units.append(unit)
            at = unit.end

    def _unit(self, at: int, limit: int, old_type_unit: bool) -> Unit:
        data = self.data
        start = at
        (length,) = struct.unpack_from("<I", data, at)
        at += 4
        offset_size = 4
        if length == 0xFFFFFFFF:
            (length,) = struct.unpack_from("<Q", data, at)
            at += 8
            offset_size = 8
        elif length >= 0xFFFFFFF0:
            raise Damage(f"a unit has the reserved length {length:#x}")
        end = at + length
        if end > limit:
            raise Damage(f"a unit of {length:#x} bytes ends behind the section")
        (version,) = struct.unpack_from("<H", data, at)
        at += 2
        if not 2 <= version <= 5:
            raise Damage(f"a unit has DWARF version {version}; 2 to 5 are read")
        word = "<I" if offset_size == 4 else "<Q"
        kind = dw.UT_TYPE if old_type_unit else dw.UT_COMPILE
        if version >= 5:
            kind, address = data[at], data[at + 1]
            (abbrev_offset,) = struct.unpack_from(word, data, at + 2)
            at += 2 + offset_size
        else:
            (abbrev_offset,) = struct.unpack_from(word, data, at)
            address = data[at + offset_size]
            at += offset_size + 1
        if address not in (4, 8):
            raise Damage(f"a unit has addresses of {address} bytes")
        signature = type_at = 0
        if kind in (dw.UT_TYPE, dw.UT_SPLIT_TYPE):
            (signature,) = struct.unpack_from("<Q", data, at)
            (type_at,) = struct.unpack_from(word, data, at + 8)
            at += 8 + offset_size
        elif kind in (dw.UT_SKELETON, dw.UT_SPLIT_COMPILE):
            at += 8
        elif kind not in (dw.UT_COMPILE, dw.UT_PARTIAL):
            raise Damage(f"a unit is of unknown kind {kind}")
        if at > end:
            raise Damage("a unit is shorter than its header")
        unit = Unit(len(self.units), start, end, FormSizes(version, address, offset_size), abbrev_offset, at, kind)
        if kind == dw.UT_TYPE:
            unit.signature, unit.type_at = signature, start + type_at
            self.signatures.setdefault(signature, start + type_at)
        return unit

    def open(self, unit: Unit) -> AttributeValues:
        """The attributes of a unit's first entry; reads its abbreviations first. Raises one of DAMAGE."""
        if unit.top:
            return unit.top
        key = (unit.abbrev_offset, unit.forms.key)
        if key not in self._tables:
            self._tables[key] = ab.read_table(self.sections.abbrev, unit.abbrev_offset, unit.forms)
        unit.table = self._tables[key]
        # A default, for what has no DW_AT_str_offsets_base: behind the header of the table.
        unit.str_offsets_base = (8 if unit.forms.offset == 4 else 16) if unit.forms.version >= 5 else 0
        unit.addr_base = unit.str_offsets_base
        bases = self.entry(unit, unit.first, indexed=False)[1]
        unit.str_offsets_base = bases.get(dw.STR_OFFSETS_BASE, unit.str_offsets_base)
        unit.addr_base = bases.get(dw.ADDR_BASE) or bases.get(dw.GNU_ADDR_BASE) or unit.addr_base
        values: AttributeValues = self.entry(unit, unit.first)[1]
        unit.language = values.get(dw.LANGUAGE, 0)
        values.setdefault(dw.NAME, "")
        unit.top = values
        return values

    def unit_of(self, offset: int) -> Unit:
        """The unit in which an offset lies, opened. Raises Damage if there is none."""
        number = bisect_right(self._starts, offset) - 1
        if number < 0 or offset >= self.units[number].end or offset < self.units[number].first:
            raise Damage("a reference leads out of the debug information")
        unit = self.units[number]
        if not unit.top:
            self.open(unit)
        return unit

    # -- entries -------------------------------------------------------------------------------------------------------

    def entry(self, unit: Unit, at: int, indexed: bool = True) -> tuple[Abbreviation | None, AttributeValues, int]:
        """An entry: its abbreviation (None ends a list of children), the wanted attributes, the offset behind it.

        indexed False: leave values that need the unit's bases as they are.
        """
        data = self.data
        code = data[at]
        at += 1
        if code >= 0x80:
            code, at = uleb(data, at - 1)
        if not code:
            return None, {}, at
        abbreviation = unit.table.get(code)
        if abbreviation is None:
            raise Damage(f"an entry at {at - 1:#x} has the unknown abbreviation {code}")
        steps = abbreviation.steps
        if steps is None:
            steps = ab.compile_steps(abbreviation, unit.forms)
        values: AttributeValues = dict(abbreviation.constants)
        strings = self._strings
        for run, names, size in steps:
            if run is not None:
                for (attribute, form), value in zip(names, run.unpack_from(data, at), strict=True):
                    if form == dw.F_STRP:
                        values[attribute] = strings.get(value) or self.string(value)
                    elif form == dw.F_REF4:
                        values[attribute] = unit.start + value
                    elif form in _PLAIN:
                        values[attribute] = value
                    else:
                        values[attribute] = self._value(unit, form, value, indexed)
                at += size
            else:
                value, at = self._variable(unit, names[0][1] if names else dw.F_UDATA, size, at, indexed)
                if names:
                    values[names[0][0]] = value
        if at > unit.end:
            raise Damage(f"an entry runs over the end of its unit at {unit.end:#x}")
        return abbreviation, values, at

    def _variable(self, unit: Unit, form: int, what: int, at: int, indexed: bool) -> tuple[Any, int]:
        """The value of a form without fixed size, and the offset behind it."""
        data = self.data
        if what == ab.STRING:
            end = data.index(0, at)
            return data[at:end].decode("utf-8", "replace"), end + 1
        if what == ab.SLEB:
            return sleb(data, at)
        if what == ab.ULEB:
            value, at = uleb(data, at)
            return self._value(unit, form, value, indexed), at
        at, size = self._block(what, at)
        return data[at : at + size], at + size

    def _block(self, what: int, at: int) -> tuple[int, int]:
        """Start and size of a block. Raises Damage if it ends behind the data."""
        data = self.data
        if what == ab.BLOCK1:
            size, at = data[at], at + 1
        elif what == ab.BLOCK2:
            size, at = int.from_bytes(data[at : at + 2], "little"), at + 2
        elif what == ab.BLOCK4:
            size, at = int.from_bytes(data[at : at + 4], "little"), at + 4
        else:
            size, at = uleb(data, at)
        if at + size > len(data):
            raise Damage("a block runs over the end of the section")
        return at, size

    def _value(self, unit: Unit, form: int, value: Any, indexed: bool) -> Any:
        """The value of a number of any form."""
        if form in _REFERENCES:
            return unit.start + value
        if form in _PLAIN:
            return value
        if form == dw.F_REF_ADDR:
            return value
        if form == dw.F_LINE_STRP:
            return _text(self.sections.line_str, value)
        if form == dw.F_STRP:
            return self.string(value)
        if form == dw.F_REF_SIG8:
            return self.signatures.get(value, ELSEWHERE)
        if isinstance(value, bytes):  # of 3 or 16 bytes
            value = int.from_bytes(value, "little")
        if form in _STRX:
            if not indexed:
                return ""
            size = unit.forms.offset
            at = unit.str_offsets_base + value * size
            table = self.sections.str_offsets
            if at + size > len(table):
                raise Damage("the index of a string lies outside .debug_str_offsets")
            return self.string(int.from_bytes(table[at : at + size], "little"))
        if form in _ADDRX:
            at, size = unit.addr_base + value * unit.forms.address, unit.forms.address
            if not indexed or at + size > len(self.sections.addr):
                return 0
            return int.from_bytes(self.sections.addr[at : at + size], "little")
        if form in _ALTERNATE:
            self.alternate = True
            return ELSEWHERE
        if form in _ALTERNATE_STRING:
            self.alternate = True
            return ""
        return value

    def string(self, offset: int) -> str:
        """A string of .debug_str."""
        text = self._strings[offset] = _text(self.sections.strings, offset)
        return text

    # -- walking -------------------------------------------------------------------------------------------------------

    def children(self, unit: Unit, at: int) -> Iterator[tuple[int, Abbreviation, AttributeValues, int]]:
        """The entries of the list of children that begins at `at`: (offset, abbreviation, attributes, offset behind it)."""
        end = unit.end
        while at < end:
            start = at
            abbreviation, values, at = self.entry(unit, start)
            if abbreviation is None:
                return
            behind = at
            if abbreviation.children:
                at = self.behind_children(unit, start, abbreviation, at)
            yield start, abbreviation, values, behind
        raise Damage("a list of entries has no end")

    def chosen(
        self, unit: Unit, at: int, tags: frozenset[int]
    ) -> Iterator[tuple[int, Abbreviation, AttributeValues, int]]:
        """`children`, but only those with one of `tags`; of the others only the length is looked at."""
        data, table, end = self.data, unit.table, unit.end
        while at < end:
            start = at
            code = data[at]
            at += 1
            if code >= 0x80:
                code, at = uleb(data, start)
            elif not code:
                return
            abbreviation = table[code]
            if abbreviation.tag in tags:
                _, values, at = self.entry(unit, start)
                yield start, abbreviation, values, at
            elif abbreviation.sibling < 0 or not abbreviation.children:
                at = at + abbreviation.fixed if abbreviation.fixed >= 0 else self.skip(abbreviation, at)
            if abbreviation.children:
                at = self.behind_children(unit, start, abbreviation, at)
        raise Damage("a list of entries has no end")

    def behind_children(self, unit: Unit, start: int, abbreviation: Abbreviation, at: int) -> int:
        """The offset behind all that lies below the entry at `start`, whose children begin at `at`: by DW_AT_sibling, before which
        the 0 that ends the children must stand."""
        sibling = abbreviation.sibling
        if sibling >= 0:
            data = self.data
            body = start + 1
            if data[start] >= 0x80:
                _, body = uleb(data, start)
            target = unit.start + int.from_bytes(data[body + sibling : body + sibling + 4], "little")
            if not at < target <= unit.end or data[target - 1]:
                raise Damage(f"an entry at {start:#x} has a sibling where none can be")
            return target
        return self.skip_list(unit, at)

    def skip_list(self, unit: Unit, at: int) -> int:
        """The offset behind a list of children that begins at `at`: walked entry by entry."""
        data, table, depth, end = self.data, unit.table, 1, unit.end
        while depth:
            if at >= end:
                raise Damage("a list of entries has no end")
            code = data[at]
            at += 1
            if not code:
                depth -= 1
                continue
            start = at - 1
            if code >= 0x80:
                code, at = uleb(data, start)
            abbreviation = table[code]
            if abbreviation.children:
                sibling = abbreviation.sibling
                if sibling >= 0:
                    target = unit.start + int.from_bytes(data[at + sibling : at + sibling + 4], "little")
                    if not at < target <= end or data[target - 1]:
                        raise Damage(f"an entry at {start:#x} has a sibling where none can be")
                    at = target
                    continue
                depth += 1
            at = at + abbreviation.fixed if abbreviation.fixed >= 0 else self.skip(abbreviation, at)
        return at

    def skip(self, abbreviation: Abbreviation, at: int) -> int:
        """The offset behind an entry's attributes, which begin at `at`."""
        data = self.data
        for step in abbreviation.skips:
            if step >= 0:
                at += step
            elif step == ab.BLOCK or step == ab.ULEB or step == ab.SLEB:
                value = data[at]
                at += 1
                if value >= 0x80:
                    value, at = uleb(data, at - 1)
                if step == ab.BLOCK:
                    at += value
            elif step == ab.STRING:
                found = data.find(0, at)
                if found < 0:
                    raise Damage("a string has no end")
                at = found + 1
            else:
                at, size = self._block(step, at)
                at += size
        return at


def _text(data: bytes, at: int) -> str:
    end = data.find(0, at) if at < len(data) else -1
    if end < 0:
        raise Damage("the offset of a string lies outside its section")
    return data[at:end].decode("utf-8", "replace")

"""Abbreviations, compiled: how many bytes an entry has, and how to decode the attributes that the readers use.

An abbreviation (7.5.3 of the standard) is a tag and a list of (attribute, form). Most forms have a fixed size, so an
entry is a few runs of fixed size with a string or a LEB128 number between them. Each run becomes one `Struct` that
unpacks the wanted attributes and pads over the others. Nearly every entry that has children in GCC's output begins
with a fixed run that holds DW_AT_sibling: those are skipped whole. An entry without DW_AT_sibling is skipped child by child.
"""

from __future__ import annotations

from struct import Struct

from uselib.linker.dwarf import constants as dw


class Damage(Exception):
    """Debug information that cannot be followed; the text says why. Public functions of this package catch it where they say so."""


# Steps for a form without fixed size.
ULEB, SLEB, STRING, BLOCK1, BLOCK2, BLOCK4, BLOCK = range(-1, -8, -1)

_LEB128 = "F_UDATA F_REF_UDATA F_STRX F_ADDRX F_LOCLISTX F_RNGLISTX F_GNU_ADDR_INDEX F_GNU_STR_INDEX"
_VARIABLE = {
    dw.F_STRING: STRING,
    dw.F_BLOCK1: BLOCK1,
    dw.F_BLOCK2: BLOCK2,
    dw.F_BLOCK4: BLOCK4,
    **dict.fromkeys(dw.numbers("F_BLOCK F_EXPRLOC"), BLOCK),
    **dict.fromkeys(dw.numbers("F_SDATA"), SLEB),
    **dict.fromkeys(dw.numbers(_LEB128), ULEB),
}
_SIZES = {  # bytes -> forms
    0: "F_FLAG_PRESENT F_IMPLICIT_CONST",
    1: "F_DATA1 F_FLAG F_REF1 F_STRX1 F_ADDRX1",
    2: "F_DATA2 F_REF2 F_STRX2 F_ADDRX2",
    3: "F_STRX3 F_ADDRX3",
    4: "F_DATA4 F_REF4 F_REF_SUP4 F_STRX4 F_ADDRX4",
    8: "F_DATA8 F_REF8 F_REF_SIG8 F_REF_SUP8",
    16: "F_DATA16",
}
_FIXED = {form: size for size, forms in _SIZES.items() for form in dw.numbers(forms)}
_OFFSETS = dw.numbers("F_STRP F_LINE_STRP F_SEC_OFFSET F_STRP_SUP F_GNU_REF_ALT F_GNU_STRP_ALT")
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q", 3: "3s", 16: "16s", 0: "0s"}

# The attributes that the readers use, by the kind of their value; all others are skipped.
_STRINGS = dw.numbers("NAME COMP_DIR PRODUCER LINKAGE_NAME MIPS_LINKAGE_NAME DWO_NAME GNU_DWO_NAME")
_REFERENCES = dw.numbers("ABSTRACT_ORIGIN SPECIFICATION TYPE SIGNATURE")
_CONSTANTS = dw.numbers(
    """BYTE_SIZE BIT_OFFSET BIT_SIZE STMT_LIST LOW_PC HIGH_PC LANGUAGE PROTOTYPED UPPER_BOUND CALLING_CONVENTION COUNT
    DECL_FILE DECL_LINE DECLARATION ENCODING EXTERNAL VIRTUALITY DATA_BIT_OFFSET STR_OFFSETS_BASE ADDR_BASE ALIGNMENT ARTIFICIAL
    NORETURN GNU_VECTOR GNU_ADDR_BASE"""
)
_EITHER = dw.numbers("CONST_VALUE DATA_MEMBER_LOCATION LOCATION FRAME_BASE")  # a number, or an expression
_STRING_FORMS = dw.numbers(
    "F_STRING F_STRP F_LINE_STRP F_STRP_SUP F_GNU_STRP_ALT F_STRX F_STRX1 F_STRX2 F_STRX3 F_STRX4 F_GNU_STR_INDEX"
)
_REFERENCE_FORMS = dw.numbers(
    "F_REF_ADDR F_REF1 F_REF2 F_REF4 F_REF8 F_REF_UDATA F_REF_SIG8 F_REF_SUP4 F_REF_SUP8 F_GNU_REF_ALT"
)
_BLOCK_FORMS = dw.numbers("F_BLOCK F_BLOCK1 F_BLOCK2 F_BLOCK4 F_EXPRLOC F_DATA16")
_NOT_CONSTANTS = _STRING_FORMS | _REFERENCE_FORMS | _BLOCK_FORMS


def _wanted(attribute: int, form: int) -> bool:
    """Whether the attribute is used and its form understood. Numbers that are computed at run time count as absent.

    Raises Damage for a name whose form is not a string's, and for a reference whose form is not a reference's.
    """
    if attribute in _CONSTANTS:
        return form not in _NOT_CONSTANTS
    if attribute in _EITHER:
        return form not in _STRING_FORMS and form not in _REFERENCE_FORMS
    if attribute in _STRINGS or attribute in _REFERENCES:
        if form not in (_STRING_FORMS if attribute in _STRINGS else _REFERENCE_FORMS):
            raise Damage(f"an attribute {attribute:#x} has form {form:#x}")
        return True
    return False


def uleb(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number and the offset behind it. Raises IndexError at the end of the data."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while True:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7
        if shift > 140:
            raise Damage("a number of more than 20 bytes")


def sleb(data: bytes, at: int) -> tuple[int, int]:
    """A signed LEB128 number and the offset behind it."""
    value, end = uleb(data, at)
    bits = 7 * (end - at)
    return (value - (1 << bits) if data[end - 1] & 0x40 else value), end


class FormSizes:
    """The sizes of forms in a unit: they depend on its version, its addresses and its offsets (4 or 8 bytes)."""

    __slots__ = ("address", "key", "offset", "version")

    def __init__(self, version: int, address: int, offset: int) -> None:
        self.version, self.address, self.offset = version, address, offset
        self.key = (version, address, offset)

    def size(self, form: int) -> int:
        """Bytes of a form, or what to do about it (negative). Raises Damage for a form of no standard."""
        fixed = _FIXED.get(form)
        if fixed is not None:
            return fixed
        if form in _OFFSETS:
            return self.offset
        if form == dw.F_ADDR:
            return self.address
        if form == dw.F_REF_ADDR:
            return self.address if self.version < 3 else self.offset
        variable = _VARIABLE.get(form)
        if variable is None:
            raise Damage(f"attributes of an unknown form {form:#x}")
        return variable


class Abbreviation:
    """fixed: bytes of the attributes, or -1. sibling: offset of DW_AT_sibling (ref4) in them, or -1 if it is not in the
    first fixed run. skips: fixed sizes (>= 0) and variable forms (< 0) in turn."""

    __slots__ = ("attributes", "children", "constants", "fixed", "name", "numbers", "sibling", "skips", "steps", "tag")

    def __init__(
        self, tag: int, children: bool, attributes: tuple[tuple[int, int, int], ...], forms: FormSizes
    ) -> None:
        self.tag, self.children, self.attributes = tag, children, attributes
        skips: list[int] = []
        run = 0
        self.sibling = -1
        self.name = -1  # offset of a DW_AT_name of form strp in the first run
        for attribute, form, _ in attributes:
            size = forms.size(form)
            if size < 0:
                if run:
                    skips.append(run)
                    run = 0
                skips.append(size)
                continue
            if not skips:
                if attribute == dw.SIBLING and form == dw.F_REF4:
                    self.sibling = run
                elif attribute == dw.NAME and form == dw.F_STRP and size == 4:
                    self.name = run
            run += size
        if run:
            skips.append(run)
        self.skips = tuple(skips)
        self.fixed = sum(skips) if all(s >= 0 for s in skips) else -1
        self.steps: tuple[DecodeStep, ...] | None = None  # made when the first entry is decoded
        self.constants: dict[int, int] = {}
        self.numbers = frozenset(attribute for attribute, _, _ in attributes)

    def has(self, attribute: int) -> bool:
        return attribute in self.numbers


# One step of decoding: a run (Struct, its (attribute, form) pairs) or a variable form (None, ((attribute, form),)).
DecodeStep = tuple[Struct | None, tuple[tuple[int, int], ...], int]


def compile_steps(abbreviation: Abbreviation, forms: FormSizes) -> tuple[DecodeStep, ...]:
    """How to decode an entry: for each run its Struct, the wanted (attribute, form) and its size; for each variable form
    None, its (attribute, form) if wanted, and what to do (negative). Values that the abbreviation itself has go to `constants`."""
    steps: list[DecodeStep] = []
    pattern, run = "<", 0
    wanted: list[tuple[int, int]] = []

    def flush() -> None:
        nonlocal pattern, wanted, run
        if run:
            steps.append((Struct(pattern), tuple(wanted), run))
        pattern, wanted, run = "<", [], 0

    for attribute, form, constant in abbreviation.attributes:
        size = forms.size(form)
        if size < 0:
            flush()
            names = ((attribute, form),) if _wanted(attribute, form) else ()
            steps.append((None, names, size))
        elif form == dw.F_FLAG_PRESENT:
            if _wanted(attribute, form):
                abbreviation.constants[attribute] = 1
        elif form == dw.F_IMPLICIT_CONST:
            if _wanted(attribute, form):
                abbreviation.constants[attribute] = constant
        else:
            run += size
            if _wanted(attribute, form):
                pattern += _CODES[size]
                wanted.append((attribute, form))
            else:
                pattern += f"{size}x"
    flush()
    abbreviation.steps = tuple(steps)
    return abbreviation.steps


AbbreviationTable = dict[int, Abbreviation]


def read_table(data: bytes, at: int, forms: FormSizes) -> AbbreviationTable:
    """The abbreviations at offset `at` of .debug_abbrev. Raises Damage; struct and index errors at the end of the data."""
    table: AbbreviationTable = {}
    if at >= len(data):
        raise Damage("its abbreviations lie outside the section")
    while True:
        code, at = uleb(data, at)
        if not code:
            return table
        tag, at = uleb(data, at)
        children = data[at] != 0
        at += 1
        attributes: list[tuple[int, int, int]] = []
        while True:
            attribute, form = data[at], data[at + 1]
            if attribute < 0x80 and form < 0x80:
                at += 2
            else:
                attribute, at = uleb(data, at)
                form, at = uleb(data, at)
            constant = 0
            if form == dw.F_IMPLICIT_CONST:
                constant, at = sleb(data, at)
            if not attribute and not form:
                break
            attributes.append((attribute, form, constant))
        table[code] = Abbreviation(tag, children, tuple(attributes), forms)

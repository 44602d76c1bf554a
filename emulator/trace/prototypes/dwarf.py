"""DWARF -> prototypes (DWARF 2 to 5, by pyelftools). The functions of a file are indexed once, when the first is asked for; types
are read only for those asked for.

DWARF is a help, not an input that a trace depends on: where it is damaged the functions concerned have no prototype, and
`damage` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from elftools.dwarf.dwarfinfo import DWARFInfo
from elftools.elf.elffile import ELFFile

from uselib.linker.c_types.layout import base_type
from uselib.linker.c_types.value_types import (
    Array,
    Complex,
    Enumeration,
    Field,
    Floating,
    Function,
    Integer,
    Opaque,
    Parameter,
    Pointer,
    Prototype,
    Structure,
    Type,
    Value,
    Void,
    enumeration,
    guessed_format,
    renamed,
)
from uselib.linker.image import Machine

_QUALIFIERS = frozenset(
    f"DW_TAG_{kind}_type" for kind in ("const", "volatile", "restrict", "atomic", "immutable", "packed", "shared")
)
_POINTERS = frozenset(f"DW_TAG_{kind}_type" for kind in ("pointer", "reference", "rvalue_reference"))
_STRUCTURES = frozenset(f"DW_TAG_{kind}_type" for kind in ("structure", "class", "union"))
_SCOPES = _STRUCTURES | {"DW_TAG_namespace"}
_C_PLUS_PLUS = frozenset((0x04, 0x1A, 0x21, 0x2B))  # DW_LANG_C_plus_plus, _11, _14, _17
_DEEPEST = 32  # types within types
_MEMBERS = 1024  # of a structure or enumeration that are looked at
_BOOLEAN, _COMPLEX, _FLOAT, _SIGNED, _SIGNED_CHAR, _UNSIGNED_CHAR = 2, 3, 4, 5, 6, 8  # DW_ATE_*


class DwarfPrototypes:
    """The functions that one file's .debug_info describes: definitions, and the declarations of what it calls."""

    def __init__(self, information: DWARFInfo, machine: Machine, where: str) -> None:
        self._information, self._machine, self._where = information, machine, where
        self._index: dict[str, tuple[int, Any]] | None = None  # name -> (rank, DIE)
        self.damage = ""

    def find(self, name: str) -> Prototype | None:
        """The prototype of a function by its symbol's name, or None. Never raises."""
        try:
            if self._index is None:
                self._index = {}
                self._make_index(self._index)
            found = self._index.get(name)
            return None if found is None else self._prototype(name, found[1])
        except Exception as problem:  # whatever a parser of foreign bytes may raise: KeyError, AttributeError, ...
            self.damage = f"{self._where}: damaged DWARF ({type(problem).__name__})"
            return None

    # -- index ---------------------------------------------------------------------------------------------------------

    def _make_index(self, index: dict[str, tuple[int, Any]]) -> None:
        for unit in self._information.iter_CUs():
            top = unit.get_top_DIE()
            language = _value(top, "DW_AT_language", 0)
            self._index_children(top, language in _C_PLUS_PLUS, index, 0)

    def _index_children(self, parent: Any, nested: bool, index: dict[str, tuple[int, Any]], depth: int) -> None:
        for die in _children(parent):
            if die.tag == "DW_TAG_subprogram":
                attributes = die.attributes
                external = "DW_AT_external" in attributes
                rank = 2 if not external else 1 if "DW_AT_declaration" in attributes else 0
                if not nested and "DW_AT_prototyped" not in attributes and not die.has_children:
                    continue  # `int f()`, or a builtin that the compiler knows by heart: says nothing of arguments
                for attribute in ("DW_AT_linkage_name", "DW_AT_MIPS_linkage_name", "DW_AT_name"):
                    name = _text(die, attribute)
                    if name and (name not in index or index[name][0] > rank):
                        index[name] = (rank, die)
            elif nested and die.tag in _SCOPES and depth < _DEEPEST:
                self._index_children(die, nested, index, depth + 1)

    # -- functions -----------------------------------------------------------------------------------------------------

    def _prototype(self, name: str, die: Any) -> Prototype:
        parameters: list[Parameter] = []
        variadic = False
        for child in _children(die):
            if child.tag == "DW_TAG_formal_parameter" and len(parameters) < 127:
                parameters.append(Parameter(_text(child, "DW_AT_name"), self._type_of(child, 1, 0)))
            variadic |= child.tag == "DW_TAG_unspecified_parameters"
        result = self._type_of(die, 1, 0)
        index = guessed_format(parameters, variadic)
        noreturn = "DW_AT_noreturn" in die.attributes
        return Prototype(name, result, tuple(parameters), variadic, index, "printf", self._where, noreturn)

    # -- types ---------------------------------------------------------------------------------------------------------

    def _type_of(self, die: Any, pointers: int, depth: int) -> Type:
        """The type that a DIE's DW_AT_type refers to; without one, void."""
        if "DW_AT_type" not in die.attributes:
            return Void()
        return self._type(die.get_DIE_from_attribute("DW_AT_type"), pointers, depth + 1)

    def _type(self, die: Any, pointers: int, depth: int) -> Type:
        """pointers: how many are still followed to structures."""
        tag = die.tag
        name = _text(die, "DW_AT_name")
        if depth > _DEEPEST:
            return Opaque(name or "?")
        if tag in _QUALIFIERS:
            return self._type_of(die, pointers, depth)
        if tag == "DW_TAG_typedef":
            return renamed(self._type_of(die, pointers, depth), name)
        if tag in _POINTERS:
            target = self._type_of(die, pointers - 1, depth)
            return Pointer(target, self._machine.word, _points_to_const(die))
        if tag in _STRUCTURES:
            return self._structure(die, name, pointers, depth)
        if tag == "DW_TAG_base_type":
            return self._base(name, _value(die, "DW_AT_byte_size", 0), _value(die, "DW_AT_encoding", _SIGNED))
        if tag == "DW_TAG_enumeration_type":
            return self._enumeration(die, name, depth)
        if tag == "DW_TAG_array_type":
            return self._array(die, pointers, depth)
        if tag == "DW_TAG_subroutine_type":
            return Function()
        return Opaque(name or tag.removeprefix("DW_TAG_"), _value(die, "DW_AT_byte_size", 0))

    def _base(self, name: str, size: int, encoding: int) -> Type:
        known = base_type(name.split(), self._machine)
        if known is not None and known.size == size:
            return known
        limit = 4 if self._machine is Machine.I386 else 16
        if encoding in (_FLOAT, _COMPLEX):
            length = size // 2 if encoding == _COMPLEX else size
            part = Floating(name, length, min(length, limit))
            if part.size not in (4, 8, 12, 16) or "128" in name:
                return Opaque(name, size, min(size, limit) or 1)
            return Complex(name, part) if encoding == _COMPLEX else part
        alignment = min(size, limit) or 1
        style = "boolean" if encoding == _BOOLEAN else "decimal"
        if size == 1 and name == "char" and encoding in (_SIGNED_CHAR, _UNSIGNED_CHAR):
            style = "character"
        return Integer(name, size, encoding in (_SIGNED, _SIGNED_CHAR), alignment, style)

    def _structure(self, die: Any, name: str, pointers: int, depth: int) -> Type:
        word = "union" if die.tag == "DW_TAG_union_type" else "struct"
        label = f"{word} {name}" if name else word
        size = _value(die, "DW_AT_byte_size", 0)
        if pointers < 0 or "DW_AT_declaration" in die.attributes:
            return Opaque(label)
        fields: list[Field] = []
        for child in _children(die):
            member = child.tag == "DW_TAG_member" and "DW_AT_external" not in child.attributes
            if (member or child.tag == "DW_TAG_inheritance") and len(fields) < _MEMBERS:
                fields.append(self._field(child, min(pointers, 0), depth))
        stated = _value(die, "DW_AT_alignment", 0)
        alignment = stated or max((max(f.type.alignment or f.type.size, 1) for f in fields), default=1)
        return Structure(label, size, min(alignment, 16), tuple(fields), word == "union")

    def _field(self, die: Any, pointers: int, depth: int) -> Field:
        type_ = self._type_of(die, pointers, depth)
        name = _text(die, "DW_AT_name")
        offset = _value(die, "DW_AT_data_member_location", 0)
        width = _value(die, "DW_AT_bit_size", 0)
        if not width:
            return Field(name, type_, offset)
        if "DW_AT_data_bit_offset" in die.attributes:  # DWARF 4 and later: from the start of the structure
            first = _value(die, "DW_AT_data_bit_offset", 0)
        else:  # DWARF 2: from the most significant bit of the storage unit
            unit = _value(die, "DW_AT_byte_size", type_.size)
            skipped = _value(die, "DW_AT_bit_offset", 0)
            if skipped >> 63 == 1:  # a negative one, as clang writes it
                skipped -= 1 << 64
            first = 8 * offset + 8 * unit - skipped - width
        return Field(name, type_, first // 8, (first % 8, min(width, 128)))

    def _enumeration(self, die: Any, name: str, depth: int) -> Type:
        base = self._type_of(die, 0, depth)
        size = _value(die, "DW_AT_byte_size", base.size or 4)
        values: list[Value] = []
        for child in _children(die):
            if child.tag == "DW_TAG_enumerator" and len(values) < _MEMBERS:
                values.append(Value(_text(child, "DW_AT_name"), _value(child, "DW_AT_const_value", 0), -1))
        signed = base.signed if isinstance(base, Integer | Enumeration) else any(v.value < 0 for v in values)
        return enumeration(f"enum {name}" if name else "enum", size, signed, tuple(values))

    def _array(self, die: Any, pointers: int, depth: int) -> Type:
        type_ = self._type_of(die, pointers, depth)
        counts = []
        for child in _children(die):
            if child.tag == "DW_TAG_subrange_type":
                upper = _value(child, "DW_AT_upper_bound", -1)
                counts.append(_value(child, "DW_AT_count", upper + 1))
        for count in reversed(counts[:8] or [0]):
            type_ = Array(type_, count if 0 < count < 1 << 28 else 0)
        return type_


def _value(die: Any, attribute: str, default: int) -> int:
    """An attribute that is a number; `default` where it is missing or computed at run time."""
    found = die.attributes.get(attribute)
    if found is None:
        return default
    if isinstance(found.value, list) and found.value[:1] == [0x23]:  # DW_OP_plus_uconst: DWARF 2's member offsets
        return sum((byte & 0x7F) << 7 * n for n, byte in enumerate(found.value[1:9]))
    return found.value if isinstance(found.value, int) else default


def _text(die: Any, attribute: str) -> str:
    found = die.attributes.get(attribute)
    value = found.value if found is not None else b""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _children(parent: Any) -> Iterator[Any]:
    """The children of a DIE; ends where offsets do not grow, so that damaged sibling links make no endless loop."""
    last = parent.offset
    for die in parent.iter_children():
        if die.offset <= last:
            return
        last = die.offset
        yield die


def _points_to_const(die: Any) -> bool:
    """Is the target of a pointer const, perhaps through typedefs and other qualifiers?"""
    for _ in range(_DEEPEST):
        if "DW_AT_type" not in die.attributes:
            return False
        die = die.get_DIE_from_attribute("DW_AT_type")
        if die.tag == "DW_TAG_const_type":
            return True
        if die.tag not in _QUALIFIERS and die.tag != "DW_TAG_typedef":
            return False
    return False


def read_dwarf(path: str, machine: Machine) -> DwarfPrototypes | None:
    """The prototypes in an ELF file's DWARF; None if it has none, or is missing, damaged or of another machine."""
    try:
        with open(path, "rb") as file:
            elf = ELFFile(file)
            if elf.header["e_machine"] != {Machine.I386: "EM_386", Machine.X86_64: "EM_X86_64"}[machine]:
                return None
            if not elf.has_dwarf_info():
                return None
            information = elf.get_dwarf_info(follow_links=False)
    except Exception:  # not ELF, truncated, unreadable: then there is no DWARF to be had
        return None
    return DwarfPrototypes(information, machine, path)

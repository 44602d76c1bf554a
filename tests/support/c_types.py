"""Helpers of the tests of the ABI check's readers: types written out in full, and the same read by pyelftools."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from support.mkshlib import FLAG
from uselib.abi.static.headers.public_interface import HeaderFacts, read_headers
from uselib.linker.c_types import types as ct
from uselib.linker.image import Machine


def compile_shared(directory: Path, name: str, text: str, *options: str, compiler: str = "gcc") -> Path:
    """Compiles C to DIRECTORY/NAME.so; the source stays beside it as NAME.c."""
    source, output = directory / f"{name}.c", directory / f"{name}.so"
    source.write_text(text)
    command = [compiler, "-shared", "-fPIC", "-nostdlib", "-w", "-O1", *options, "-o", str(output), str(source)]
    subprocess.run(command, check=True, capture_output=True, cwd=directory)
    return output


def read_header(
    tmp_path: Path, text: str, machine: Machine = Machine.X86_64, *, compiler: bool = True, name: str = "lib.h"
) -> HeaderFacts:
    path = tmp_path / name
    path.write_text(text)
    return read_headers([str(path)], machine, compiler=("gcc", FLAG[machine]) if compiler else ())


LAYOUTS = """
#include <stdint.h>
struct plain { char a; short b; int c; long long d; char e; double f; long double g; void *h; };
struct __attribute__((packed)) packed { char a; int b; struct plain c; long long d; };
struct late { char a; long b; } __attribute__((packed, aligned(4)));
struct bits { unsigned a : 3; int b : 7; long long c : 40; char d; unsigned : 0; int e : 30; short f : 9; };
struct packed_bits { char a; int b : 31; int c : 5; long long d : 33; } __attribute__((packed));
struct aligned_member { char a; int b __attribute__((aligned(16))); char c; _Alignas(8) char d; };
struct one_packed { char a; int b __attribute__((packed)); long long c; };
union u { char a[5]; int b; struct { short x; char y; } c; };
struct nested { char a; union u b; struct { char x; union { int y; double z; }; }; struct plain d[2]; };
enum small { S1, S2 = 200 } __attribute__((packed));
enum big { B1 = 1, B2 = 0x123456789LL };
enum negative { N1 = -1, N2 };
struct enums { char a; enum small b; char c; enum big d; enum negative e; };
typedef int aligned_int __attribute__((aligned(8)));
struct with_typedef { char a; aligned_int b; char c; };
typedef int wide __attribute__((mode(DI)));
struct modes { char a; wide b; int8_t c; uint64_t d; };
#pragma pack(push, 2)
struct pack2 { char a; int b; long long c; short d; double e; int f : 20; short g : 15; long long h : 40; int i; };
#pragma pack(push, 1)
struct pack1 { char a; int b; long long c; };
#pragma pack(pop)
struct pack2_again { char a; int b __attribute__((aligned(8))); };
#pragma pack(pop)
struct unpacked { char a; int b; };
struct flexible { int n; char data[]; };
struct empty { };
struct complex_members { char a; float _Complex b; char c; double _Complex d; _Bool e; };
struct zero { int a : 4; int : 0; int b : 4; char c; int : 0; char d; };
"""


def written(types: ct.Types, row: int, seen: set[str] | None = None) -> str:
    """A type in full: each record that has a tag with its members where it comes first, then by name. No numbers, no places."""
    seen = set() if seen is None else seen

    def of(number: int) -> str:
        return written(types, number, seen)

    match types[row]:
        case ct.Void():
            return "void"
        case ct.Base(name, size, encoding, signed):
            return f"{_base_name(name)}:{size}:{encoding}:{int(signed)}"
        case ct.Pointer(target, size, kind):
            return f"{kind}{size}({of(target)})"
        case ct.Array(element, count):
            return f"array[{'' if count is None else count}]({of(element)})"
        case ct.Qualified(qualifier, target):
            return f"{qualifier}({of(target)})"
        case ct.Typedef(name, target):
            return f"typedef {name}({of(target)})"
        case ct.FunctionType(result, parameters, variadic, convention, prototyped):
            returned = of(result)
            words = ", ".join(f"{p.name}: {of(p.type)}" for p in parameters)
            return f"{convention}{'' if prototyped else '?'}({words}{', ...' if variadic else ''}) -> {returned}"
        case ct.Enumeration(name, size, signed, values):
            return _enumeration(name, size, signed, values)
        case ct.Record(kind, name, size, members, alignment):
            # one without a tag leads to itself in damaged files
            label = f"{kind} {name}" if name else f"{kind} of row {row}"
            if label in seen:
                return f"{kind} {name}"
            seen.add(label)
            described = [_member(m.name, m.offset, m.width, of(m.type)) for m in members]
            if not name:
                seen.discard(label)
            return _record(kind, name, size, alignment, described)
        case ct.Unknown(reason):
            return f"unknown({reason})"
    raise AssertionError(types[row])


def _enumeration(name: str, size: int | None, signed: bool, values: Iterable[tuple[str, int]]) -> str:
    return f"enum {name}:{size}:{int(signed)}{{{', '.join(f'{n}={v}' for n, v in values)}}}"


def _member(name: str, offset: int, width: int | None, type_: str) -> str:
    """offset and width: bits."""
    return f"{name}@{offset}{'' if width is None else f':{width}'} {type_}"


def _record(kind: str, name: str, size: int | None, alignment: int, members: list[str]) -> str:
    return f"{kind} {name}:{size}{f' aligned {alignment}' if alignment else ''}{{{'; '.join(members)}}}"


_WORDS = {
    "long unsigned int": "unsigned long",
    "long int": "long",
    "long long int": "long long",
    "short int": "short",
    "long long unsigned int": "unsigned long long",
    "short unsigned int": "unsigned short",
    "complex": "complex double",
}


def _base_name(name: str) -> str:
    """GCC's and clang's names of the same type."""
    return _WORDS.get(name, name)


# -- the oracle --------------------------------------------------------------------------------------------------------

_POINTERS = {"DW_TAG_pointer_type": "pointer", "DW_TAG_reference_type": "reference"}
_QUALIFIERS = {f"DW_TAG_{q}_type": q for q in ("const", "volatile", "restrict", "atomic")}
_ENCODINGS = {2: "bool", 3: "complex", 4: "float", 5: "signed", 7: "unsigned"}


class Oracle:
    """Functions and variables of one file as pyelftools reads them, written like `written`.

    Straightforward and slow: every entry of every unit. Only C, only what gcc and clang write for it.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        elf = ELFFile(self._file)
        self._word = elf.elfclass // 8
        self._information = elf.get_dwarf_info()
        self.functions: dict[str, Any] = {}
        self.variables: dict[str, Any] = {}
        self._records: dict[tuple[str, str], list[Any]] = {}
        for unit in self._information.iter_CUs():
            top = unit.get_top_DIE()
            if _number(top, "DW_AT_language", 0) == 0x8001:
                continue
            for die in top.iter_children():
                self._file_away(die)

    def _file_away(self, die: Any) -> None:
        name = _text(die, "DW_AT_name")
        if die.tag in ("DW_TAG_structure_type", "DW_TAG_union_type", "DW_TAG_enumeration_type"):
            if name and "DW_AT_declaration" not in die.attributes:
                self._records.setdefault((die.tag, name), []).append(die)
            return
        table = {"DW_TAG_subprogram": self.functions, "DW_TAG_variable": self.variables}.get(die.tag)
        if table is None:
            return
        first = die
        if "DW_AT_specification" in die.attributes:
            first = die.get_DIE_from_attribute("DW_AT_specification")
            name = _text(first, "DW_AT_name")
        if not name or "DW_AT_external" not in first.attributes:
            return
        declared = "DW_AT_declaration" in die.attributes
        kept = table.get(name)
        if kept is None or ("DW_AT_declaration" in kept.attributes and not declared):
            table[name] = die

    def function(self, name: str) -> str:
        return self._function(self.functions[name], set())

    def variable(self, name: str) -> str:
        die = self.variables[name]
        if "DW_AT_type" not in die.attributes:
            die = die.get_DIE_from_attribute("DW_AT_specification")
        return self._of(die, set())

    def _of(self, die: Any, seen: set[str]) -> str:
        if "DW_AT_type" not in die.attributes:
            return "void"
        return self._written(die.get_DIE_from_attribute("DW_AT_type"), seen)

    def _function(self, die: Any, seen: set[str]) -> str:
        returned = self._of(die, seen)
        parameters, variadic = [], False
        for child in die.iter_children():
            if child.tag == "DW_TAG_formal_parameter":
                parameters.append(f"{_text(child, 'DW_AT_name')}: {self._of(child, seen)}")
            variadic |= child.tag == "DW_TAG_unspecified_parameters"
        prototyped = "DW_AT_prototyped" in die.attributes
        variadic &= prototyped or bool(parameters)
        words = ", ".join(parameters) + (", ..." if variadic else "")
        return f"{'' if prototyped else '?'}({words}) -> {returned}"

    def _written(self, die: Any, seen: set[str]) -> str:
        tag, name = die.tag, _text(die, "DW_AT_name")
        if tag in _POINTERS:
            return f"{_POINTERS[tag]}{self._word}({self._of(die, seen)})"
        if tag in _QUALIFIERS:
            return self._qualified(die, seen)
        if tag in _SIMPLE:
            return str(getattr(self, _SIMPLE[tag])(die, seen))
        if "DW_AT_declaration" in die.attributes and (defined := self._records.get((tag, name))):
            return self._written(defined[0], seen)
        return self._enumeration(die, seen) if tag == "DW_TAG_enumeration_type" else self._record(die, seen)

    def _base(self, die: Any, seen: set[str]) -> str:
        name, code = _text(die, "DW_AT_name"), _number(die, "DW_AT_encoding", 0)
        encoding = _ENCODINGS.get(code, "other")
        if code in (6, 8):
            encoding = "char" if name == "char" else "signed" if code == 6 else "unsigned"
        return f"{_base_name(name)}:{_number(die, 'DW_AT_byte_size', None)}:{encoding}:{int(code in (3, 4, 5, 6))}"

    def _qualified(self, die: Any, seen: set[str]) -> str:
        target = self._of(die, seen)
        if die.tag == "DW_TAG_const_type" and re.match(r"(array\[\d*\]\()+const\(", target):
            return target
        return f"{_QUALIFIERS[die.tag]}({target})"

    def _typedef(self, die: Any, seen: set[str]) -> str:
        return f"typedef {_text(die, 'DW_AT_name')}({self._of(die, seen)})"

    def _array(self, die: Any, seen: set[str]) -> str:
        text = self._of(die, seen)
        bounds = [c for c in die.iter_children() if c.tag == "DW_TAG_subrange_type"]
        for bound in reversed(bounds):
            upper, count = _number(bound, "DW_AT_upper_bound", None), _number(bound, "DW_AT_count", None)
            count = upper + 1 if isinstance(upper, int) else count
            text = f"array[{count if isinstance(count, int) else ''}]({text})"
        return text

    def _enumeration(self, die: Any, seen: set[str]) -> str:
        values = [(_text(c, "DW_AT_name"), _number(c, "DW_AT_const_value", 0)) for c in die.iter_children()]
        base = die.get_DIE_from_attribute("DW_AT_type") if "DW_AT_type" in die.attributes else None
        signed = _number(base, "DW_AT_encoding", 0) in (5, 6) if base is not None else any(v < 0 for _, v in values)
        name, size = _text(die, "DW_AT_name"), _number(die, "DW_AT_byte_size", None)
        return _enumeration(name, size, signed, values)

    def _record(self, die: Any, seen: set[str]) -> str:
        name = _text(die, "DW_AT_name")
        kind = die.tag.removeprefix("DW_TAG_").removesuffix("_type").replace("structure", "struct")
        if name and f"{kind} {name}" in seen:
            return f"{kind} {name}"
        seen.add(f"{kind} {name}")
        members = [
            _member(_text(child, "DW_AT_name"), *_place(child), self._of(child, seen))
            for child in die.iter_children()
            if child.tag == "DW_TAG_member"
        ]
        return _record(kind, name, _number(die, "DW_AT_byte_size", None), _number(die, "DW_AT_alignment", 0), members)


_SIMPLE = {
    "DW_TAG_base_type": "_base",
    "DW_TAG_typedef": "_typedef",
    "DW_TAG_subroutine_type": "_function",
    "DW_TAG_array_type": "_array",
}


def _place(die: Any) -> tuple[int, int | None]:
    """Offset and width of a member in bits; the width is None if it is not a bit-field."""
    at, width = 8 * (_number(die, "DW_AT_data_member_location", 0) or 0), _number(die, "DW_AT_bit_size", None)
    if "DW_AT_data_bit_offset" in die.attributes:
        at += _number(die, "DW_AT_data_bit_offset", 0)
    elif width is not None:
        at += 8 * _number(die, "DW_AT_byte_size", 0) - _number(die, "DW_AT_bit_offset", 0) - width
    return at, width


def _text(die: Any, attribute: str) -> str:
    found = die.attributes.get(attribute)
    return found.value.decode() if found is not None and isinstance(found.value, bytes) else ""


def _number(die: Any, attribute: str, default: Any) -> Any:
    found = die.attributes.get(attribute)
    if found is None or (found.form.startswith("DW_FORM_ref") and attribute in ("DW_AT_upper_bound", "DW_AT_count")):
        return default
    if isinstance(found.value, list):  # DW_OP_plus_uconst
        if found.value[:1] != [0x23]:
            return default
        return sum((byte & 0x7F) << 7 * n for n, byte in enumerate(found.value[1:]))
    return found.value

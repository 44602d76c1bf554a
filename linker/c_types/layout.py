"""Data models of the two machines (i386 psABI table 2.1: ILP32; x86-64 psABI figure 3.1: LP64) and structure layout."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from uselib.linker.c_types.value_types import Complex, Field, Floating, Integer, Pointer, Structure, Type, Void
from uselib.linker.image import Machine

Member = tuple[str, Type, int | None]  # name, type, width of a bit-field


def _base_types(machine: Machine) -> dict[str, Type]:
    word = machine.word
    wide = 4 if machine is Machine.I386 else 8  # i386 aligns 8-byte members of structures to 4
    rows: dict[str, Type] = {"void": Void(), "_Bool": Integer("_Bool", 1, False, 1, "boolean")}
    for name, size in (("short", 2), ("int", 4), ("long", word), ("long long", 8)):
        alignment = wide if size == 8 else size
        rows[name] = Integer(name, size, True, alignment)
        rows["unsigned " + name] = Integer("unsigned " + name, size, False, alignment)
    rows["char"] = Integer("char", 1, True, 1, "character")
    rows["signed char"] = Integer("signed char", 1, True, 1)
    rows["unsigned char"] = Integer("unsigned char", 1, False, 1)
    rows["__int128"] = Integer("__int128", 16, True, 16)
    rows["unsigned __int128"] = Integer("unsigned __int128", 16, False, 16)
    rows["float"] = Floating("float", 4, 4)
    rows["double"] = Floating("double", 8, wide)
    rows["long double"] = Floating("long double", 12, 4) if machine is Machine.I386 else Floating("long double", 16, 16)
    for name in ("float", "double", "long double"):
        part = rows[name]
        assert isinstance(part, Floating)
        rows[f"{name} _Complex"] = Complex(f"{name} _Complex", part)
    rows["__builtin_va_list"] = Pointer(Void(), word, name="va_list")  # as a parameter; x86-64: the array decays
    return rows


BASE_TYPES = {machine: _base_types(machine) for machine in Machine}
_ORDER = {"signed": 0, "unsigned": 0, "short": 1, "long": 1, "char": 2, "int": 2, "float": 2, "double": 2}


def base_type(words: Iterable[str], machine: Machine) -> Type | None:
    """The type of C's keywords in any order (`long unsigned int`), or None if they are none."""
    names = sorted(
        (w.strip("_") if w in ("__signed__", "__signed") else w for w in words), key=lambda w: _ORDER.get(w, 3)
    )
    names = ["_Complex" if w in ("__complex__", "complex") else w for w in names]
    signed = [w for w in names if w in ("signed", "unsigned")]
    rest = [w for w in names if w not in ("signed", "unsigned")]
    if "int" in rest and len(rest) > 1:
        rest.remove("int")
    text = " ".join(rest) or "int"
    if signed and (signed[0] == "unsigned" or text == "char"):
        text = f"{signed[0]} {text}"
    return BASE_TYPES[machine].get(text)


def _up(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


def alignment_of(type_: Type) -> int:
    """In bytes, at least 1. Types without one of their own (enumerations) are aligned to their size."""
    return max(type_.alignment or type_.size, 1)


class Slot(NamedTuple):
    """A member to be laid out: bytes, bytes, bits of a bit-field. named: a bit-field without a name does not align its record.
    packed: by its own attribute or its record's, and no alignment was asked for."""

    size: int
    alignment: int
    width: int | None = None
    named: bool = True
    packed: bool = False


class Layout(NamedTuple):
    """Where members lie. offsets: in bits from the start of the record; size and alignment in bytes."""

    offsets: tuple[int, ...]
    size: int
    alignment: int


def laid_out(members: Iterable[Slot], *, union: bool = False, pack: int = 0, aligned: int = 1) -> Layout:
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
            if named:  # gcc: the pragma aligns a bit-field's record even where the attribute packs it
                alignment = max(alignment, min(natural, pack) if pack else unit)
            position += width
        end = max(end, position)
    return Layout(tuple(offsets), _up(-(-end // 8), alignment), alignment)


def structure(name: str, members: Iterable[Member], *, union: bool = False, packed: bool = False) -> Structure:
    """A structure or union of members (see `laid_out`)."""
    rows = list(members)
    layout = laid_out((Slot(t.size, alignment_of(t), width, bool(n), packed) for n, t, width in rows), union=union)
    fields = []
    for (field_name, type_, width), offset in zip(rows, layout.offsets, strict=True):
        if width is None:
            fields.append(Field(field_name, type_, offset // 8))
        elif width and field_name:
            fields.append(Field(field_name, type_, offset // 8, (offset % 8, width)))
    return Structure(name, layout.size, layout.alignment, tuple(fields), union)

"""C's basic types on the two machines (i386 psABI table 2.1: ILP32; x86-64 psABI figure 3.1: LP64), as rows of the type graph."""

from __future__ import annotations

from collections.abc import Iterable

from uselib.linker.c_types.types import Base, Void
from uselib.linker.image import Machine

_ORDER = {"signed": 0, "unsigned": 0, "short": 1, "long": 1, "char": 2, "int": 2, "float": 2, "double": 2}
_INTEGERS = {"short": 2, "int": 4, "long": 0, "long long": 8}  # bytes; 0: of a word
_DEBUG_NAMES = {"short": "short int", "int": "int", "long": "long int", "long long": "long long int"}


def _rows(machine: Machine) -> dict[str, Base]:
    rows = {
        "_Bool": Base("_Bool", 1, "bool"),
        "char": Base("char", 1, "char", True),
        "signed char": Base("signed char", 1, "signed", True),
        "unsigned char": Base("unsigned char", 1, "unsigned"),
        "__int128": Base("__int128", 16, "signed", True),
        "unsigned __int128": Base("__int128 unsigned", 16, "unsigned"),
    }
    for name, size in _INTEGERS.items():
        written = _DEBUG_NAMES[name]
        rows[name] = Base(written, size or machine.word, "signed", True)
        unsigned = f"{written.removesuffix('int')}unsigned int"
        rows[f"unsigned {name}"] = Base(unsigned, size or machine.word, "unsigned")
    for name, size in (("float", 4), ("double", 8), ("long double", 12 if machine is Machine.I386 else 16)):
        rows[name] = Base(name, size, "float", True)
        rows[f"{name} _Complex"] = Base(f"complex {name}", 2 * size, "complex", True)
    return rows


BASE_ROWS = {machine: _rows(machine) for machine in Machine}
"""By the name that `keyword_name` gives. The rows have the names that gcc writes in DWARF, so that both readers say the same."""


def keyword_name(words: Iterable[str]) -> str:
    """C's keywords of a basic type in any order (`long unsigned int`) -> one spelling (`unsigned long`)."""
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
    return text


def base_row(words: Iterable[str], machine: Machine) -> Base | Void | None:
    """The row of C's keywords in any order, or None if they are none."""
    name = keyword_name(words)
    return Void() if name == "void" else BASE_ROWS[machine].get(name)


def base_alignment(row: Base, machine: Machine) -> int:
    """In bytes, as a member of a structure. i386 aligns 8-byte members of structures to 4 (i386 psABI figure 2.1)."""
    size = row.size // 2 if row.encoding == "complex" else row.size
    return 4 if machine is Machine.I386 and size in (8, 12) else max(size, 1)

"""Types that compilers know without any header, and the effect of attributes on types."""

from __future__ import annotations

from uselib.linker.c_types.base_types import BASE_ROWS, base_row
from uselib.linker.c_types.types import Base, Record, RecordMember, Type, TypeId, Unknown, Void
from uselib.linker.image import Machine

_ALIASES = {  # names that compilers know without any header
    "__int128_t": "__int128",
    "__uint128_t": "unsigned __int128",
    "_Float32": "float",
    "_Float64": "double",
    "_Float32x": "double",
    "_Float64x": "long double",
}
_OTHER = {
    "_Float128": Base("_Float128", 16, "float"),
    "__float128": Base("_Float128", 16, "float"),
    "_Decimal32": Base("_Decimal32", 4, "other"),
    "_Decimal64": Base("_Decimal64", 8, "other"),
    "_Decimal128": Base("_Decimal128", 16, "other"),
    "_Float16": Base("_Float16", 2, "float"),
    "__bf16": Base("__bf16", 2, "other"),
}
BUILTIN_NAMES = frozenset((*_ALIASES, *_OTHER, "__builtin_va_list"))
MODES = {"QI": 1, "byte": 1, "HI": 2, "SI": 4, "DI": 8, "TI": 16}  # machine modes -> bytes
_BY_SIZE = {1: "char", 2: "short", 4: "int", 8: "long long", 16: "__int128"}
_CONVENTIONS = {  # calling conventions whose attributes gcc obeys
    Machine.I386: frozenset("stdcall fastcall thiscall regparm sseregparm vectorcall pascal ms".split()),
    Machine.X86_64: frozenset(("ms", "vectorcall")),
}
_VA_LIST_TAG = {"gp_offset": 0, "fp_offset": 32, "overflow_arg_area": 64, "reg_save_area": 128}  # bits


def builtin_row(words: list[str], machine: Machine) -> Base | Void | None:
    """The row of keywords, or of a name that compilers know; None if they are neither."""
    other = _OTHER.get(words[-1])
    return other or base_row([part for word in words for part in _ALIASES.get(word, word).split()], machine)


def mode_row(row: Type, mode: str, machine: Machine) -> Type:
    """`row` in a machine mode (`__attribute__((mode(DI)))`)."""
    size = machine.word if mode in ("word", "pointer", "unwind_word") else MODES.get(mode)
    if size is None or not isinstance(row, Base):
        return Unknown(f"a type of machine mode {mode}")
    sign = "unsigned " if not row.signed else "signed " if size == 1 else ""
    return BASE_ROWS[machine][sign + _BY_SIZE[size]]


def va_list_tag(unsigned: TypeId, pointer: TypeId) -> Record:
    """The element type of x86-64's va_list (psABI figure 3.34)."""
    members = (
        RecordMember(name, pointer if name.endswith("area") else unsigned, at) for name, at in _VA_LIST_TAG.items()
    )
    return Record("struct", "__va_list_tag", 24, tuple(members), 8)


def effective_convention(convention: str, machine: Machine) -> str:
    """A calling convention, or empty if gcc ignores its attribute."""
    return convention if convention.partition("(")[0] in _CONVENTIONS[machine] else ""

"""How a value of a type is placed, copied and shown: what a tracer needs of a type. Sizes and offsets in bytes, of one machine.

Types stand on two levels. The graph (linker/c_types/types.py) is what declarations and debug information say: rows that refer
to one another by number, in cycles, with every qualifier and typedef. A view is made from a row (from_graph.py) and is a plan
to decode one value: a finite tree, in which what a pointer within a structure points to is not followed further
(`OpaqueView`), so that a list node does not contain itself. `name` is what to show: a typedef's name where the declaration
used one.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from uselib.linker.quick_dataclass import dataclass, replace


@dataclass(frozen=True, slots=True)
class VoidView:
    name: str = "void"
    size: int = 0
    alignment: int = 1


@dataclass(frozen=True, slots=True)
class IntegerView:
    """style: decimal, hexadecimal, octal (mode_t), character, boolean."""

    name: str
    size: int
    signed: bool
    alignment: int = 0
    style: str = "decimal"


@dataclass(frozen=True, slots=True)
class FloatingView:
    """size 4 float, 8 double, 12 (i386) or 16 (x86-64) the x87's 80-bit long double."""

    name: str
    size: int
    alignment: int


@dataclass(frozen=True, slots=True)
class ComplexView:
    """_Complex: real part, then imaginary part, both of `part`."""

    name: str
    part: FloatingView

    @property
    def size(self) -> int:
        return 2 * self.part.size

    @property
    def alignment(self) -> int:
        return self.part.alignment


@dataclass(frozen=True, slots=True)
class NamedValue:
    """A named value of an enumeration or flag set: it holds if `number & mask == value`."""

    name: str
    value: int
    mask: int


@dataclass(frozen=True, slots=True)
class EnumerationView:
    """Values by name; with `flags`, several joined by `|`. Composites stand before their parts."""

    name: str
    size: int
    signed: bool
    values: tuple[NamedValue, ...]
    flags: bool = False
    alignment: int = 0


@dataclass(frozen=True, slots=True)
class PointerView:
    """const: the target may not be written, so its contents mean something at the time of the call."""

    target: TypeView
    size: int
    const: bool = False
    name: str = ""

    @property
    def alignment(self) -> int:
        return self.size

    @property
    def string(self) -> bool:
        """A pointer to char: taken for a string."""
        return isinstance(self.target, IntegerView) and self.target.size == 1 and self.target.style == "character"


@dataclass(frozen=True, slots=True)
class FieldView:
    """bits: (first bit counted from the least significant bit of the byte at `offset`, width) of a bit-field."""

    name: str
    type: TypeView
    offset: int
    bits: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class StructureView:
    """A struct, or with `union` a union, that has been defined."""

    name: str
    size: int
    alignment: int
    fields: tuple[FieldView, ...]
    union: bool = False


@dataclass(frozen=True, slots=True)
class ArrayView:
    """count 0: unknown (`[]`)."""

    element: TypeView
    count: int
    name: str = ""

    @property
    def size(self) -> int:
        return self.element.size * self.count

    @property
    def alignment(self) -> int:
        return self.element.alignment


@dataclass(frozen=True, slots=True)
class FunctionView:
    """What a pointer to a function points to."""

    name: str = "function"
    size: int = 0
    alignment: int = 1


@dataclass(frozen=True, slots=True)
class OpaqueView:
    """A type that is declared and not defined (FILE), or that was not followed; of `size` bytes if that is known."""

    name: str
    size: int = 0
    alignment: int = 1


TypeView = (
    VoidView
    | IntegerView
    | FloatingView
    | ComplexView
    | EnumerationView
    | PointerView
    | StructureView
    | ArrayView
    | FunctionView
    | OpaqueView
)


@dataclass(frozen=True, slots=True)
class PrototypeParameter:
    """out: only written by the function, so that its bytes at call time mean nothing.
    length: parameters (by number) whose product is the count of bytes that a pointer points to."""

    name: str
    type: TypeView
    out: bool = False
    length: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Prototype:
    """A function. format_index: number of the parameter, from 0, that is a printf or scanf format string, or -1; format_kind
    `printf` or `scanf`. The variadic arguments are then those of the format. source: where this is from, for users."""

    name: str
    result: TypeView
    parameters: tuple[PrototypeParameter, ...]
    variadic: bool = False
    format_index: int = -1
    format_kind: str = "printf"
    source: str = ""
    noreturn: bool = False


STYLES = {
    "mode_t": "octal",
    "uintptr_t": "hexadecimal",
    "intptr_t": "hexadecimal",
    "bool": "boolean",
    "_Bool": "boolean",
}
"""Typedef names whose values people read in another way than in decimal."""


def renamed(type_: TypeView, name: str) -> TypeView:
    """`type_` under a typedef's name."""
    if isinstance(type_, IntegerView):
        return replace(type_, name=name, style=STYLES.get(name, type_.style))
    return replace(type_, name=name)


def enumeration(
    name: str, size: int, signed: bool, values: tuple[NamedValue, ...], flags: bool | None = None
) -> EnumerationView:
    """An enumeration. flags None: found out as gdb does: values that have no bit in common are flags (three of them at least,
    lest `enum {A, B, C}` become one). Values of flags without a mask (-1) get one; fields of several bits go first, then
    composites, then single bits."""
    if flags is None:
        bits = [v.value for v in values if v.value]
        flags = len(bits) >= 3 and min(bits) > 0 and sum(b.bit_count() for b in bits) == reduce(or_, bits).bit_count()
    if flags:
        all_bits = (1 << 8 * size) - 1
        values = tuple(NamedValue(v.name, v.value, v.mask if v.mask > 0 else v.value or all_bits) for v in values)
        values = tuple(sorted(values, key=lambda v: -v.value.bit_count() if v.mask == v.value else -99))
    return EnumerationView(name, size, signed, values, flags, size)


def guessed_format(parameters: list[PrototypeParameter], variadic: bool) -> int:
    """The number of the parameter that is a printf format if names mean what they say: a variadic function whose last
    parameter is `const char *fmt` or `format`. -1 if there is none."""
    if not parameters or not variadic:
        return -1
    last = parameters[-1]
    found = last.name in ("fmt", "format") and isinstance(last.type, PointerView) and last.type.string
    return len(parameters) - 1 if found else -1


def spelled(type_: TypeView) -> str:
    """The type as C, for people: `const char *`, `struct point`."""
    if isinstance(type_, PointerView):
        if type_.name:
            return type_.name
        inner = spelled(type_.target)
        return f"{'const ' if type_.const else ''}{inner}{'' if inner.endswith('*') else ' '}*"
    if isinstance(type_, ArrayView):
        return type_.name or f"{spelled(type_.element)}[{type_.count or ''}]"
    return type_.name

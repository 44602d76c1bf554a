"""C types as the ABI sees them: layout in full, names as the source has them. The contract between readers and rules.

Types form a graph with cycles (`struct node { struct node *next; }`), so they refer to one another by number: a `TypeId` is an
index into `Types.rows` of one file. Row 0 is void. Readers number types in a deterministic order; two files number the same type
differently, so rules compare by structure and name, never by number.

Offsets and widths of members are in bits, sizes and alignments in bytes.
"""

from __future__ import annotations

from uselib.linker.quick_dataclass import dataclass

TypeId = int
VOID: TypeId = 0
VECTOR_OF = "vector of "  # begins the name of a Base that is a vector (DW_AT_GNU_vector)
_DEEPEST = 1000  # typedefs and qualifiers around a type


@dataclass(frozen=True, slots=True)
class Void:
    pass


@dataclass(frozen=True, slots=True)
class Base:
    """encoding: signed, unsigned, bool, char (plain char; its signedness is `signed`), float, complex, other."""

    name: str
    size: int
    encoding: str
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Pointer:
    """kind: pointer, reference, rvalue_reference."""

    target: TypeId
    size: int
    kind: str = "pointer"


@dataclass(frozen=True, slots=True)
class Array:
    """count None: unknown (`[]`, a flexible member)."""

    element: TypeId
    count: int | None


@dataclass(frozen=True, slots=True)
class RecordMember:
    """offset: bits from the record's start, little-endian (bit 0 is the lowest bit of byte 0). width: bits of a bit-field, else None.
    name is empty for an anonymous struct or union."""

    name: str
    type: TypeId
    offset: int
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """kind: struct, union, class. size None: declared and nowhere defined in this file, so opaque to its users.
    name is empty for one without a tag. alignment 0: not known. place: FILE:LINE of the declaration, or empty."""

    kind: str
    name: str
    size: int | None
    members: tuple[RecordMember, ...] = ()
    alignment: int = 0
    place: str = ""

    @property
    def opaque(self) -> bool:
        return self.size is None


@dataclass(frozen=True, slots=True)
class Enumeration:
    """values in the order of the source. size None: declared only."""

    name: str
    size: int | None
    signed: bool
    values: tuple[tuple[str, int], ...]
    place: str = ""


@dataclass(frozen=True, slots=True)
class Typedef:
    name: str
    target: TypeId
    place: str = ""


@dataclass(frozen=True, slots=True)
class Qualified:
    """qualifier: const, volatile, restrict, atomic."""

    qualifier: str
    target: TypeId


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    type: TypeId


@dataclass(frozen=True, slots=True)
class FunctionType:
    """convention: empty for the machine's standard one, else what sets it apart (`stdcall`, `fastcall`, `regparm(3)`, `ms`, ...).
    prototyped False: `int f()` of old C, whose parameters are unknown."""

    result: TypeId
    parameters: tuple[Parameter, ...]
    variadic: bool = False
    convention: str = ""
    prototyped: bool = True


@dataclass(frozen=True, slots=True)
class Unknown:
    """A type that a reader could not follow (damaged or unsupported debug information). It is equal to no type, and the report names it."""

    reason: str


Type = Void | Base | Pointer | Array | Record | Enumeration | Typedef | Qualified | FunctionType | Unknown


@dataclass(frozen=True)
class Types:
    """All types of one file that its interface reaches."""

    rows: tuple[Type, ...] = (Void(),)

    def __getitem__(self, number: TypeId) -> Type:
        return self.rows[number]

    def plain(self, number: TypeId) -> Type:
        """The type without typedefs and qualifiers around it; Unknown if there is no end to them (damaged files)."""
        row = self.rows[number]
        for _ in range(_DEEPEST):
            if not isinstance(row, Typedef | Qualified):
                return row
            row = self.rows[row.target]
        return Unknown("typedefs without end")

"""What comparing two types gives: differences, and the pairs of records that both lead to. The contract of compare_types.py and
compare_signatures.py, and of everything that uses them; imports neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from uselib.abi.static.model.findings import Severity
from uselib.linker.c_types.types import TypeId, Types
from uselib.linker.image import Machine


class Edge(NamedTuple):
    """A pair of records or enumerations. levels: pointers on the way to it (0: by value); array: it is an element of one that the
    program indexes with the old element size; callback: met in a signature of a function that the program writes; role: parameter or
    result of the (innermost) function it was met in."""

    old: TypeId
    new: TypeId
    levels: int = 0
    array: bool = False
    callback: bool = False
    role: str = ""


@dataclass(frozen=True, slots=True)
class TypeDifference:
    """kind: size, type, signedness, length, target, levels, const-added, const-removed, qualifier, callback, name, representation, handle.

    character: a signedness that only concerns characters. promoted: a `size` difference that integer promotion
    covers. called: of a callback's, the severity if it is the program that calls through the pointer, and not the library."""

    kind: str
    severity: Severity
    words: str = ""
    character: bool = False
    promoted: bool = False
    called: Severity = Severity.COMPATIBLE


class TypeComparison(NamedTuple):
    differences: tuple[TypeDifference, ...] = ()
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True)
class SignatureChange:
    """kind: the rule's id. words: what of the function changed; old and new: the types. declared: only the declaration changed as far as
    the type tells, so that unchanged machine code proves it harmless. trailing: parameters at the end."""

    kind: str
    severity: Severity
    words: str
    old: str = ""
    new: str = ""
    declared: bool = False
    trailing: bool = False


class TypePairs(Protocol):
    """The types of two files, compared by pairs of their numbers (compare_types.TypeComparer)."""

    old: Types
    new: Types
    machine: Machine

    def compare(self, old: TypeId, new: TypeId, depth: int = 0) -> TypeComparison:
        """The differences of a type of the new file from one of the old file. depth: number of types around it."""

    def words(self, old: TypeId, new: TypeId) -> tuple[str, str]:
        """Both types as C."""

"""How two types differ at a place where one stands in the old version and the other in the new one.

A comparison does not look inside structures, unions and enumerations: it pairs them (an `Edge`), and compare_records.py compares each pair
once, whatever number of functions lead to it. So a changed structure is one finding, and cycles (`struct node { struct node *next; }`) end.
Pointers, arrays and function types are followed. Results are kept by pair of type numbers; a pair that is met again while it is being
compared (only in damaged files) counts as equal.

Types are compared by what machine code compiled against the old type does with the new one: `int` and `long` are one type on i386 and two
on x86-64, and `char *` and `const unsigned char *` are passed alike on both.
"""

from __future__ import annotations

from dataclasses import replace

from uselib.abi.static.comparison.compare_signatures import compare_signatures
from uselib.abi.static.comparison.type_differences import Edge, SignatureChange, TypeComparison, TypeDifference
from uselib.abi.static.model.findings import Severity
from uselib.abi.static.model.unqualified import UnqualifiedType, size_of, tags, unqualified
from uselib.linker.c_types.spelling import spell
from uselib.linker.c_types.types import (
    Array,
    Base,
    Enumeration,
    FunctionType,
    Pointer,
    Record,
    Type,
    TypeId,
    Types,
    Unknown,
    Void,
)
from uselib.linker.image import Machine

SAME = TypeComparison()
_DEEPEST = 100  # levels of one type; deeper ones only come from damaged files


class TypeComparer:
    """Compares types of two files; keeps what it found."""

    def __init__(self, old: Types, new: Types, machine: Machine) -> None:
        self.old, self.new, self.machine = old, new, machine
        self._known: dict[tuple[TypeId, TypeId], TypeComparison] = {}
        self._tags = tags(old), tags(new)
        self.unread: set[str] = set()  # reasons of types that could not be followed

    def compare(self, old: TypeId, new: TypeId, depth: int = 0) -> TypeComparison:
        key = old, new
        known = self._known.get(key)
        if known is None:
            self._known[key] = SAME  # for a pair that contains itself
            known = self._known[key] = self._compare(unqualified(self.old, old), unqualified(self.new, new), depth)
        return known

    def words(self, old: TypeId, new: TypeId) -> tuple[str, str]:
        return spell(self.old, old), spell(self.new, new)

    def _compare(self, old: UnqualifiedType, new: UnqualifiedType, depth: int) -> TypeComparison:
        if depth > _DEEPEST:
            return SAME
        for row in old.row, new.row:
            if isinstance(row, Unknown):
                self.unread.add(row.reason)
                return SAME
        match old.row, new.row:
            case Void(), Void():
                return SAME
            case Base(), Base():
                return _found(_compare_bases(old.row, new.row))
            case Pointer(), Pointer():
                return self._compare_pointers(old.row, new.row, depth)
            case Array(), Array():
                return self._compare_arrays(old.row, new.row, depth)
            case Record(), Record():
                return self._pair_records(old, new)
            case Enumeration(), Enumeration():
                return self._pair_enumerations(old, new)
            case FunctionType(), FunctionType():
                return self._compare_function_types(old.row, new.row, depth)
            case (Enumeration(), Base()) | (Base(), Enumeration()):
                return _found(_enumeration_and_integer(old.row, new.row))
            case (Pointer(), Base()) | (Base(), Pointer()):
                return _found(self._handle(old.row, new.row))
        return _found(TypeDifference("type", Severity.BREAKING))

    def _compare_pointers(self, old: Pointer, new: Pointer, depth: int) -> TypeComparison:
        before, after = unqualified(self.old, old.target), unqualified(self.new, new.target)
        found: list[TypeDifference] = list(_qualifiers(before, after))
        if old.size != new.size:
            found.append(TypeDifference("size", Severity.BREAKING))
        if isinstance(before.row, Void) != isinstance(after.row, Void):
            other = after if isinstance(before.row, Void) else before
            # what is passed is the same word; `void *` was only given its real type, or lost it
            severity = Severity.BREAKING if isinstance(other.row, FunctionType) else Severity.COMPATIBLE
            found.append(TypeDifference("name", severity))
            return TypeComparison(tuple(found))
        if isinstance(before.row, Pointer) != isinstance(after.row, Pointer):
            found.append(TypeDifference("levels", Severity.BREAKING))
            return TypeComparison(tuple(found))
        inner = self.compare(old.target, new.target, depth + 1)
        found += [_behind_pointer(difference) for difference in inner.differences]
        step = not isinstance(before.row, FunctionType)
        edges = tuple(edge._replace(levels=edge.levels + step) for edge in inner.edges)
        return TypeComparison(tuple(found), edges)

    def _compare_arrays(self, old: Array, new: Array, depth: int) -> TypeComparison:
        inner = self.compare(old.element, new.element, depth + 1)
        found = [_in_array(difference) for difference in inner.differences]
        if old.count != new.count:
            grown = old.count is None or (new.count is not None and new.count > old.count)
            found.append(TypeDifference("length", Severity.BREAKING, "grown" if grown else "shrunk"))
        return TypeComparison(tuple(found), tuple(edge._replace(array=True) for edge in inner.edges))

    def _compare_function_types(self, old: FunctionType, new: FunctionType, depth: int) -> TypeComparison:
        changes, edges = compare_signatures(self, old, new, depth)
        edges = tuple(edge._replace(callback=True) for edge in edges)
        found = [_of_callback(change) for change in changes]
        if not found:
            return TypeComparison((), edges)
        return TypeComparison((max(found, key=lambda difference: difference.severity),), edges)

    def _pair_records(self, old: UnqualifiedType, new: UnqualifiedType) -> TypeComparison:
        assert isinstance(old.row, Record) and isinstance(new.row, Record)
        edge = TypeComparison((), (Edge(old.number, new.number),))
        if (old.row.kind == "union") != (new.row.kind == "union") and not (old.row.opaque or new.row.opaque):
            return _found(TypeDifference("type", Severity.BREAKING))
        if old.name == new.name or not old.name or not new.name:
            return edge
        return self._renamed(old, new, self._alike(old.row, new.row), edge.edges)

    def _pair_enumerations(self, old: UnqualifiedType, new: UnqualifiedType) -> TypeComparison:
        assert isinstance(old.row, Enumeration) and isinstance(new.row, Enumeration)
        edge = TypeComparison((), (Edge(old.number, new.number),))
        if old.name == new.name or not old.name or not new.name:
            return edge
        values = dict(new.row.values)
        return self._renamed(old, new, all(values.get(k) == v for k, v in old.row.values), edge.edges)

    def _renamed(
        self, old: UnqualifiedType, new: UnqualifiedType, alike: bool, edges: tuple[Edge, ...]
    ) -> TypeComparison:
        """Another tag: a new name for the same type, or another type if the other file has both names."""
        words = f"{old.name} -> {new.name}"
        if alike or not (old.name in self._tags[1] or new.name in self._tags[0]):
            return TypeComparison((TypeDifference("name", Severity.COMPATIBLE, words),), edges)
        return _found(TypeDifference("type", Severity.BREAKING, words))

    def _alike(self, old: Record, new: Record) -> bool:
        """Whether two records have the same layout, one level deep."""
        if old.opaque or new.opaque or old.size != new.size or len(old.members) != len(new.members):
            return False
        return all(
            a.offset == b.offset and a.width == b.width and size_of(self.old, a.type) == size_of(self.new, b.type)
            for a, b in zip(old.members, new.members, strict=True)
        )

    def _handle(self, old: Type, new: Type) -> TypeDifference:
        """A pointer that became an integer or the reverse: a handle if both are as wide, else another type."""
        pointer, integer = (old, new) if isinstance(old, Pointer) else (new, old)
        types = self.old if isinstance(old, Pointer) else self.new
        assert isinstance(pointer, Pointer) and isinstance(integer, Base)
        generic = isinstance(unqualified(types, pointer.target).row, Void)
        same = integer.size == pointer.size and integer.encoding in ("signed", "unsigned")
        return (
            TypeDifference("handle", Severity.RISK) if same and generic else TypeDifference("type", Severity.BREAKING)
        )


def _found(difference: TypeDifference | None) -> TypeComparison:
    return SAME if difference is None else TypeComparison((difference,))


_FLOATING = {"float": "float", "complex": "complex"}


def _compare_bases(old: Base, new: Base) -> TypeDifference | None:
    if _FLOATING.get(old.encoding) != _FLOATING.get(new.encoding):
        return TypeDifference("type", Severity.BREAKING)
    if old.size != new.size:
        promoted = (
            old.encoding not in _FLOATING and old.size < new.size <= 4 and (old.signed == new.signed or not old.signed)
        )
        return TypeDifference("size", Severity.BREAKING, promoted=promoted)
    if new.encoding == "bool" and old.encoding != "bool":
        return TypeDifference("signedness", Severity.RISK)  # values other than 0 and 1
    if old.encoding not in _FLOATING and old.signed != new.signed and old.encoding != "bool":
        return TypeDifference("signedness", Severity.BREAKING, character=old.size == 1)
    if _plain(old) != _plain(new):
        return TypeDifference("representation", Severity.COMPATIBLE)
    return None


def _plain(base: Base) -> str:
    """The name in one spelling: compilers write `long int`, headers `long`."""
    words = [word for word in base.name.split() if word not in ("int", "signed")]
    return " ".join(sorted(words)) or "int"


def _enumeration_and_integer(old: Type, new: Type) -> TypeDifference:
    assert isinstance(old, Base | Enumeration) and isinstance(new, Base | Enumeration)
    base = old if isinstance(old, Base) else new
    if isinstance(base, Base) and base.encoding in _FLOATING:
        return TypeDifference("type", Severity.BREAKING)
    if old.size != new.size:
        return TypeDifference("size", Severity.BREAKING)
    return TypeDifference("representation", Severity.COMPATIBLE)


def _qualifiers(old: UnqualifiedType, new: UnqualifiedType) -> list[TypeDifference]:
    found = []
    if "const" in new.qualifiers - old.qualifiers:
        found.append(TypeDifference("const-added", Severity.COMPATIBLE))
    if "const" in old.qualifiers - new.qualifiers:
        found.append(TypeDifference("const-removed", Severity.RISK))
    if "atomic" in new.qualifiers ^ old.qualifiers:
        found.append(TypeDifference("qualifier", Severity.RISK))
    return found


def _behind_pointer(difference: TypeDifference) -> TypeDifference:
    """A difference of what a pointer points to."""
    if difference.character:
        return TypeDifference("representation", Severity.COMPATIBLE)  # char * and unsigned char *: the same bytes
    if difference.kind in ("size", "type", "length"):
        if difference.kind == "length":  # int (*)[4]: the stride
            return replace(difference, kind="target")
        return replace(difference, kind="target", promoted=False)
    return difference


def _in_array(difference: TypeDifference) -> TypeDifference:
    if difference.character:
        return TypeDifference("representation", Severity.COMPATIBLE)
    return replace(difference, promoted=False)


def _of_callback(change: SignatureChange) -> TypeDifference:
    """A change in the signature of a function that the program supplies and the library calls: the roles are reversed."""
    difference = _seen_from_library(change)
    return replace(difference, called=change.severity)


def _seen_from_library(change: SignatureChange) -> TypeDifference:
    if change.kind == "parameter-added" and change.trailing:
        # Both machines' conventions leave the arguments to the caller: the old callback does not see the last ones.
        return TypeDifference("callback", Severity.RISK, change.words)
    if change.kind == "result-added":
        return TypeDifference(
            "callback", Severity.BREAKING, change.words
        )  # the library reads a result that was never made
    if change.kind == "result-removed":
        return TypeDifference("callback", Severity.COMPATIBLE, change.words)
    if change.severity is Severity.COMPATIBLE:
        return TypeDifference("name", Severity.COMPATIBLE, change.words)
    return TypeDifference("callback", change.severity, change.words)

"""C declarations -> rows of the type graph (types.py), with the layout that the machine's psABI gives them.

Only requested declarations are parsed. A pointer does not make its structure be read at once: structures are numbered when they are met and
completed afterwards, so that long chains of pointers cause no deep recursion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pycparser import c_ast

from uselib.linker.c_types.attributes import NONE, RECORD_MARKER, Attributes
from uselib.linker.c_types.base_types import BASE_ROWS, base_alignment
from uselib.linker.c_types.builtin_types import (
    BUILTIN_NAMES,
    MODES,
    builtin_row,
    effective_convention,
    mode_row,
    va_list_tag,
)
from uselib.linker.c_types.constants import evaluated
from uselib.linker.c_types.layout import LayoutMember, enumeration_size, laid_out
from uselib.linker.c_types.parse import DeclarationParser, ParsedDeclaration, unparsed
from uselib.linker.c_types.rows import RowTable
from uselib.linker.c_types.syntax import definition, enumerations, is_void, members_of, record_attributes
from uselib.linker.c_types.type_names import TypeNames
from uselib.linker.c_types.types import (
    VOID,
    Array,
    Base,
    Enumeration,
    FunctionType,
    Parameter,
    Pointer,
    Qualified,
    Record,
    RecordMember,
    Type,
    Typedef,
    TypeId,
    Types,
    Unknown,
)
from uselib.linker.c_types.units import TopLevelDeclaration
from uselib.linker.errors import FormatError
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import dataclass
from uselib.linker.quick_typing import Any

_QUALIFIERS = {"const": "const", "volatile": "volatile", "restrict": "restrict", "_Atomic": "atomic"}
_MOST_ELEMENTS = 1 << 40  # of an array; more is a mistake
_NOWHERE = unparsed(TopLevelDeclaration("", "", 0, True, 0))


@dataclass(frozen=True)
class _Pending:
    """A structure, union or enumeration that has a number and no contents yet. node None: its definition is elsewhere."""

    node: Any
    parsed: ParsedDeclaration


class DeclaredTypes:
    """The types of some declarations. `rows` grow as types are asked for; `types()` completes them.

    incomplete: the declarations need not declare all types that they name; those are opaque. Without it such types are Unknown, and
    `undeclared` says where they are used. Methods raise FormatError(FILE:LINE: ...) for text that is not C.
    """

    def __init__(self, names: TypeNames, machine: Machine, *, incomplete: bool = False) -> None:
        self.machine = machine
        self.table = RowTable()
        self.rows = self.table.rows
        self.undeclared: dict[str, str] = {}  # name of a type -> FILE:LINE
        self.not_constant: dict[str, str] = {}  # enumerator whose value is not understood -> FILE:LINE
        self._names, self._incomplete = names, incomplete
        self._parser = DeclarationParser(frozenset(names.typedefs) | BUILTIN_NAMES, incomplete)
        self._with_values = list(names.with_values)
        self._constants: dict[str, int] = {}
        self._pending: dict[TypeId, _Pending] = {}
        self._alignment: dict[TypeId, int] = {}  # of records and of typedefs with an attribute

    def parse(self, unit: TopLevelDeclaration) -> ParsedDeclaration:
        return self._parser.parse(unit)

    def types(self) -> Types:
        """All rows, complete."""
        while self._pending:
            self.complete(next(iter(self._pending)))
        return Types(tuple(self.rows))

    # -- constants -----------------------------------------------------------------------------------------------------

    def constant(self, name: str) -> int | None:
        """The value of an enumerator."""
        while name not in self._constants and self._with_values:
            unit = self._with_values.pop()
            try:
                self.read_enumerators(unit)
            except FormatError:
                continue  # reported where the declaration itself is asked for
        return self._constants.get(name)

    def read_enumerators(self, unit: TopLevelDeclaration) -> None:
        parsed = self.parse(unit)
        for node in enumerations(parsed.nodes):
            self._values(node, parsed)

    def _values(self, node: Any, parsed: ParsedDeclaration) -> tuple[tuple[str, int], ...]:
        following = 0
        values = []
        for item in node.values.enumerators:
            if parsed.marked.marker(item.name, RECORD_MARKER) is not None:
                continue
            value = following if item.value is None else self.value(item.value)
            if value is None:
                value = following
                self.not_constant.setdefault(item.name, parsed.unit.place)
            self._constants[item.name] = value
            values.append((item.name, value))
            following = value + 1
        return tuple(values)

    def value(self, node: Any) -> int | None:
        """A constant expression, or None."""
        return evaluated(node, self.constant, self._size_of, self._cast)

    def expression(self, text: str) -> int | None:
        """The value of a constant expression given as text, or None."""
        tree = self._parser.expression(text)
        try:
            return None if tree is None else self.value(tree)
        except (FormatError, RecursionError):
            return None

    def _size_of(self, node: Any) -> int | None:
        return self.size(self.type(node.type, _NOWHERE)) or None if isinstance(node, c_ast.Typename) else None

    def _cast(self, node: Any, value: int) -> int | None:
        number = self.type(node.type, _NOWHERE)
        row, bits = self.table.plain(number), 8 * self.size(number)
        if isinstance(row, Pointer):
            return value & ((1 << bits) - 1)
        if not isinstance(row, Base | Enumeration) or row.size is None:
            return None
        if isinstance(row, Base) and row.encoding in ("float", "bool"):
            return int(bool(value)) if row.encoding == "bool" else None
        value &= (1 << bits) - 1
        return value - (1 << bits) if row.signed and value >> (bits - 1) else value

    # -- rows ----------------------------------------------------------------------------------------------------------

    def size(self, number: TypeId) -> int:
        """The size in bytes; 0 if there is none or it is not known."""
        row = self.rows[number]
        if isinstance(row, Typedef | Qualified):
            return self.size(row.target)
        if isinstance(row, Array):
            return self.size(row.element) * (row.count or 0)
        if isinstance(row, Record | Enumeration):
            self.complete(number)
            row = self.rows[number]
        return getattr(row, "size", 0) or 0

    def alignment(self, number: TypeId) -> int:
        """In bytes, as a member of a structure."""
        row = self.rows[number]
        if isinstance(row, Record | Enumeration):
            self.complete(number)
        if number in self._alignment:
            return self._alignment[number]
        if isinstance(row, Typedef | Qualified):
            return self.alignment(row.target)
        if isinstance(row, Array):
            return self.alignment(row.element)
        return base_alignment(row, self.machine) if isinstance(row, Base) else max(self.size(number), 1)

    # -- types of declarators ------------------------------------------------------------------------------------------

    def type(self, node: Any, parsed: ParsedDeclaration, own: Attributes = NONE) -> TypeId:
        """The number of a declarator's type. own: attributes of the declaration."""
        handler = _HANDLERS.get(type(node))
        if handler is None:
            return self.table.row(Unknown(f"a kind of type that is not modelled ({type(node).__name__})"))
        return handler(self, node, parsed, own)

    def _declared(self, node: Any, parsed: ParsedDeclaration, own: Attributes) -> TypeId:
        number = self.type(node.type, parsed, own)
        if own.vector:
            number = self.table.row(Unknown("a vector type"))
        elif own.mode:
            number = self.table.row(mode_row(self.table.plain(number), own.mode, self.machine))
        return self._qualified(node.quals, number)

    def _qualified(self, qualifiers: Iterable[str], number: TypeId) -> TypeId:
        for word in sorted(set(qualifiers)):
            if word in _QUALIFIERS:
                number = self.table.row(Qualified(_QUALIFIERS[word], number))
        return number

    def _identifier(self, node: Any, parsed: ParsedDeclaration, own: Attributes) -> TypeId:
        return self.named(node.names, parsed.unit.place)

    def named(self, words: list[str], place: str = "") -> TypeId:
        """The number of a type's name or of keywords. place: where they stand."""
        name = words[-1]
        if name in self._names.typedefs:
            return self.typedef(name)
        if name == "__builtin_va_list":
            return self._va_list()
        row = builtin_row(words, self.machine)
        if row is not None:
            return self.table.row(row)
        self.undeclared.setdefault(name, place)
        if self._incomplete:
            return self.table.row(Typedef(name, self.table.row(Record("struct", name, None))))
        return self.table.row(Unknown(f"{name}, which no header declares"))

    def _va_list(self) -> TypeId:
        if self.machine is Machine.I386:
            return self.table.row(Pointer(self.table.row(BASE_ROWS[self.machine]["char"]), 4))
        unsigned, pointer = self.table.row(BASE_ROWS[self.machine]["unsigned int"]), self.table.row(Pointer(VOID, 8))
        number = self.table.row(va_list_tag(unsigned, pointer))
        self._alignment[number] = 8
        return self.table.row(Array(number, 1))

    def typedef(self, name: str) -> TypeId:
        """The number of a type name that is declared."""
        key = ("typedef", name)
        if key in self.table.numbers:
            return self.table.numbers[key]
        number = self.table.number(key, Typedef(name, VOID))
        if name not in self._names.typedefs:  # a name that is not an identifier of C (`$` in it)
            self.rows[number] = Unknown(f"{name}, whose name is not understood")
            return number
        parsed = self.parse(self._names.typedefs[name])
        node = next((n for n in parsed.nodes if isinstance(n, c_ast.Typedef) and n.name == name), None)
        if node is None:
            self.rows[number] = Unknown(f"{name}, whose declaration is not understood")
            return number
        own = parsed.marked.own
        target = self.type(node.type, parsed, own)
        self.rows[number] = Typedef(name, target, parsed.place(node))
        if (aligned := self._aligned(own)) and not isinstance(self.rows[target], Unknown):
            self._alignment[number] = aligned
        return number

    def _aligned(self, attributes: Attributes) -> int:
        value = self.expression(attributes.aligned) if attributes.aligned else None
        return value if value is not None and 0 < value <= 1 << 28 and not value & (value - 1) else 0

    def _pointer(self, node: Any, parsed: ParsedDeclaration, own: Attributes) -> TypeId:
        target = self.type(node.type, parsed, own)
        return self._qualified(node.quals, self.table.row(Pointer(target, self.machine.word)))

    def _array(self, node: Any, parsed: ParsedDeclaration, own: Attributes) -> TypeId:
        element = self.type(node.type, parsed, own)
        if node.dim is None:
            return self.table.row(Array(element, None))
        count = self.value(node.dim)
        if count is None or not 0 <= count < _MOST_ELEMENTS:
            return self.table.row(Unknown("an array whose size is not understood"))
        return self.table.row(Array(element, count))

    def _function(self, node: Any, parsed: ParsedDeclaration, own: Attributes) -> TypeId:
        listed = node.args.params if node.args is not None else []
        parameters = [
            Parameter(item.name or "", self._parameter(item.type, parsed))
            for item in listed
            if not isinstance(item, c_ast.EllipsisParam | c_ast.ID) and not (is_void(item.type) and not item.name)
        ]
        variadic = any(isinstance(item, c_ast.EllipsisParam) for item in listed)
        convention = effective_convention(own.convention, self.machine)
        known = bool(listed) and not any(isinstance(item, c_ast.ID) for item in listed)
        result = self.type(node.type, parsed)
        return self.table.row(FunctionType(result, tuple(parameters), variadic, convention, known))

    def _parameter(self, node: Any, parsed: ParsedDeclaration) -> TypeId:
        """A parameter's type: arrays and functions become pointers, its own qualifiers do not count (C11 6.7.6.3)."""
        if isinstance(node, c_ast.ArrayDecl):  # its size may be any expression, also a variable
            return self.table.row(Pointer(self.type(node.type, parsed), self.machine.word))
        number = self.type(node, parsed)
        row = self.rows[number]
        while isinstance(row, Qualified):
            number = row.target
            row = self.rows[number]
        plain = self.table.plain(number)
        if isinstance(plain, Array):
            return self.table.row(Pointer(plain.element, self.machine.word))
        return self.table.row(Pointer(number, self.machine.word)) if isinstance(plain, FunctionType) else number

    # -- structures, unions, enumerations ------------------------------------------------------------------------------

    def _record(self, node: Any, parsed: ParsedDeclaration, own: Attributes) -> TypeId:
        """A structure, union or enumeration: by its tag, or where it is defined."""
        kind = {c_ast.Struct: "struct", c_ast.Union: "union"}.get(type(node), "enum")
        body = node.values if kind == "enum" else node.decls
        known = (
            self.tagged(kind, node.name)
            if node.name
            else self.table.number(("body", id(node)), _declared_only(kind, ""))
        )
        if body is not None and known not in self._alignment:
            self._pending[known] = _Pending(node, parsed)
        return known

    def has_typedef(self, name: str) -> bool:
        return name in self._names.typedefs

    def tagged(self, kind: str, tag: str) -> TypeId:
        """The number of `struct TAG`, `union TAG` or `enum TAG`."""
        known = self.table.numbers.get(("tag", tag))
        if known is None:
            known = self.table.number(("tag", tag), _declared_only(kind, tag))
            if tag in self._names.tags:
                self._pending[known] = _Pending(None, unparsed(self._names.tags[tag]))
        return known

    def complete(self, number: TypeId) -> None:
        """Reads the contents of a structure, union or enumeration, if they have not been read."""
        pending = self._pending.pop(number, None)
        if pending is None:
            return
        node, parsed = pending.node, pending.parsed
        if node is None:  # declared here, defined elsewhere
            parsed = self.parse(parsed.unit)
            node = definition(parsed.nodes, getattr(self.rows[number], "name", ""))
        if isinstance(node, c_ast.Enum):
            self._enumeration(number, node, parsed)
        elif node is not None:
            self._structure(number, node, parsed)

    def _enumeration(self, number: TypeId, node: Any, parsed: ParsedDeclaration) -> None:
        own = record_attributes(node.values.enumerators, parsed.marked)
        values = self._values(node, parsed)
        signed = any(value < 0 for _, value in values)
        size = enumeration_size([value for _, value in values], own.packed)
        if not own.packed and own.mode in MODES:
            size = MODES[own.mode]
        if own.underlying:
            size = self.expression(f"sizeof({own.underlying})") or size
            signed = self.expression(f"({own.underlying})-1") == -1
        self.rows[number] = Enumeration(node.name or "", size, signed, values, parsed.place(node))
        self._alignment[number] = min(size, 4) if self.machine is Machine.I386 else size

    def _structure(self, number: TypeId, node: Any, parsed: ParsedDeclaration) -> None:
        record = record_attributes(node.decls, parsed.marked)
        union = isinstance(node, c_ast.Union)
        members: list[tuple[str, TypeId, int | None]] = []
        places: list[LayoutMember] = []
        for item, own in members_of(node, parsed.marked):
            type_ = self.type(item.type, parsed, own)
            width = None if item.bitsize is None else min(max(self.value(item.bitsize) or 0, 0), 128)
            members.append((item.name or "", type_, width))
            places.append(self._layout_member(type_, width, own, record.packed, item))
        aligned = self._aligned(record) or 1
        layout = laid_out(places, union=union, pack=parsed.unit.pack, aligned=aligned)
        rows = tuple(
            RecordMember(name, type_, offset, width)
            for (name, type_, width), offset in zip(members, layout.offsets, strict=True)
            if name or width is None
        )
        self._alignment[number] = layout.alignment
        kind, place = "union" if union else "struct", parsed.place(node)
        self.rows[number] = Record(kind, node.name or "", layout.size, rows, layout.alignment, place)

    def _layout_member(
        self, type_: TypeId, width: int | None, own: Attributes, packed: bool, item: Any
    ) -> LayoutMember:
        size, natural = self.size(type_), self.alignment(type_)
        demanded = self._aligned(own)
        for specifier in getattr(item, "align", None) or ():
            wanted = specifier.alignment
            by_type = isinstance(wanted, c_ast.Typename)
            number = self.alignment(self.type(wanted.type, _NOWHERE)) if by_type else self.value(wanted)
            demanded = max(demanded, number or 0)
        packed = packed or own.packed
        if demanded:
            return LayoutMember(size, demanded if packed else max(natural, demanded), width, bool(item.name))
        return LayoutMember(size, natural, width, bool(item.name), packed)


def _declared_only(kind: str, name: str) -> Type:
    return Enumeration(name, None, False, ()) if kind == "enum" else Record(kind, name, None)


Handler = Callable[[DeclaredTypes, Any, ParsedDeclaration, Attributes], TypeId]
_HANDLERS: dict[type, Handler] = {
    c_ast.TypeDecl: DeclaredTypes._declared,
    c_ast.IdentifierType: DeclaredTypes._identifier,
    c_ast.PtrDecl: DeclaredTypes._pointer,
    c_ast.ArrayDecl: DeclaredTypes._array,
    c_ast.FuncDecl: DeclaredTypes._function,
    c_ast.Struct: DeclaredTypes._record,
    c_ast.Union: DeclaredTypes._record,
    c_ast.Enum: DeclaredTypes._record,
    c_ast.Typename: lambda types, node, parsed, own: types.type(node.type, parsed, own),
}

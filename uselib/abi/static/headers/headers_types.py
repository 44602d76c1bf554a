"""C declarations of headers -> types as the ABI sees them (types.py), with the layout that the machine's psABI gives them.

Only what is asked for is parsed. A pointer to a structure does not lead into it at once: structures are numbered when they are
met and completed from a list afterwards, so that no chain of pointers, however long, makes the recursion deep.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pycparser
from pycparser import c_ast

from uselib.linker.c_types.attributes import MEMBER_MARKER, NONE, RECORD_MARKER, Attributes, Marked
from uselib.linker.c_types.constants import evaluated
from uselib.linker.c_types.layout import Slot, base_type, laid_out
from uselib.linker.c_types.syntax import is_void
from uselib.linker.c_types.types import (
    VOID,
    Array,
    Base,
    Enumeration,
    FunctionType,
    Member,
    Parameter,
    Pointer,
    Qualified,
    Record,
    Type,
    Typedef,
    TypeId,
    Types,
    Unknown,
    Void,
)
from uselib.linker.c_types.units import Unit
from uselib.linker.c_types.value_types import Complex, Floating, Integer
from uselib.linker.c_types.words import KEYWORDS, WORD, guessed_types
from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.image import Machine

_DEBUG_NAMES = {  # as gcc spells them in DWARF, so that both readers say the same
    "short": "short int", "unsigned short": "short unsigned int", "long": "long int", "unsigned long": "long unsigned int",
    "long long": "long long int", "unsigned long long": "long long unsigned int", "unsigned __int128": "__int128 unsigned",
}  # fmt: skip
_ALIASES = {  # names that compilers know without any header
    "__int128_t": "__int128", "__uint128_t": "unsigned __int128", "_Float32": "float", "_Float64": "double", "_Float32x": "double",
    "_Float64x": "long double",
}  # fmt: skip
_OTHER = {
    "_Float128": Base("_Float128", 16, "float"), "__float128": Base("_Float128", 16, "float"),
    "_Decimal32": Base("_Decimal32", 4, "other"), "_Decimal64": Base("_Decimal64", 8, "other"),
    "_Decimal128": Base("_Decimal128", 16, "other"), "_Float16": Base("_Float16", 2, "float"), "__bf16": Base("__bf16", 2, "other"),
}  # fmt: skip
_MODES = {"QI": 1, "byte": 1, "HI": 2, "SI": 4, "DI": 8, "TI": 16}
_BUILTIN = frozenset((*_ALIASES, *_OTHER, "__builtin_va_list"))
_BY_SIZE = {1: "signed char", 2: "short", 4: "int", 8: "long long", 16: "__int128"}
_APPLY = {Machine.I386: ("stdcall", "fastcall", "thiscall", "regparm", "sseregparm", "vectorcall", "pascal", "ms"),
          Machine.X86_64: ("ms", "vectorcall")}  # fmt: skip
_QUALIFIERS = {"const": "const", "volatile": "volatile", "restrict": "restrict", "_Atomic": "atomic"}
_DEEPEST_VALUE = 1 << 40  # elements of an array; more is a mistake


@dataclass(frozen=True)
class Parsed:
    """A unit's trees."""

    unit: Unit
    marked: Marked
    nodes: tuple[Any, ...]


@dataclass
class _Pending:
    """A structure, union or enumeration that has a number and no contents yet."""

    node: Any
    parsed: Parsed


class HeaderTypes:
    """The types of a list of declarations. `rows` grow as types are asked for; `types()` completes them.

    Methods raise FormatError(FILE:LINE: ...) for text that is not C.
    """

    def __init__(self, units: Sequence[Unit], machine: Machine) -> None:
        self.machine = machine
        self.rows: list[Type] = [Void()]
        self.missing: dict[str, str] = {}  # names of types that no header declares -> where they are used
        self._parser = pycparser.CParser()
        self._parsed: dict[int, Parsed] = {}
        self._tags: dict[str, Unit] = {}
        self._typedefs: dict[str, Unit] = {}
        for unit in units:
            self._tags.update(dict.fromkeys(unit.tags(), unit))
            self._typedefs.update(dict.fromkeys(unit.typedefs(), unit))
        self._with_values = [unit for unit in units if "enum" in unit.text and "{" in unit.text]
        self._constants: dict[str, int] = {}
        self._numbers: dict[object, TypeId] = {}  # key of a type -> its number
        self._pending: dict[TypeId, _Pending] = {}
        self._alignment: dict[TypeId, int] = {}  # of records and of typedefs with an attribute

    # -- parsing -------------------------------------------------------------------------------------------------------

    def parse(self, unit: Unit) -> Parsed:
        known = self._parsed.get(id(unit))
        if known is None:
            ready = unit.marked()
            known = self._parsed[id(unit)] = Parsed(unit, ready, tuple(self._trees(unit, ready.text)))
        return known

    def _trees(self, unit: Unit, text: str) -> list[Any]:
        own = set(unit.typedefs())
        words = {w for w in WORD.findall(text) if w in self._typedefs or w in _BUILTIN} - own - KEYWORDS
        try:
            return self._attempt(text, words)
        except FormatError:
            raise
        except Exception as problem:  # ParseError (its module moved between versions), AssertionError of the lexer
            guessed = guessed_types(text) - words - own
            if guessed:
                try:
                    return self._attempt(text, words | guessed)
                except Exception:
                    pass
            raise _not_c(unit, str(problem)) from None

    def _attempt(self, text: str, words: Iterable[str]) -> list[Any]:
        names = sorted(words)
        prelude = "".join(f"typedef int {word};" for word in names)
        try:
            return list(self._parser.parse(prelude + text, "").ext[len(names) :])
        except RecursionError:
            raise FormatError(Diagnostic("", "a declaration nested too deeply")) from None

    def constant(self, name: str) -> int | None:
        """The value of an enumerator."""
        while name not in self._constants and self._with_values:
            unit = self._with_values.pop()
            try:
                self._enumerators(unit)
            except FormatError:
                continue  # told where the declaration itself is asked for
        return self._constants.get(name)

    def _enumerators(self, unit: Unit) -> None:
        parsed = self.parse(unit)
        for node in parsed.nodes:
            stack = [node]
            while stack:
                here = stack.pop()
                if isinstance(here, c_ast.Enum) and here.values is not None:
                    self._values(here, parsed)
                stack.extend(child for _, child in here.children())

    def _values(self, node: Any, parsed: Parsed) -> tuple[tuple[str, int], ...]:
        following = 0
        values = []
        for item in node.values.enumerators:
            if parsed.marked.marker(item.name, RECORD_MARKER) is not None:
                continue
            value = following if item.value is None else self.value(item.value)
            if value is None:
                value = following
                self.missing.setdefault(item.name, "the value of an enumerator that is not understood")
            self._constants[item.name] = value
            values.append((item.name, value))
            following = value + 1
        return tuple(values)

    def value(self, node: Any) -> int | None:
        """A constant expression, or None."""
        return evaluated(node, self.constant, self._size_of, self._cast)

    def expression(self, text: str) -> int | None:
        """The value of a constant expression given as text, or None."""
        words = {w for w in WORD.findall(text) if w in self._typedefs or w in _BUILTIN}
        try:
            tree = self._attempt(f"int $value = ({text});", words)
            return self.value(tree[0].init)
        except (Exception, RecursionError):  # whatever pycparser says: it is no expression
            return None

    def _size_of(self, node: Any) -> int | None:
        if not isinstance(node, c_ast.Typename):
            return None
        return self.size(self.type(node.type, _NOWHERE)) or None

    def _cast(self, node: Any, value: int) -> int | None:
        number = self.type(node.type, _NOWHERE)
        row = self._plain(number)
        size = self.size(number)
        if isinstance(row, Pointer):
            return value & ((1 << 8 * size) - 1)
        if (
            not isinstance(row, Base | Enumeration)
            or row.size is None
            or (isinstance(row, Base) and row.encoding == "float")
        ):
            return None
        if isinstance(row, Base) and row.encoding == "bool":
            return int(bool(value))
        value &= (1 << 8 * size) - 1
        return value - (1 << 8 * size) if row.signed and value >> (8 * size - 1) else value

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _number(self, key: object, row: Type) -> TypeId:
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.rows)
            self.rows.append(row)
        return number

    def _row(self, row: Type) -> TypeId:
        """The number of a type that is told by its own contents."""
        return VOID if isinstance(row, Void) else self._number(row, row)

    def _plain(self, number: TypeId) -> Type:
        row = self.rows[number]
        while isinstance(row, Typedef | Qualified):
            row = self.rows[row.target]
        return row

    def size(self, number: TypeId) -> int:
        """In bytes; 0 for what has none or is not known."""
        row = self.rows[number]
        if isinstance(row, Typedef | Qualified):
            return self.size(row.target)
        if isinstance(row, Array):
            return self.size(row.element) * (row.count or 0)
        if isinstance(row, Record | Enumeration):
            self._complete(number)
            row = self.rows[number]
        return getattr(row, "size", 0) or 0

    def alignment(self, number: TypeId) -> int:
        """In bytes, as a member of a structure."""
        if number in self._alignment:
            return self._alignment[number]
        row = self.rows[number]
        if isinstance(row, Typedef | Qualified):
            return self.alignment(row.target)
        if isinstance(row, Array):
            return self.alignment(row.element)
        if isinstance(row, Record):
            self._complete(number)
            return self._alignment.get(number, 1)
        if isinstance(row, Base) and row.encoding == "complex":
            return min(row.size // 2, 4) if self.machine is Machine.I386 else row.size // 2
        if (isinstance(row, Base) and row.size == 8) or (isinstance(row, Enumeration) and self.size(number) == 8):
            return 4 if self.machine is Machine.I386 else 8  # i386 psABI figure 2.1: long long and double in structures
        if isinstance(row, Base) and row.name == "long double" and self.machine is Machine.I386:
            return 4
        return max(self.size(number), 1)

    def types(self) -> Types:
        """All rows, complete."""
        while self._pending:
            self._complete(next(iter(self._pending)))
        return Types(tuple(self.rows))

    # -- types of declarators ------------------------------------------------------------------------------------------

    def type(self, node: Any, parsed: Parsed, own: Attributes = NONE) -> TypeId:
        """The number of a declarator's type. own: attributes of the declaration."""
        handler = _HANDLERS.get(type(node))
        if handler is None:
            return self._row(Unknown(f"a kind of type that is not modelled ({type(node).__name__})"))
        return handler(self, node, parsed, own)

    def _declared(self, node: Any, parsed: Parsed, own: Attributes) -> TypeId:
        number = self.type(node.type, parsed, own)
        if own.vector:
            number = self._row(Unknown("a vector type"))
        elif own.mode:
            number = self._of_mode(number, own.mode)
        return self._qualified(node.quals, number)

    def _qualified(self, qualifiers: Iterable[str], number: TypeId) -> TypeId:
        for word in sorted(set(qualifiers)):
            if word in _QUALIFIERS:
                number = self._row(Qualified(_QUALIFIERS[word], number))
        return number

    def _of_mode(self, number: TypeId, mode: str) -> TypeId:
        size = self.machine.word if mode in ("word", "pointer", "unwind_word") else _MODES.get(mode)
        row = self._plain(number)
        if size is None or not isinstance(row, Base):
            return self._row(Unknown(f"a type of machine mode {mode}"))
        return self._base(([] if row.signed else ["unsigned"]) + _BY_SIZE[size].replace("signed ", "").split())

    def _base(self, words: list[str]) -> TypeId:
        found = base_type(words, self.machine)
        if isinstance(found, Integer):
            kind = {"boolean": "bool", "character": "char"}.get(found.style, "signed" if found.signed else "unsigned")
            return self._row(Base(_DEBUG_NAMES.get(found.name, found.name), found.size, kind, found.signed))
        if isinstance(found, Floating):
            return self._row(Base(found.name, found.size, "float", True))
        if isinstance(found, Complex):
            return self._row(Base(f"complex {found.part.name}", found.size, "complex", True))
        return VOID

    def _identifier(self, node: Any, parsed: Parsed, own: Attributes) -> TypeId:
        words = list(node.names)
        name = words[-1]
        if name in self._typedefs:
            return self.typedef(name)
        if name == "__builtin_va_list":
            return self._va_list()
        if name in _OTHER:
            return self._row(_OTHER[name])
        words = [part for word in words for part in _ALIASES.get(word, word).split()]
        if base_type(words, self.machine) is not None:
            return self._base(words)
        self.missing.setdefault(name, parsed.unit.place)
        return self._row(Unknown(f"{name}, which no header declares"))

    def _va_list(self) -> TypeId:
        if self.machine is Machine.I386:
            return self._row(Pointer(self._base(["char"]), 4))
        unsigned, pointer = self._base(["unsigned", "int"]), self._row(Pointer(VOID, 8))
        names = (
            ("gp_offset", unsigned, 0),
            ("fp_offset", unsigned, 32),
            ("overflow_arg_area", pointer, 64),
            ("reg_save_area", pointer, 128),
        )
        members = tuple(Member(name, type_, offset) for name, type_, offset in names)
        number = self._row(Record("struct", "__va_list_tag", 24, members, 8))  # x86-64 psABI figure 3.34
        self._alignment[number] = 8
        return self._row(Array(number, 1))

    def typedef(self, name: str) -> TypeId:
        """The number of a type name that is declared."""
        key = ("typedef", name)
        if key in self._numbers:
            return self._numbers[key]
        number = self._number(key, Typedef(name, VOID))
        if name not in self._typedefs:  # a name that is no identifier of C (`$` in it)
            self.rows[number] = Unknown(f"{name}, whose name is not understood")
            return number
        parsed = self.parse(self._typedefs[name])
        node = next((n for n in parsed.nodes if isinstance(n, c_ast.Typedef) and n.name == name), None)
        if node is None:
            self.rows[number] = Unknown(f"{name}, whose declaration is not understood")
            return number
        own = parsed.marked.own
        target = self.type(node.type, parsed, own)
        self.rows[number] = Typedef(name, target, _place(parsed.unit, node))
        if (aligned := self._aligned(own)) and not isinstance(self.rows[target], Unknown):
            self._alignment[number] = aligned
        return number

    def _aligned(self, attributes: Attributes) -> int:
        if not attributes.aligned:
            return 0
        value = self.expression(attributes.aligned)
        return value if value is not None and 0 < value <= 1 << 28 and not value & (value - 1) else 0

    def _pointer(self, node: Any, parsed: Parsed, own: Attributes) -> TypeId:
        target = self.type(node.type, parsed, own)
        return self._qualified(node.quals, self._row(Pointer(target, self.machine.word)))

    def _array(self, node: Any, parsed: Parsed, own: Attributes) -> TypeId:
        element = self.type(node.type, parsed, own)
        if node.dim is None:
            return self._row(Array(element, None))
        count = self.value(node.dim)
        if count is None or not 0 <= count < _DEEPEST_VALUE:
            return self._row(Unknown("an array whose size is not understood"))
        return self._row(Array(element, count))

    def _function(self, node: Any, parsed: Parsed, own: Attributes) -> TypeId:
        parameters: list[Parameter] = []
        variadic = False
        listed = node.args.params if node.args is not None else []
        for item in listed:
            if isinstance(item, c_ast.EllipsisParam):
                variadic = True
            elif not isinstance(item, c_ast.ID) and not (is_void(item.type) and not item.name):
                parameters.append(Parameter(item.name or "", self._decayed(self.type(item.type, parsed))))
        name = own.convention.partition("(")[0]
        convention = own.convention if name in _APPLY[self.machine] else ""
        known = bool(listed) and not any(isinstance(item, c_ast.ID) for item in listed)
        result = self.type(node.type, parsed)
        return self._row(FunctionType(result, tuple(parameters), variadic, convention, known))

    def _decayed(self, number: TypeId) -> TypeId:
        """A parameter's type: arrays and functions are pointers, its own qualifiers are the function's affair (C11 6.7.6.3)."""
        row = self.rows[number]
        while isinstance(row, Qualified):
            number = row.target
            row = self.rows[number]
        plain = self._plain(number)
        if isinstance(plain, Array):
            return self._row(Pointer(plain.element, self.machine.word))
        return self._row(Pointer(number, self.machine.word)) if isinstance(plain, FunctionType) else number

    # -- records -------------------------------------------------------------------------------------------------------

    def _record(self, node: Any, parsed: Parsed, own: Attributes) -> TypeId:
        """A structure, union or enumeration: by its tag, or where it is defined."""
        kind = {c_ast.Struct: "struct", c_ast.Union: "union"}.get(type(node), "enum")
        body = node.values if kind == "enum" else node.decls
        key: object = ("tag", node.name) if node.name else ("body", id(node))
        known = self._numbers.get(key)
        if known is None:
            name = node.name or ""
            empty: Type = Enumeration(name, None, False, ()) if kind == "enum" else Record(kind, name, None)
            known = self._number(key, empty)
            if body is None and node.name in self._tags:
                self._pending[known] = _Pending(None, self._placed(node.name))
        if body is not None and known not in self._alignment:
            self._pending[known] = _Pending(node, parsed)
            self._alignment.pop(known, None)
        return known

    def _placed(self, tag: str) -> Parsed:
        return Parsed(self._tags[tag], Marked("", NONE, []), ())

    def _complete(self, number: TypeId) -> None:
        pending = self._pending.pop(number, None)
        if pending is None:
            return
        node, parsed = pending.node, pending.parsed
        if node is None:  # declared here, defined elsewhere
            parsed = self.parse(parsed.unit)
            node = _definition(parsed.nodes, getattr(self.rows[number], "name", ""))
            if node is None:
                return
        if isinstance(node, c_ast.Enum):
            self._enumeration(number, node, parsed)
        else:
            self._structure(number, node, parsed)

    def _enumeration(self, number: TypeId, node: Any, parsed: Parsed) -> None:
        own = _record_attributes(node.values.enumerators, parsed)
        values = self._values(node, parsed)
        low = min((v for _, v in values), default=0)
        high = max((v for _, v in values), default=0)
        size = 4 if low >= -(1 << 31) and high < 1 << (31 if low < 0 else 32) else 8
        if own.packed:
            size = next(s for s in (1, 2, size) if -(1 << 8 * s - 1) <= low and high < 1 << (8 * s - (low < 0)))
        elif own.mode in _MODES:
            size = _MODES[own.mode]
        signed = low < 0
        if own.underlying:
            size = self.expression(f"sizeof({own.underlying})") or size
            signed = self.expression(f"({own.underlying})-1") == -1
        self.rows[number] = Enumeration(node.name or "", size, signed, values, _place(parsed.unit, node))
        self._alignment[number] = min(size, 4) if self.machine is Machine.I386 else size

    def _structure(self, number: TypeId, node: Any, parsed: Parsed) -> None:
        record = _record_attributes(node.decls, parsed)
        union = isinstance(node, c_ast.Union)
        members: list[tuple[str, TypeId, int | None]] = []
        slots: list[Slot] = []
        own = NONE
        for item in node.decls:
            if not isinstance(item, c_ast.Decl):
                continue  # pragmas, static assertions
            name = item.name or ""
            if parsed.marked.marker(name, RECORD_MARKER) is not None:
                continue
            if (marked := parsed.marked.marker(name, MEMBER_MARKER)) is not None:
                own = marked
                continue
            if not name and item.bitsize is None:
                inner = item.type
                if not isinstance(inner, c_ast.Struct | c_ast.Union) or inner.name or inner.decls is None:
                    continue  # declares a tag and no member
            type_ = self.type(item.type, parsed, own)
            width = None if item.bitsize is None else min(max(self.value(item.bitsize) or 0, 0), 128)
            members.append((name, type_, width))
            slots.append(self._slot(type_, width, name, own, record.packed, item))
            own = own if _continues(item, node.decls) else NONE
        aligned = self._aligned(record)
        layout = laid_out(slots, union=union, pack=parsed.unit.pack, aligned=aligned or 1)
        rows = tuple(
            Member(name, type_, offset, width)
            for (name, type_, width), offset in zip(members, layout.offsets, strict=True)
            if name or width is None
        )
        self._alignment[number] = layout.alignment
        kind = "union" if union else "struct"
        place = _place(parsed.unit, node)
        self.rows[number] = Record(kind, node.name or "", layout.size, rows, layout.alignment, place)

    def _slot(self, type_: TypeId, width: int | None, name: str, own: Attributes, packed: bool, item: Any) -> Slot:
        size, natural = self.size(type_), self.alignment(type_)
        demanded = self._aligned(own)
        for specifier in getattr(item, "align", None) or ():
            wanted = specifier.alignment
            number = (
                self.alignment(self.type(wanted.type, _NOWHERE))
                if isinstance(wanted, c_ast.Typename)
                else self.value(wanted)
            )
            demanded = max(demanded, number or 0)
        packed = packed or own.packed
        if demanded:
            return Slot(size, demanded if packed else max(natural, demanded), width, bool(name))
        return Slot(size, natural, width, bool(name), packed)


_NOWHERE = Parsed(Unit("", "", 0, True, 0), Marked("", NONE, []), ())
Handler = Callable[[HeaderTypes, Any, Parsed, Attributes], TypeId]
_HANDLERS: dict[type, Handler] = {
    c_ast.TypeDecl: HeaderTypes._declared,
    c_ast.IdentifierType: HeaderTypes._identifier,
    c_ast.PtrDecl: HeaderTypes._pointer,
    c_ast.ArrayDecl: HeaderTypes._array,
    c_ast.FuncDecl: HeaderTypes._function,
    c_ast.Struct: HeaderTypes._record,
    c_ast.Union: HeaderTypes._record,
    c_ast.Enum: HeaderTypes._record,
    c_ast.Typename: lambda types, node, parsed, own: types.type(node.type, parsed, own),
}


def _continues(item: Any, members: Sequence[Any]) -> bool:
    """Is the next member of the same declaration (`int a, b`)? Its attributes then are too."""
    index = next(n for n, member in enumerate(members) if member is item) + 1
    following = members[index] if index < len(members) else None
    return isinstance(following, c_ast.Decl) and _root(following) is _root(item)


def _root(node: Any) -> Any:
    while hasattr(node, "type") and not isinstance(
        node, c_ast.Struct | c_ast.Union | c_ast.Enum | c_ast.IdentifierType
    ):
        node = node.type
    return node


def _record_attributes(members: Sequence[Any], parsed: Parsed) -> Attributes:
    name = getattr(members[0], "name", None) or "" if members else ""
    return parsed.marked.marker(name, RECORD_MARKER) or NONE


def _definition(nodes: Iterable[Any], tag: str) -> Any:
    """The structure, union or enumeration with a body and this tag, somewhere in these trees."""
    stack = list(nodes)
    while stack:
        here = stack.pop()
        if isinstance(here, c_ast.Struct | c_ast.Union) and here.name == tag and here.decls is not None:
            return here
        if isinstance(here, c_ast.Enum) and here.name == tag and here.values is not None:
            return here
        stack.extend(child for _, child in here.children())
    return None


def _place(unit: Unit, node: Any) -> str:
    line = getattr(getattr(node, "coord", None), "line", 1) or 1
    return f"{unit.file}:{unit.line + line - 1}"


def _not_c(unit: Unit, problem: str) -> FormatError:
    place = re.match(r":?(\d+):(?:\d+):?\s*(.*)", problem, re.DOTALL)
    line = unit.line + (int(place[1]) - 1 if place else 0)
    said = (place[2] if place else problem).replace("\n", " ").strip(" :") or "not C"
    near = re.sub(r"^before:\s*", "not a C declaration, at ", said)
    shown = " ".join(unit.text.split())
    return FormatError(Diagnostic(f"{unit.file}:{line}", f"{near}: `{shown[:60]}{'...' if len(shown) > 60 else ''}`"))

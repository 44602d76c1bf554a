"""C declarations -> prototypes. linker/c_types reads the types; what is said beside C (sets of values, formats, `out`) is kept here.

`Declarations` is one file: an index of its declarations by name. The standard C library's file (libc.txt) is indexed by
regular expressions, line by line, and parsed lazily: opening it costs milliseconds. A user's file is parsed whole, so that its
errors are told at once. Types that a user's file does not define are looked for in libc.txt; unknown ones are `OpaqueView`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pycparser import c_ast

from uselib.emulator.trace.prototypes.from_graph import TypeViews, ViewHints
from uselib.emulator.trace.prototypes.sets import SET, set_type
from uselib.emulator.trace.prototypes.simple import simple_prototype
from uselib.emulator.trace.prototypes.type_views import (
    OpaqueView,
    Prototype,
    PrototypeParameter,
    TypeView,
    guessed_format,
)
from uselib.linker.c_types import annotated
from uselib.linker.c_types.annotated import AnnotatedDeclaration
from uselib.linker.c_types.declared_types import DeclaredTypes
from uselib.linker.c_types.type_names import TypeNames
from uselib.linker.c_types.types import FunctionType
from uselib.linker.c_types.units import TopLevelDeclaration
from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import dataclass, field, replace

_ALIAS = re.compile(r"(?:alias|time64)\s+(\w+)\s+(\w+)\s*;")
_VA_LIST = TopLevelDeclaration("typedef void *__builtin_va_list;", "libc", 0, True, 0)  # shown as a word
_KINDS = (  # kind of a line of libc.txt, and its name
    ("alias", _ALIAS),
    ("set", re.compile(r"(?:enum|flags|chars) (\w+) :")),
    ("typedef", re.compile(r"typedef [^(]*?\(\*(\w+)\)")),
    ("typedef", re.compile(r"typedef .*?(\w+);$")),
    ("tag", re.compile(r"struct (\w+) \{")),
    ("function", re.compile(r"[^(]*?(\w+)\(")),
)


@dataclass(frozen=True)
class _Annotated:
    """A declaration, and the same as C."""

    said: AnnotatedDeclaration
    unit: TopLevelDeclaration


@dataclass(frozen=True)
class _DeclarationIndex:
    """functions: by name; of libc.txt lines that have not been looked at. sets: texts, and where they are. flags: tags of
    enumerations whose values are joined by `|`."""

    functions: dict[str, _Annotated | str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    sets: dict[str, tuple[str, str]] = field(default_factory=dict)
    types: TypeNames = field(default_factory=lambda: TypeNames({}, {"__builtin_va_list": _VA_LIST}))
    flags: set[str] = field(default_factory=set)


class Declarations:
    """The declarations of one file, for one machine. base: where to look for types that it does not define."""

    def __init__(self, index: _DeclarationIndex, types: DeclaredTypes, where: str, base: Declarations | None) -> None:
        self._index, self._types, self._where, self._base = index, types, where, base
        self._machine = types.machine
        self._sets: dict[str, TypeView | None] = {}
        hints = ViewHints(self._set_type, index.flags)
        self._values = TypeViews(types.rows, types.complete, types.machine, hints, unknown=OpaqueView("?"))

    @property
    def aliases(self) -> frozenset[str]:
        """Functions that are declared as another name of a function."""
        return frozenset(self._index.aliases)

    def names(self) -> Iterator[str]:
        """The functions declared here."""
        yield from self._index.functions
        yield from self._index.aliases

    def find(self, name: str) -> Prototype | None:
        """The prototype of a function, or None. Raises FormatError for a declaration that makes no sense."""
        target = self._index.aliases.get(name)
        if target is not None:
            found = self.find(target) if target != name else None
            return None if found is None else replace(found, name=name)
        line = self._index.functions.get(name)
        if isinstance(line, str):
            simple = simple_prototype(line, self._machine.word, self._word_type)
            if simple is not None:
                return simple
        return self.parsed(name)

    def parsed(self, name: str) -> Prototype | None:
        """As `find`, by pycparser in any case."""
        found = self._index.functions.get(name)
        if found is None:
            return None
        if isinstance(found, str):
            said = annotated.annotated(0, found)
            found = self._index.functions[name] = _Annotated(said, _unit(said, self._where))
        said = found.said
        try:
            parsed = self._types.parse(found.unit)
            node = next(node for node in parsed.nodes if _is_function(node) and node.name == name)
            row = self._types.rows[self._types.type(node.type, parsed)]
            assert isinstance(row, FunctionType)
            types = [self._values.of(parameter.type) for parameter in row.parameters]
            result = self._values.of(row.result)
        except RecursionError:
            raise FormatError(Diagnostic(found.unit.place, "a declaration nested too deeply")) from None
        names = [parameter.name for parameter in row.parameters]
        lengths = {number: tuple(_position(w, names) for w in words) for number, words in said.length.items()}
        if any(-1 in positions for positions in lengths.values()):
            raise FormatError(Diagnostic(found.unit.place, "bytes(...) names no parameter", name))
        parameters = [
            PrototypeParameter(names[n], type_, n in said.out, lengths.get(n, ())) for n, type_ in enumerate(types)
        ]
        only_names = not row.prototyped and node.type.args is not None  # `int f(a, b)` of old C
        variadic = row.variadic or only_names
        index, kind = guessed_format(parameters, variadic), "printf"
        if said.format:
            kind, number = said.format
            index = number if 0 <= number < len(types) else -1
        return Prototype(name, result, tuple(parameters), variadic, index, kind, self._where, said.noreturn)

    # -- types ---------------------------------------------------------------------------------------------------------

    def typedef(self, name: str) -> TypeView | None:
        """The type of a typedef's or set's name, or None."""
        return self._values.of(self._types.typedef(name)) if self._types.has_typedef(name) else None

    def structure(self, tag: str) -> TypeView:
        """The type `struct TAG`; Opaque if it is not defined."""
        return self._values.of(self._types.tagged("struct", tag))

    def _word_type(self, words: list[str], pointers: int) -> TypeView:
        """The type of a simple declaration."""
        tagged = words[0] == "struct"
        return self._values.of(self._types.tagged(*words) if tagged else self._types.named(words), pointers)

    def _set_type(self, name: str) -> TypeView | None:
        """What `enum NAME : TYPE {...}` and their like show, or None if the name is not a set."""
        if name in self._sets:
            return self._sets[name]
        found: TypeView | None = None
        if name in self._index.sets:
            self._sets[name] = None  # while it is being made
            text, where = self._index.sets[name]
            found = set_type(text, where, lambda words: self._values.of(self._types.named(words), 0))
        elif self._base is not None and name not in self._index.types.typedefs:
            found = self._base._set_type(name)
        self._sets[name] = found
        return found


def _is_function(node: Any) -> bool:
    return isinstance(node, c_ast.Decl) and isinstance(node.type, c_ast.FuncDecl) and "static" not in node.storage


def _position(word: str | int, names: list[str]) -> int:
    if isinstance(word, int):
        return word if 0 <= word < len(names) else -1
    return names.index(word) if word in names else -1


def _unit(said: AnnotatedDeclaration, where: str) -> TopLevelDeclaration:
    return TopLevelDeclaration(said.text, where, said.line, False, 0)


def _set_unit(match: re.Match[str], where: str, line: int) -> TopLevelDeclaration:
    """A set, as what it is in C."""
    return TopLevelDeclaration(f"typedef {match[3]} {match[2]};", where, line, False, 0)


def _holds(condition: str, machine: Machine, library: str) -> bool:
    return not condition or {machine.label, library}.issuperset(condition.split("-"))


@cache
def standard(machine: Machine, library: str = "musl") -> Declarations:
    """The standard C library's declarations for `musl`, `glibc` or `mini`; indexed once, parsed as they are asked for."""
    index = _DeclarationIndex()
    text = Path(__file__).with_name("libc.txt").read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        condition = ""
        if line.startswith("@"):
            condition, _, line = line[1:].partition(" ")
        if line and not line.startswith("//") and _holds(condition, machine, library):
            _index_line(index, line, number)
    return Declarations(index, DeclaredTypes(index.types, machine, incomplete=True), "libc", None)


def _index_line(index: _DeclarationIndex, line: str, number: int) -> None:
    kind, match = next(((kind, match) for kind, pattern in _KINDS if (match := pattern.match(line))), ("", None))
    if match is None:
        return
    name = match[1]
    if kind == "alias":
        index.aliases[name] = match[2]
    elif kind == "function":
        index.functions[name] = line
    elif kind == "tag":
        index.types.tags[name] = TopLevelDeclaration(line, "libc", number, False, 0)
    elif kind == "typedef":
        index.types.typedefs[name] = TopLevelDeclaration(line, "libc", number, False, 0)
    elif found := SET.match(line):
        index.sets[name] = line, f"libc:{number}"
        index.types.typedefs[name] = _set_unit(found, "libc", number)


def from_file(text: str, where: str, machine: Machine, library: str = "musl") -> Declarations:
    """A user's header or prototype file. Raises FormatError(FILE:LINE: ...)."""
    base = standard(machine, library)
    listed = [item for item in annotated.declarations(text, where) if _holds(item.condition, machine, library)]
    index, plain = _DeclarationIndex(), []
    sets: list[TopLevelDeclaration] = []
    for item in listed:
        if match := SET.match(item.text):
            index.sets[match[2]] = item.text, f"{where}:{item.line}"
            sets.append(_set_unit(match, where, item.line))
        elif match := _ALIAS.match(item.text):
            index.aliases[match[1]] = match[2]
        else:
            plain.append(_Annotated(item, _unit(item, where)))
    own = TypeNames.of([*sets, *(one.unit for one in plain)])
    index = replace(index, types=own)
    types = DeclaredTypes(own.over(base._index.types), machine, incomplete=True)
    found = Declarations(index, types, where, base)
    for one in plain:
        _index_parsed(index, one, types)
    for name in index.sets:
        found._set_type(name)
    for name in list(index.functions):
        found.find(name)  # so that errors are told now
    return found


def _index_parsed(index: _DeclarationIndex, one: _Annotated, types: DeclaredTypes) -> None:
    """Puts the functions of a declaration into the index; reads its enumerators."""
    for node in types.parse(one.unit).nodes:
        if _is_function(node):
            index.functions[node.name] = one
    if one.said.flag_enum:
        index.flags.update(one.unit.tags())
    types.read_enumerators(one.unit)
    for name, place in types.not_constant.items():
        raise FormatError(Diagnostic(place, "not a constant value", name))

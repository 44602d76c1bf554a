"""C declarations -> prototypes. pycparser parses; one declaration at a time, when it is asked for.

`Declarations` is one file: an index of its declarations by name. The standard C library's file (libc.txt) is indexed by
regular expressions, line by line, and parsed lazily: opening it costs milliseconds. A user's file is parsed whole, so that its
errors are told at once. Types that a user's file does not define are looked for in libc.txt; unknown ones are `Opaque`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import pycparser
from pycparser import c_ast

from uselib.emulator.trace.prototypes.simple import simple_prototype
from uselib.linker.c_types import headers
from uselib.linker.c_types.constants import evaluated
from uselib.linker.c_types.headers import Declared
from uselib.linker.c_types.layout import base_type, structure
from uselib.linker.c_types.syntax import decayed, enums, is_const, is_void, position, tags
from uselib.linker.c_types.value_types import (
    Array,
    Function,
    Integer,
    Opaque,
    Parameter,
    Pointer,
    Prototype,
    Type,
    Value,
    enumeration,
    guessed_format,
    renamed,
)
from uselib.linker.c_types.words import KEYWORDS, WORD, guessed_types, typedef_names
from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.image import Machine

_SET = re.compile(r"(enum|flags|chars)\s+(\w+)\s*:\s*([\w\s]+?)\s*(?:\{(.*)\})?\s*;", re.DOTALL)
_ALIAS = re.compile(r"(alias|time64)\s+(\w+)\s+(\w+)\s*;")
_ITEM = re.compile(r"(\w+)\s*(?:=\s*(-?\w+)\s*(?:/\s*(\w+))?)?$")
_INDEX = (  # kind of declaration and its name, of a line of libc.txt
    ("alias", re.compile(r"(?:alias|time64) (\w+)")),
    ("typedef", re.compile(r"(?:enum|flags|chars) (\w+) :")),
    ("typedef", re.compile(r"typedef [^(]*?\(\*(\w+)\)")),
    ("typedef", re.compile(r"typedef .*?(\w+);$")),
    ("tag", re.compile(r"struct (\w+) \{")),
    ("function", re.compile(r"[^(]*?(\w+)\(")),
)


def _number(text: str) -> int:
    """A C integer constant. Raises ValueError."""
    text = text.rstrip("uUlL")
    negative = text.startswith("-")
    digits = text.lstrip("-")
    octal = len(digits) > 1 and digits.startswith("0") and digits.isdigit()
    value = int(digits, 8 if octal else 0)
    return -value if negative else value


class Declarations:
    """The declarations of one file, for one machine and C library (`musl`, `glibc`, `mini`).

    Raises FormatError(FILE:LINE: what is wrong) on construction for a user's file that cannot be understood.
    """

    def __init__(
        self, text: str, where: str, machine: Machine, library: str = "musl", *, trusted: bool = False
    ) -> None:
        self._where, self._machine = where, machine
        self._holding = {machine.label, library}
        self._index: dict[
            tuple[str, str], Declared | str
        ] = {}  # (kind, name) -> declaration, or a line not looked at yet
        self._nodes: dict[tuple[str, str], Any] = {}
        self._types: dict[tuple[str, str, int], Type] = {}
        self._constants: dict[str, int] = {}
        self._parser = pycparser.CParser()
        self._names: set[str] = set()  # of typedefs
        self._base = None if trusted else standard(machine, library)
        if trusted:
            self._index_lines(text)
        else:
            self._index_file(text)

    # -- indexes -------------------------------------------------------------------------------------------------------

    def _index_lines(self, text: str) -> None:
        for line in text.splitlines():
            condition = ""
            if line.startswith("@"):
                condition, _, line = line[1:].partition(" ")
            if not line or line.startswith("//") or not self._holds(condition):
                continue
            for kind, pattern in _INDEX:
                if match := pattern.match(line):
                    self._index[kind, match[1]] = line
                    if kind == "typedef":
                        self._names.add(match[1])
                    break

    def _holds(self, condition: str) -> bool:
        return not condition or self._holding.issuperset(condition.split("-"))

    def _index_file(self, text: str) -> None:
        found = [item for item in headers.declarations(text, self._where) if self._holds(item.condition)]
        for item in found:
            self._names.update(_typedef_names(item.text))
        for item in found:
            if match := _SET.match(item.text) or _ALIAS.match(item.text):
                kind = "alias" if match.re is _ALIAS else "typedef"
                self._index[kind, match[2]] = item
                if kind == "typedef":
                    self._set(match, self._where_of(item))
                continue
            for node in self._parse(item):
                self._take(node, item)
        for kind, name in list(self._index):
            if kind == "function":
                self.find(name)  # so that errors are told now

    def _take(self, node: Any, item: Declared) -> None:
        """Files a parsed declaration under its names."""
        if isinstance(node, c_ast.FuncDef):
            node = node.decl
        for tag in tags(node):
            self._index["tag", tag.name] = item
            self._nodes["tag", tag.name] = tag
        for enum in enums(node):
            self._enumerators(enum, item)
        if isinstance(node, c_ast.Typedef):
            self._index["typedef", node.name] = item
            self._nodes["typedef", node.name] = node
        elif isinstance(node, c_ast.Decl) and isinstance(node.type, c_ast.FuncDecl) and "static" not in node.storage:
            self._index["function", node.name] = item
            self._nodes["function", node.name] = node

    # -- parsing -------------------------------------------------------------------------------------------------------

    def _where_of(self, item: Declared) -> str:
        return f"{self._where}:{item.line}"

    def _known(self, name: str) -> bool:
        return name in self._names or (self._base is not None and self._base._known(name))

    def _parse(self, item: Declared) -> list[Any]:
        words = {word for word in WORD.findall(item.text) if self._known(word)} - {
            name for name in _typedef_names(item.text) if item.text.startswith("typedef")
        }
        words = (words - KEYWORDS) | guessed_types(item.text)
        prelude = "".join(f"typedef int {word};" for word in sorted(words))
        try:
            tree = self._parser.parse(prelude + item.text, "")
        except RecursionError:
            raise FormatError(Diagnostic(self._where_of(item), "a declaration nested too deeply")) from None
        except Exception as problem:  # ParseError (its place moved between versions), AssertionError of the lexer
            raise FormatError(Diagnostic(*self._explained(item, str(problem)))) from None
        return list(tree.ext[len(words) :])

    def _explained(self, item: Declared, problem: str) -> tuple[str, str]:
        place = re.match(r":?(\d+):(?:\d+):?\s*(.*)", problem, re.DOTALL)
        line = item.line + (int(place[1]) - 1 if place else 0)
        said = (place[2] if place else problem).replace("\n", " ").strip(" :") or "not C"
        near = re.sub(r"^before:\s*", "not a C declaration, at ", said)
        shown = " ".join(item.text.split())
        return f"{self._where}:{line}", f"{near}: `{shown[:60]}{'...' if len(shown) > 60 else ''}`"

    def _node(self, kind: str, name: str) -> tuple[Any, Declared] | None:
        """The parsed declaration of a name, and what stood beside it."""
        item = self._index.get((kind, name))
        if item is None:
            return None
        if isinstance(item, str):
            item = self._index[kind, name] = headers.annotated(0, item)
        node = self._nodes.get((kind, name))
        if node is None:
            for parsed in self._parse(item):
                self._take(parsed, item)
            node = self._nodes[kind, name]
        return node, item

    # -- prototypes ----------------------------------------------------------------------------------------------------

    def names(self) -> Iterator[str]:
        """The functions declared here."""
        return (name for kind, name in self._index if kind in ("function", "alias"))

    def find(self, name: str) -> Prototype | None:
        """The prototype of a function, or None. Raises FormatError for a declaration that makes no sense."""
        item = self._index.get(("alias", name))
        if item is not None:
            text = item if isinstance(item, str) else item.text
            match = _ALIAS.match(text)
            target = self.find(match[3]) if match and match[3] != name else None
            return None if target is None else _named(target, name)
        line = self._index.get(("function", name))
        if (
            isinstance(line, str)
            and (simple := simple_prototype(line, self._machine.word, self._word_type)) is not None
        ):
            return simple
        return self.parsed(name)

    def parsed(self, name: str) -> Prototype | None:
        """As `find`, by pycparser in any case."""
        found = self._node("function", name)
        if found is None:
            return None
        node, item = found
        names: list[str] = []
        types: list[Type] = []
        variadic = False
        for parameter in (node.type.args.params if node.type.args else []) or []:
            if isinstance(parameter, c_ast.EllipsisParam | c_ast.ID):  # ID: K&R, only names
                variadic = True
            elif not is_void(parameter.type):
                names.append(getattr(parameter, "name", None) or "")
                types.append(decayed(self._type(parameter.type, 1), self._machine))
        parameters = [Parameter(names[n], types[n], n in item.out) for n in range(len(types))]
        index = guessed_format(parameters, variadic)
        if item.format:
            index = item.format[1] if 0 <= item.format[1] < len(types) else -1
        lengths = {number: tuple(position(w, names) for w in words) for number, words in item.length.items()}
        if any(-1 in positions for positions in lengths.values()):
            raise FormatError(Diagnostic(self._where_of(item), "bytes(...) names no parameter", name))
        return Prototype(
            name,
            self._type(node.type.type, 1),
            tuple(
                Parameter(names[n], types[n], n in item.out, lengths.get(n, ())) for n in range(len(types))
            ),
            variadic,
            index,
            item.format[0] if item.format else "printf",
            self._where,
            item.noreturn,
        )  # fmt: skip

    # -- types ---------------------------------------------------------------------------------------------------------

    def _type(self, node: Any, pointers: int) -> Type:
        """The type of a declarator; `pointers`: how many pointers are still followed to structures."""
        if isinstance(node, c_ast.TypeDecl):
            return self._type(node.type, pointers)
        if isinstance(node, c_ast.IdentifierType):
            return self._named_type(node.names, pointers)
        if isinstance(node, c_ast.PtrDecl):
            target = self._type(node.type, pointers - 1)
            return Pointer(target, self._machine.word, is_const(node.type))
        if isinstance(node, c_ast.ArrayDecl):
            count = 0 if node.dim is None else evaluated(node.dim, self._constant, self._size_of) or 0
            return Array(self._type(node.type, pointers), min(max(count, 0), 1 << 20))
        if isinstance(node, c_ast.FuncDecl):
            return Function()
        if isinstance(node, c_ast.Struct | c_ast.Union):
            return self._structure(node, pointers)
        if isinstance(node, c_ast.Enum):
            return self._enum(node)
        if isinstance(node, c_ast.Typename):
            return self._type(node.type, pointers)
        return Opaque("?")

    def _word_type(self, words: list[str], pointers: int) -> Type:
        """The type of a simple declaration."""
        if words[0] == "struct":
            label = f"struct {words[1]}"
            return Opaque(label) if pointers < 0 else self._tag(words[1], pointers) or Opaque(label)
        return self._named_type(words, pointers)

    def _named_type(self, names: list[str], pointers: int) -> Type:
        if (known := base_type(names, self._machine)) is not None:
            return known
        return self.typedef(names[-1], pointers) or Opaque(names[-1])

    def typedef(self, name: str, pointers: int = 1) -> Type | None:
        """The type of a typedef's name, or None."""
        key = ("typedef", name, pointers)
        if key in self._types:
            return self._types[key]
        item = self._index.get(("typedef", name))
        if item is None:
            return None if self._base is None else self._base.typedef(name, pointers)
        text = item if isinstance(item, str) else item.text
        self._types[key] = Opaque(name)  # while it is being resolved: a typedef of itself ends here
        if match := _SET.match(text):
            result: Type = self._set(match, self._where)
        else:
            found = self._node("typedef", name)
            assert found is not None
            result = renamed(self._type(found[0].type, pointers), name)
        self._types[key] = result
        return result

    def _structure(self, node: Any, pointers: int) -> Type:
        union = isinstance(node, c_ast.Union)
        word = "union" if union else "struct"
        label = f"{word} {node.name}" if node.name else word
        if pointers < 0:
            return Opaque(label)
        if node.decls is None:
            return self._tag(node.name, pointers) or Opaque(label)
        key = ("body", str(id(node)), pointers)  # nodes live as long as this object
        if key not in self._types:
            self._types[key] = Opaque(label)  # a structure within itself ends here
            members = []
            for member in node.decls:
                if isinstance(member, c_ast.Decl):
                    width = None
                    if member.bitsize is not None:
                        width = min(max(evaluated(member.bitsize, self._constant, self._size_of) or 0, 0), 64)
                    members.append((member.name or "", self._type(member.type, min(pointers, 0)), width))
            self._types[key] = structure(label, members, union=union)
        return self._types[key]

    def _tag(self, name: str, pointers: int) -> Type | None:
        found = self._node("tag", name)
        if found is None:
            return None if self._base is None else self._base._tag(name, pointers)
        if isinstance(found[0], c_ast.Enum):
            return self._enum(found[0])
        return self._structure(found[0], pointers)

    def _enum(self, node: Any) -> Type:
        if node.values is None:
            found = self._node("tag", node.name) if node.name else None
            return self._enum(found[0]) if found and isinstance(found[0], c_ast.Enum) and found[0].values else Opaque(
                f"enum {node.name}", 4, 4
            )  # fmt: skip
        item = self._index.get(("tag", node.name)) if node.name else None
        names = [enumerator.name for enumerator in node.values.enumerators]
        flags = isinstance(item, Declared) and item.flag_enum
        values = tuple(Value(name, self._constants.get(name, 0), -1) for name in names)
        signed = any(v.value < 0 for v in values)
        return enumeration(f"enum {node.name}" if node.name else "enum", 4, signed, values, flags or None)

    def _enumerators(self, node: Any, item: Declared) -> None:
        value = -1
        for enumerator in node.values.enumerators:
            if enumerator.value is None:
                value += 1
            else:
                known = evaluated(enumerator.value, self._constant, self._size_of)
                if known is None:
                    raise FormatError(Diagnostic(self._where_of(item), "not a constant value", enumerator.name))
                value = known
            self._constants[enumerator.name] = value

    def _set(self, match: re.Match[str], where: str) -> Type:
        """`enum NAME : TYPE {...}`, `flags NAME : TYPE {...}`, `chars NAME : TYPE`."""
        kind, name, type_name, body = match.groups()
        base = self._named_type(type_name.split(), 0)
        if not isinstance(base, Integer):
            raise FormatError(Diagnostic(where, f"`{type_name}` is not an integer type", name))
        if kind == "chars":
            return Integer(name, base.size, base.signed, base.alignment, "character")
        values: list[Value] = []
        following = 0
        for text in (body or "").split(","):
            if not text.strip():
                continue
            item = _ITEM.match(text.strip())
            try:
                if item is None:
                    raise ValueError
                value = following if item[2] is None else _number(item[2])
                mask = _number(item[3]) if item[3] else value if kind == "flags" else -1
            except ValueError:
                raise FormatError(Diagnostic(where, f"`{text.strip()[:40]}` is not NAME = VALUE", name)) from None
            following = value + 1
            values.append(Value(item[1], value, mask))
        return enumeration(name, base.size, base.signed, tuple(values), flags=kind == "flags")

    def _constant(self, name: str) -> int | None:
        value = self._constants.get(name)
        return value if value is not None or self._base is None else self._base._constant(name)

    def _size_of(self, node: Any) -> int | None:
        return self._type(node, 1).size or None


def _named(prototype: Prototype, name: str) -> Prototype:
    return Prototype(name, *(getattr(prototype, slot) for slot in Prototype.__slots__[1:]))


def _typedef_names(text: str) -> list[str]:
    """The names that a declaration adds as types, without parsing it."""
    match = _SET.match(text)
    return [match[2]] if match else typedef_names(text)


@cache
def standard(machine: Machine, library: str = "musl") -> Declarations:
    """The standard C library's declarations for `musl`, `glibc` or `mini`; indexed once, parsed as they are asked for."""
    text = resources.files(__package__).joinpath("libc.txt").read_text(encoding="utf-8")
    return Declarations(text, "libc", machine, library, trusted=True)


def from_file(text: str, where: str, machine: Machine, library: str = "musl") -> Declarations:
    """A user's header or prototype file. Raises FormatError(FILE:LINE: ...)."""
    return Declarations(text, where, machine, library)

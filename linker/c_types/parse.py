"""Texts of declarations -> pycparser's trees, one declaration at a time.

C cannot be parsed without knowing which words are names of types, so these are declared in front of each text.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

import pycparser

from uselib.linker.c_types.attributes import NONE, Marked
from uselib.linker.c_types.units import TopLevelDeclaration
from uselib.linker.c_types.words import KEYWORDS, WORD, guessed_types
from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.quick_dataclass import dataclass
from uselib.linker.quick_typing import Any


@dataclass(frozen=True)
class ParsedDeclaration:
    """A declaration's trees."""

    unit: TopLevelDeclaration
    marked: Marked
    nodes: tuple[Any, ...]

    def place(self, node: Any) -> str:
        """FILE:LINE of one of its nodes."""
        line = getattr(getattr(node, "coord", None), "line", 1) or 1
        return f"{self.unit.file}:{self.unit.line + line - 1}"


def unparsed(unit: TopLevelDeclaration) -> ParsedDeclaration:
    return ParsedDeclaration(unit, Marked("", NONE, []), ())


class DeclarationParser:
    """type_names: names of types. incomplete: other words in places where only a type's name can stand count as one at once; without it, only
    where the text cannot be parsed otherwise.
    """

    def __init__(self, type_names: Container[str], incomplete: bool = False) -> None:
        self._type_names, self._incomplete = type_names, incomplete
        self._parser = pycparser.CParser()
        self._parsed: dict[int, ParsedDeclaration] = {}

    def parse(self, unit: TopLevelDeclaration) -> ParsedDeclaration:
        """Raises FormatError(FILE:LINE: ...) for text that is not C."""
        known = self._parsed.get(id(unit))
        if known is None:
            ready = unit.marked()
            known = self._parsed[id(unit)] = ParsedDeclaration(unit, ready, tuple(self._trees(unit, ready.text)))
        return known

    def expression(self, text: str) -> Any:
        """The tree of an expression; None if it is none."""
        try:
            return self._attempt(f"int $value = ({text});", self._known(text))[0].init
        except (Exception, RecursionError):  # whatever pycparser says: it is not an expression
            return None

    def _known(self, text: str) -> set[str]:
        return {word for word in WORD.findall(text) if word in self._type_names}

    def _trees(self, unit: TopLevelDeclaration, text: str) -> list[Any]:
        own = set(unit.typedefs())
        words = self._known(text) - own - KEYWORDS
        guessed = guessed_types(text) - words - own
        try:
            return self._attempt(text, words | guessed if self._incomplete else words)
        except RecursionError:
            raise FormatError(Diagnostic(unit.place, "a declaration nested too deeply")) from None
        except Exception as problem:  # ParseError (its module moved between versions), AssertionError of the lexer
            if guessed and not self._incomplete:
                try:
                    return self._attempt(text, words | guessed)
                except (Exception, RecursionError):
                    pass
            raise _not_c(unit, str(problem)) from None

    def _attempt(self, text: str, words: Iterable[str]) -> list[Any]:
        names = sorted(words)
        prelude = "".join(f"typedef int {word};" for word in names)
        return list(self._parser.parse(prelude + text, "").ext[len(names) :])


def _not_c(unit: TopLevelDeclaration, problem: str) -> FormatError:
    place = re.match(r":?(\d+):(?:\d+):?\s*(.*)", problem, re.DOTALL)
    line = unit.line + (int(place[1]) - 1 if place else 0)
    said = (place[2] if place else problem).replace("\n", " ").strip(" :") or "not C"
    near = re.sub(r"^before:\s*", "not a C declaration, at ", said)
    shown = " ".join(unit.text.split())
    return FormatError(Diagnostic(f"{unit.file}:{line}", f"{near}: `{shown[:60]}{'...' if len(shown) > 60 else ''}`"))

"""A preprocessed text -> its top-level declarations, each with its place, and the names they declare, as far as those are visible without
parsing.

System headers hold thousands of declarations, and an interface uses a few of them: only requested ones are parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from uselib.linker.c_types.attributes import Marked, marked
from uselib.linker.c_types.preprocess import PreprocessedText
from uselib.linker.c_types.words import typedef_names
from uselib.linker.quick_dataclass import dataclass

_TOKEN = re.compile(r"""[()\[\]{};]|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""")
_EXTERN_C = re.compile(r'\bextern\s*"C(?:\+\+)?"\s*(\{?)')
_ATTRIBUTE = re.compile(r"\b__(?:attribute|asm)(?:__)?\s*\(.*\)|\[\[.*?\]\]", re.DOTALL)
_DEFINED_TAG = re.compile(
    r"\b(struct|union|enum)\b\s*(?:(?:__attribute__|__attribute|__declspec)\s*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\s*)*(\w+)\s*(?::\s*[A-Za-z_][\w\s]*)?\{"
)
_LEADING = re.compile(r"(?:\s|__extension__\b|;|}|\[\[[^]]*\]\])+")


@dataclass
class TopLevelDeclaration:
    """One top-level declaration. text: as preprocessed. definition: of a function that is defined here, all of it; its body is
    left out of `text`."""

    text: str
    file: str
    line: int
    system: bool
    pack: int
    definition: str = ""

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def is_typedef(self) -> bool:
        return self.text.startswith("typedef")

    def tags(self) -> list[str]:
        """Tags that are defined here."""
        return [match[2] for match in _DEFINED_TAG.finditer(self.text)] if "{" in self.text else []

    def typedefs(self) -> list[str]:
        """Type names that are declared here."""
        return typedef_names(marked(self.text).text) if self.is_typedef else []

    def marked(self) -> Marked:
        return marked(self.text)


def split(source: PreprocessedText) -> Iterator[TopLevelDeclaration]:
    """The declarations in order. Damaged text (brackets that do not match) ends up in one of them, and fails when that is parsed."""
    text = _EXTERN_C.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), source.text)
    depth = begin = line = seen = opened = 0
    for match in _TOKEN.finditer(text):
        mark = match[0]
        if mark in "([{":
            if not depth:
                opened = match.start()
            depth += 1
            continue
        end = match.end()
        body = False
        if mark in ")]}":
            depth = max(depth - 1, 0)
            if depth or mark != "}":
                continue
            head = text[begin:opened]
            if not head.strip(" \t\n;}"):  # the end of extern "C" {
                begin = end
                continue
            if text[opened : opened + 1] != "{" or not _ATTRIBUTE.sub(" ", head).rstrip().endswith(")"):
                continue
            end, body = opened, True
        elif mark != ";" or depth:
            continue
        leading = _LEADING.match(text, begin, end)
        first = leading.end() if leading else begin
        piece = text[first:end]
        line += text.count("\n", seen, first)
        seen = first
        begin = match.end()
        if piece.strip(" \t\n;"):
            file, at, system = source.place(line)
            whole = text[first : match.end()] if body else ""
            yield TopLevelDeclaration(piece + (";" if body else ""), file, at, system, source.pack(line), whole)
    rest = text[begin:].strip(" \t\n;}")
    if rest:
        line = text.count("\n", 0, begin + len(text[begin:]) - len(text[begin:].lstrip()))
        file, at, system = source.place(line)
        yield TopLevelDeclaration(rest, file, at, system, source.pack(line))

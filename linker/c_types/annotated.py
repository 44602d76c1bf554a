"""C text with extensions and comments -> declarations that pycparser reads, and the annotations found in it.

Headers come unpreprocessed. Comments, preprocessor lines, `extern "C"`, GNU attributes, `restrict` and similar words are removed; line
numbers stay. Of a conditional the branch that plain C on Linux would take stays. Object-like macros are expanded. Annotations that the
decoder can use are kept:

    __attribute__((format(printf, 2, 3)))   or PRINTF(2), SCANF(2): parameter 2 is a format string
    __attribute__((access(write_only, 1)))  or `out` before a parameter: only written by the function
    __attribute__((access(read_only, 2, 3))) or `bytes(n)` before a parameter: points to n bytes, n a parameter (or n*m)
    __attribute__((flag_enum))              an enum of bits
    enum NAME : TYPE { A = 1, B };          an integer type with named values (C23); also a typedef name
    flags NAME : TYPE { A = 1, B = 2/6 };   the same, of bits; VALUE/MASK is for fields of several bits
    chars NAME : TYPE;                      an integer that holds a character
    alias NEW OLD;                          another name of a function
    @i386 DECLARATION                       only there; conditions: machines, C libraries, or both (@i386-glibc)
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from uselib.linker.c_types.attributes import closing
from uselib.linker.c_types.directives import blank, preprocessed, without_comments
from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.quick_dataclass import dataclass, field

_DROPPED = re.compile(
    r"\b(?:__extension__|__restrict__|__restrict|restrict|__inline__|__inline|inline|__volatile__|__THROW|__THROWNL|"
    r"__BEGIN_DECLS|__END_DECLS|__wur|_Thread_local|__thread|__cdecl)\b"
)
_NORETURN = re.compile(r"\b(?:_Noreturn|noreturn)\b")
_CALLED = re.compile(r"\b(?:__attribute__|__attribute|__asm__|__asm|asm|__declspec|_Alignas|PRINTF|SCANF)\s*\(|\[\[")
_ATTRIBUTE = re.compile(r"\b__attribute(?:__)?\s*\(\(.*?\)\)|\[\[.*?\]\]", re.DOTALL)
_MARK = re.compile(r"""[()\[\]{};]|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""")
_EXTERN_C = re.compile(r'\bextern\s*"C(?:\+\+)?"\s*(\{?)')


@dataclass
class AnnotatedDeclaration:
    """One top-level declaration: C, and its annotations. Parameters are counted from 0."""

    line: int
    text: str
    condition: str = ""
    format: tuple[str, int] | None = None
    out: set[int] = field(default_factory=set)
    length: dict[int, tuple[str | int, ...]] = field(
        default_factory=dict
    )  # parameter -> names or numbers of the counts
    flag_enum: bool = False
    noreturn: bool = False


def _attributes(body: str, declared: AnnotatedDeclaration) -> None:
    """Reads the known annotations inside a GNU attribute."""
    match = re.search(r"\b_*format_*\s*\(\s*(?:gnu_)?_*(printf|scanf)_*\s*,\s*(\d+)", body)
    if match:
        declared.format = (match[1], int(match[2]) - 1)
    for match in re.finditer(r"\b_*access_*\s*\(\s*_*(\w+?)_*\s*,\s*(\d+)\s*(?:,\s*(\d+))?", body):
        if match[1] == "write_only":
            declared.out.add(int(match[2]) - 1)
        elif match[3]:
            declared.length[int(match[2]) - 1] = (int(match[3]) - 1,)
    declared.flag_enum |= "flag_enum" in body
    declared.noreturn |= "noreturn" in body


def _parameters(text: str, declared: AnnotatedDeclaration) -> str:
    """Takes `out` and `bytes(...)` from the first parameter list."""
    start = text.find("(")
    if start < 0 or not re.search(r"\b(?:out|bytes)\b", text):
        return text
    parts = [text[: start + 1]]
    depth = number = 0
    begin = start + 1
    for match in re.compile(r"[(),]").finditer(text, begin):
        if match[0] == "(":
            depth += 1
        elif match[0] == ")" and depth:
            depth -= 1
        elif depth == 0:
            item = text[begin : match.start()]
            if word := re.match(r"\s*out\b(?=\s*\w)", item):
                declared.out.add(number)
                item = " " * word.end() + item[word.end() :]
            if word := re.match(r"\s*bytes\s*\(([\w\s*]+)\)", item):
                declared.length[number] = tuple(name.strip() for name in word[1].split("*"))
                item = " " * word.end() + item[word.end() :]
            parts += [item, match[0]]
            begin = match.end()
            number += 1
            if match[0] == ")":
                break
    return "".join(parts) + text[begin:]


def annotated(line: int, text: str) -> AnnotatedDeclaration:
    """One declaration, made ready for pycparser."""
    declared = AnnotatedDeclaration(line, text)
    if (head := text.lstrip()).startswith("@"):
        declared.condition, _, text = head[1:].partition(" ")
    if _NORETURN.search(text):
        declared.noreturn = True
        text = _NORETURN.sub("", text)
    while match := _CALLED.search(text):
        start = text.index("[" if match[0] == "[[" else "(", match.start())
        end = closing(text, start)
        body = text[start + 1 : end - 1]
        if match[0].startswith(("PRINTF", "SCANF")):
            number = body.strip()
            declared.format = (match[0].rstrip("( \t\n").lower(), int(number) - 1 if number.isdigit() else -1)
        else:
            _attributes(body, declared)
        text = text[: match.start()] + blank(text[match.start() : end]) + text[end:]
    declared.text = _parameters(_DROPPED.sub("", text), declared)
    return declared


class _Brackets:
    """The open brackets. Raises FormatError for one without a partner."""

    def __init__(self, text: str, where: str) -> None:
        self._text, self._where = text, where
        self._open: list[tuple[str, int]] = []

    def __bool__(self) -> bool:
        return bool(self._open)

    def open(self, mark: str, at: int) -> None:
        self._open.append((mark, at))

    def close(self, mark: str, at: int) -> int:
        """Where the bracket was opened that `mark` closes."""
        if not self._open or "([{".index(self._open[-1][0]) != ")]}".index(mark):
            raise self._wrong(at, f"`{mark}` has no matching bracket")
        return self._open.pop()[1]

    def end(self) -> None:
        for mark, at in self._open[:1]:
            raise self._wrong(at, f"`{mark}` is never closed")

    def _wrong(self, at: int, what: str) -> FormatError:
        return FormatError(Diagnostic(f"{self._where}:{self._text.count(chr(10), 0, at) + 1}", what))


def _ends(text: str, where: str, opened: int) -> Iterator[tuple[int, int, bool]]:
    """Where each top-level declaration ends, where the next begins, and whether a body was left out between them. opened: how many
    `extern "C" {` there are, whose brackets do not count. Raises FormatError if brackets do not match."""
    brackets = _Brackets(text, where)
    begin = 0
    for match in _MARK.finditer(text):
        mark, at, behind = match[0], match.start(), match.end()
        if mark in "([{":
            brackets.open(mark, at)
        elif mark == "}" and opened and not brackets and not text[begin:at].strip():
            opened -= 1  # the end of extern "C" {
            yield behind, behind, False
            begin = behind
        elif mark in ")]}":
            start = brackets.close(mark, at)
            if mark == "}" and not brackets and _ATTRIBUTE.sub(" ", text[begin:start]).rstrip().endswith(")"):
                yield start, behind, True  # the body of a function: it ends the declaration, and is not looked at
                begin = behind
        elif mark == ";" and not brackets:
            yield behind, behind, False
            begin = behind
    brackets.end()


def declarations(text: str, where: str) -> Iterator[AnnotatedDeclaration]:
    """The top-level declarations of a header or prototype file. Raises FormatError if brackets do not match."""
    text = preprocessed(without_comments(text.replace("\r\n", "\n")))
    opened = len([match for match in _EXTERN_C.finditer(text) if match[1]])
    text = _EXTERN_C.sub(lambda m: blank(m[0]), text)
    begin, line, seen = 0, 1, 0
    for end, following, body in _ends(text, where, opened):
        piece = text[begin:end] + (";" if body else "")
        first = begin + len(piece) - len(piece.lstrip())
        begin = following
        if piece.strip(" \t\n;}"):
            line += text.count("\n", seen, first)
            seen = first
            yield annotated(line, piece.lstrip())
    if rest := text[begin:].strip():
        number = text.count("\n", 0, begin + len(text[begin:]) - len(text[begin:].lstrip())) + 1
        raise FormatError(Diagnostic(f"{where}:{number}", f"`{rest.splitlines()[0][:40]}` is not ended by `;`"))

"""C text as people write it -> declarations that pycparser reads, and what was said beside C.

Headers come unpreprocessed: comments, preprocessor lines, `extern "C"`, GNU attributes, `restrict` and their like go (line
numbers stay), of conditionals the branch that plain C on Linux would take stays, and object-like macros are put in. What the
decoder can use is kept:

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
from dataclasses import dataclass, field

from uselib.linker.errors import Diagnostic, FormatError

_TOKEN = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | /\*.*\Z""", re.DOTALL | re.VERBOSE
)
_DROPPED = re.compile(
    r"\b(?:__extension__|__restrict__|__restrict|restrict|__inline__|__inline|inline|__volatile__|__THROW|__THROWNL|"
    r"__BEGIN_DECLS|__END_DECLS|__wur|_Thread_local|__thread|__cdecl)\b"
)
_NORETURN = re.compile(r"\b(?:_Noreturn|noreturn)\b")
_CALLED = re.compile(r"\b(?:__attribute__|__attribute|__asm__|__asm|asm|__declspec|_Alignas|PRINTF|SCANF)\s*\(|\[\[")
_DIRECTIVE = re.compile(r"\s*#\s*(\w*)\s*(.*)", re.DOTALL)
_KNOWN = frozenset(("__GNUC__", "__linux__", "__unix__", "__STDC__", "linux", "unix", "__ELF__"))
_ATTRIBUTE = re.compile(r"\b__attribute(?:__)?\s*\(\(.*?\)\)|\[\[.*?\]\]", re.DOTALL)
_EXTERN_C = re.compile(r'\bextern\s*"C(?:\+\+)?"\s*(\{?)')


@dataclass
class AnnotatedDeclaration:
    """One top-level declaration: C, and what stood beside it. Parameters are counted from 0."""

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


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def without_comments(text: str) -> str:
    """Comments as white space; strings and character constants as they are."""
    return _TOKEN.sub(lambda m: " " + _blank(m[0][1:]) if m[0].startswith("/") else m[0], text)


def _holds(kind: str, rest: str, macros: dict[str, str]) -> bool:
    """Is this branch of a conditional taken? Unknown expressions are taken for true."""
    name = rest.split()[0] if rest.split() else ""
    if kind in ("ifdef", "ifndef"):
        return (name in macros or name in _KNOWN) == (kind == "ifdef")
    if re.fullmatch(r"\d+", rest.strip()):
        return int(rest) != 0
    single = re.fullmatch(r"(!?)\s*defined\s*\(?\s*(\w+)\s*\)?", rest.strip())
    if single:
        return (single[2] in macros or single[2] in _KNOWN) != bool(single[1])
    return True


def preprocessed(
    text: str, macros: dict[str, str] | None = None, defined: list[tuple[int, str, str | None]] | None = None
) -> str:
    """Without preprocessor lines: branches not taken and directives blank, object-like macros put in. Never fails.

    macros: those defined beforehand. defined: takes a row for each #define that counts: index of its line, name, body (None: the
    macro is function-like).
    """
    macros = {} if macros is None else macros
    taken: list[tuple[bool, bool]] = []  # this branch is taken; some branch was
    out: list[str] = []
    lines = iter(text.split("\n"))
    for line in lines:
        number = len(out)
        match = _DIRECTIVE.match(line)
        if match is None:
            live = all(now for now, _ in taken)
            out.append(_expanded(line, macros) if live and macros else line if live else "")
            continue
        kind, rest = match[1], match[2]
        out.append("")
        while rest.endswith("\\"):
            rest = rest[:-1] + " " + next(lines, "")
            out.append("")
        if kind in ("if", "ifdef", "ifndef"):
            holds = _holds(kind, rest, macros)
            taken.append((holds, holds))
        elif kind in ("elif", "else") and taken:
            now = not taken[-1][1] and (kind == "else" or _holds("if", rest, macros))
            taken[-1] = (now, now or taken[-1][1])
        elif kind == "endif" and taken:
            taken.pop()
        elif kind == "define" and all(now for now, _ in taken):
            name = re.match(r"(\w+)(\(?)\s*(.*)", rest, re.DOTALL)
            if name:
                macros[name[1]] = name[1] if name[2] else name[3]
                if defined is not None:
                    defined.append((number, name[1], None if name[2] else name[3].strip()))
        elif kind == "undef":
            macros.pop(rest.strip(), None)
    return "\n".join(out)


def _expanded(line: str, macros: dict[str, str]) -> str:
    for _ in range(4):  # macros within macros
        new = re.sub(r"\b[A-Za-z_]\w*\b", lambda m: macros.get(m[0], m[0]), line)
        if new == line or len(new) > 10_000:
            break
        line = new
    return line


def _closing(text: str, start: int) -> int:
    """Index behind the bracket that closes the one at `start`, or the end of the text."""
    depth = 0
    for match in re.compile(r"[()\[\]{}]").finditer(text, start):
        depth += 1 if match[0] in "([{" else -1
        if depth == 0:
            return match.end()
    return len(text)


def _attributes(body: str, declared: AnnotatedDeclaration) -> None:
    """Takes what it knows from the inside of a GNU attribute."""
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
        end = _closing(text, start)
        body = text[start + 1 : end - 1]
        if match[0].startswith(("PRINTF", "SCANF")):
            number = body.strip()
            declared.format = (match[0].rstrip("( \t\n").lower(), int(number) - 1 if number.isdigit() else -1)
        else:
            _attributes(body, declared)
        text = text[: match.start()] + _blank(text[match.start() : end]) + text[end:]
    declared.text = _parameters(_DROPPED.sub("", text), declared)
    return declared


def declarations(text: str, where: str) -> Iterator[AnnotatedDeclaration]:
    """The top-level declarations of a header or prototype file. Raises FormatError if brackets do not match."""
    text = preprocessed(without_comments(text.replace("\r\n", "\n")))
    opened = len([match for match in _EXTERN_C.finditer(text) if match[1]])
    text = _EXTERN_C.sub(lambda m: _blank(m[0]), text)
    stack: list[tuple[str, int]] = []
    begin, line, seen = 0, 1, 0
    for match in re.compile(r"""[()\[\]{};]|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""").finditer(text):
        mark = match[0]
        if mark in "([{":
            stack.append((mark, match.start()))
            continue
        end = match.end()
        if mark in ")]}":
            if not stack and mark == "}" and opened and not text[begin : match.start()].strip():
                opened -= 1  # the end of extern "C" {
            elif not stack or "([{".index(stack[-1][0]) != ")]}".index(mark):
                number = text.count("\n", 0, match.start()) + 1
                raise FormatError(Diagnostic(f"{where}:{number}", f"`{mark}` has no matching bracket"))
            else:
                start = stack.pop()[1]
                if stack or mark != "}" or not _ATTRIBUTE.sub(" ", text[begin:start]).rstrip().endswith(")"):
                    continue
                end = start  # the body of a function: it ends the declaration, and is not looked at
        elif mark != ";" or stack:
            continue
        piece = text[begin:end] + (";" if end < match.end() else "")
        line += text.count("\n", seen, begin)
        seen = begin
        first = begin + len(piece) - len(piece.lstrip())
        begin = match.end()
        if piece.strip(" \t\n;}"):
            yield annotated(line + text.count("\n", seen, first), piece.lstrip())
    if stack:
        number = text.count("\n", 0, stack[0][1]) + 1
        raise FormatError(Diagnostic(f"{where}:{number}", f"`{stack[0][0]}` is never closed"))
    if rest := text[begin:].strip():
        number = text.count("\n", 0, begin + len(text[begin:]) - len(text[begin:].lstrip())) + 1
        raise FormatError(Diagnostic(f"{where}:{number}", f"`{rest.splitlines()[0][:40]}` is not ended by `;`"))

"""C text without comments and preprocessor lines, as far as that is possible without a compiler. The number of lines stays the same."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | /\*.*\Z""", re.DOTALL | re.VERBOSE
)
_DIRECTIVE = re.compile(r"\s*#\s*(\w*)\s*(.*)", re.DOTALL)
_DEFINITION = re.compile(r"(\w+)(\(?)\s*(.*)", re.DOTALL)
_KNOWN = frozenset(("__GNUC__", "__linux__", "__unix__", "__STDC__", "linux", "unix", "__ELF__"))
_CONDITIONS = ("if", "ifdef", "ifndef")

Macros = dict[str, str]


def blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def without_comments(text: str) -> str:
    """Comments as white space; strings and character constants as they are."""
    return _TOKEN.sub(lambda m: " " + blank(m[0][1:]) if m[0].startswith("/") else m[0], text)


def _holds(kind: str, rest: str, macros: Macros) -> bool:
    """Whether this branch of a conditional is taken. Unknown expressions count as true."""
    name = rest.split()[0] if rest.split() else ""
    if kind in ("ifdef", "ifndef"):
        return (name in macros or name in _KNOWN) == (kind == "ifdef")
    if re.fullmatch(r"\d+", rest.strip()):
        return int(rest) != 0
    single = re.fullmatch(r"(!?)\s*defined\s*\(?\s*(\w+)\s*\)?", rest.strip())
    if single:
        return (single[2] in macros or single[2] in _KNOWN) != bool(single[1])
    return True


class _Branches:
    """The conditionals around a line. taken: for each, whether this branch is, and whether some branch was."""

    def __init__(self) -> None:
        self._taken: list[tuple[bool, bool]] = []

    @property
    def live(self) -> bool:
        return all(now for now, _ in self._taken)

    def take(self, kind: str, rest: str, macros: Macros) -> None:
        """Follows the directives of conditionals. Others change nothing."""
        if kind in _CONDITIONS:
            holds = _holds(kind, rest, macros)
            self._taken.append((holds, holds))
        elif kind in ("elif", "else") and self._taken:
            _, before = self._taken[-1]
            now = not before and (kind == "else" or _holds("if", rest, macros))
            self._taken[-1] = (now, now or before)
        elif kind == "endif" and self._taken:
            self._taken.pop()


def preprocessed(
    text: str, macros: Macros | None = None, defined: list[tuple[int, str, str | None]] | None = None
) -> str:
    """The text without preprocessor lines: branches not taken and directives are blank, object-like macros are expanded. Never fails.

    macros: those defined beforehand. defined: takes a row for each #define that counts: index of its line, name, body (None: the
    macro is function-like).
    """
    macros = {} if macros is None else macros
    branches = _Branches()
    out: list[str] = []
    lines = iter(text.split("\n"))
    for line in lines:
        number = len(out)
        match = _DIRECTIVE.match(line)
        if match is None:
            out.append(_expanded(line, macros) if branches.live else "")
            continue
        kind, rest = match[1], match[2]
        out.append("")
        while rest.endswith("\\"):
            rest = rest[:-1] + " " + next(lines, "")
            out.append("")
        branches.take(kind, rest, macros)
        if kind == "define" and branches.live:
            row = _define(rest, macros)
            if row is not None and defined is not None:
                defined.append((number, *row))
        elif kind == "undef":
            macros.pop(rest.strip(), None)
    return "\n".join(out)


def _define(rest: str, macros: Macros) -> tuple[str, str | None] | None:
    """Takes a macro; its name and body (None: it is function-like)."""
    match = _DEFINITION.match(rest)
    if match is None:
        return None
    name, bracket, body = match.groups()
    macros[name] = name if bracket else body
    return name, None if bracket else body.strip()


def _expanded(line: str, macros: Macros) -> str:
    if not macros:
        return line
    for _ in range(4):  # macros within macros
        new = re.sub(r"\b[A-Za-z_]\w*\b", lambda m: macros.get(m[0], m[0]), line)
        if new == line or len(new) > 10_000:
            break
        line = new
    return line

"""Linker scripts as libraries are given (libc.so, libm.a of glibc): text files that name other inputs.

    INPUT ( FILE, "FILE" -lNAME AS_NEEDED ( ... ) )     GROUP ( ... )     SEARCH_DIR ( DIR )
    VERSION { version script }     SYMBOL = EXPRESSION;     as --version-script and --defsym
    OUTPUT_FORMAT ( ... )  OUTPUT_ARCH ( ... )  TARGET ( ... )    no effect here

Source: the manual of GNU ld, "Commands Dealing with Files". Scripts that lay out sections are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from uselib.linker.errors import LinkError, error
from uselib.linker.quick_dataclass import NamedTuple

_TOKEN = re.compile(r'\s+|/\*.*?\*/|"([^"]*)"|([(),;])|([^\s(),;"]+)', re.S)
_NOT_A_SCRIPT = "neither an object file, an archive nor an INPUT/GROUP linker script"
_INPUTS = ("INPUT", "GROUP")
_IGNORED = ("OUTPUT_FORMAT", "OUTPUT_ARCH", "TARGET")
_LAYOUT = ("SECTIONS", "MEMORY", "PHDRS", "ENTRY", "PROVIDE", "ASSERT")
_VERSION = re.compile(r"\bVERSION\s*\{")
_ASSIGNMENT = re.compile(r"(?m)^\s*([A-Za-z_.$][\w.$]*)\s*=\s*([^;=]+);")
_END = ""


class LinkerScript(NamedTuple):
    """inputs: names of files and `-lNAME`, in order, each with whether it stands in AS_NEEDED. directories: of SEARCH_DIR. versions: texts
    of version scripts. assignments: symbols and expressions."""

    inputs: list[tuple[str, bool]]
    directories: list[str]
    versions: list[str]
    assignments: list[tuple[str, str]]


class _Token(NamedTuple):
    text: str
    quoted: bool = False


def parse_script(data: bytes, path: str) -> LinkerScript:
    """Raises LinkError if the text is another one, or a script with other commands."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise error(path, "neither an object file, an archive nor a linker script") from None
    text, versions = _without_versions(text, path)
    assignments = [(match[1], match[2].strip()) for match in _ASSIGNMENT.finditer(text)]
    text = _ASSIGNMENT.sub("", text)
    tokens = _tokens(text, path)
    inputs: list[tuple[str, bool]] = []
    directories: list[str] = []
    seen = bool(versions or assignments)
    while (token := next(tokens)).text != _END:
        if token.text == ";":
            continue
        if token.text in _LAYOUT:
            raise error(
                path,
                f"neither an object file, an archive nor a linker script that only names inputs: it has {token.text}",
                remedy="use -Ttext, -Tdata, --image-base, -e, --defsym",
            )
        if token.text not in (*_INPUTS, *_IGNORED, "SEARCH_DIR") or next(tokens).text != "(":
            raise _bad(path)
        names = list(_names(tokens, path))
        if token.text in _INPUTS:
            inputs += names
        elif token.text == "SEARCH_DIR":
            directories += [name for name, _ in names]
        seen = True
    if not seen:
        raise _bad(path)
    return LinkerScript(inputs, directories, versions, assignments)


def _without_versions(text: str, path: str) -> tuple[str, list[str]]:
    """The text without its VERSION commands, and the version scripts in them."""
    found = []
    while (match := _VERSION.search(text)) is not None:
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        if depth:
            raise error(path, "VERSION without `}`")
        found.append(text[match.end() : end - 1])
        text = text[: match.start()] + text[end:]
    return text, found


def _bad(path: str) -> LinkError:
    return error(path, _NOT_A_SCRIPT)


def _tokens(text: str, path: str) -> Iterator[_Token]:
    """The tokens, and then the end, over and over. Raises LinkError."""
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _bad(path)
        position = match.end()
        if match[1] is not None:
            yield _Token(match[1], quoted=True)
        elif match[2] or match[3]:
            yield _Token(match[2] or match[3])
    while True:
        yield _Token(_END)


def _names(tokens: Iterator[_Token], path: str) -> Iterator[tuple[str, bool]]:
    """The names up to the closing parenthesis, and whether they stand in AS_NEEDED."""
    depth = 1
    while depth:
        token = next(tokens)
        if token.quoted:
            yield token.text, depth > 1
        elif token.text == ")":
            depth -= 1
        elif token.text == "AS_NEEDED":
            if next(tokens).text != "(":
                raise _bad(path)
            depth += 1
        elif token.text in ("(", ";", _END):
            raise _bad(path)
        elif token.text != ",":
            yield token.text, depth > 1

"""--version-script and --dynamic-list: which symbols an output exports, and under which version.

    VERS_1 { global: foo; bar*; local: *; };        a node: names or patterns
    VERS_2 { global: baz; } VERS_1;                 a node that contains another
    { foo; local: *; };                             without a version: only what is exported

A name that stands as it is goes before a pattern, and `*` comes last, whatever the order of the file (GNU ld manual, "VERSION Command").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import translate
from typing import NamedTuple

from uselib.linker.errors import error

_TOKEN = re.compile(r'\s+|/\*.*?\*/|#[^\n]*|"(?P<quoted>[^"]*)"|(?P<mark>[{};:])|(?P<word>(?:[^\s{};:"]|::)+)', re.S)
_GLOB = re.compile(r"[*?\[]")


class ScriptNode(NamedTuple):
    """A node of a script. exported, hidden: names and patterns."""

    name: str
    exported: tuple[str, ...]
    hidden: tuple[str, ...]
    parents: tuple[str, ...]


class VersionScript:
    """Answers what a script says of a symbol."""

    def __init__(self, nodes: tuple[ScriptNode, ...]) -> None:
        self.nodes = nodes
        self._exact: dict[str, str | None] = {}
        self._patterns: list[tuple[re.Pattern[str], str | None]] = []
        everything: list[tuple[re.Pattern[str], str | None]] = []
        for node in nodes:
            for texts, version in ((node.exported, node.name), (node.hidden, None)):
                for text in texts:
                    if not _GLOB.search(text):
                        self._exact.setdefault(text, version)
                    else:
                        target = everything if text == "*" else self._patterns
                        target.append((re.compile(translate(text)), version))
        self._patterns += everything

    @property
    def versions(self) -> list[ScriptNode]:
        """The nodes that have a name."""
        return [node for node in self.nodes if node.name]

    def of(self, name: str) -> tuple[bool, str]:
        """Whether a defined symbol is exported, and its version (empty: none). What no node names is exported without one."""
        if name in self._exact:
            version = self._exact[name]
            return version is not None, version or ""
        for pattern, version in self._patterns:
            if pattern.match(name):
                return version is not None, version or ""
        return True, ""

    def names(self, name: str) -> bool:
        """Whether a node exports the name by itself or by a pattern (--dynamic-list)."""
        return self._exact.get(name) is not None or any(v is not None and p.match(name) for p, v in self._patterns)


def _tokens(text: str, where: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            line = text.count("\n", 0, position) + 1
            raise error(f"{where}:{line}", f"`{text[position : position + 10]}` is not understood in a version script")
        position = match.end()
        if match.lastgroup is not None:
            yield match.lastgroup, match[match.lastgroup]
    yield "end", ""


def parse_version_script(text: str, where: str) -> VersionScript:
    """Raises LinkError: WHERE: what is wrong."""
    tokens = list(_tokens(text, where))
    nodes: list[ScriptNode] = []
    position = 0
    while tokens[position][0] != "end":
        node, position = _node(tokens, position, where)
        nodes.append(node)
    if not nodes:
        raise error(where, "a version script without a node")
    names = {node.name for node in nodes}
    for node in nodes:
        for parent in node.parents:
            if parent not in names:
                raise error(where, f"node {node.name} contains {parent}, which the script does not define")
    return VersionScript(tuple(nodes))


def _node(tokens: list[tuple[str, str]], position: int, where: str) -> tuple[ScriptNode, int]:
    name = ""
    if tokens[position][0] == "word":
        name, position = tokens[position][1], position + 1
    if tokens[position] != ("mark", "{"):
        raise error(where, f"`{{` is missing before `{tokens[position][1]}`")
    position += 1
    lists: dict[str, list[str]] = {"global": [], "local": []}
    current = "global"
    while tokens[position] != ("mark", "}"):
        kind, text = tokens[position]
        if kind == "end":
            raise error(where, f"`}}` is missing behind node {name or 'without a name'}")
        if kind == "word" and text in lists and tokens[position + 1] == ("mark", ":"):
            current, position = text, position + 2
        elif kind == "word" and text == "extern":
            position = _language(tokens, position, lists[current], where)
        elif kind == "mark":
            if text != ";":
                raise error(where, f"`{text}` is not expected in node {name or 'without a name'}")
            position += 1
        else:
            lists[current].append(text)
            position += 1
    position += 1
    parents = []
    while tokens[position][0] == "word":
        parents.append(tokens[position][1])
        position += 1
    if tokens[position] == ("mark", ";"):
        position += 1
    return ScriptNode(name, tuple(lists["global"]), tuple(lists["local"]), tuple(parents)), position


def _language(tokens: list[tuple[str, str]], position: int, names: list[str], where: str) -> int:
    """extern "C" { names; }. Result: the position behind it."""
    if tokens[position + 1] != ("quoted", "C"):
        raise error(where, f'extern "{tokens[position + 1][1]}" is not supported', remedy="write the mangled names")
    if tokens[position + 2] != ("mark", "{"):
        raise error(where, 'extern "C" without `{`')
    position += 3
    while tokens[position] != ("mark", "}"):
        kind, text = tokens[position]
        if kind == "end":
            raise error(where, 'extern "C" without `}`')
        if kind != "mark":
            names.append(text)
        position += 1
    return position + 1

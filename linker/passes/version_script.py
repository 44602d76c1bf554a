"""--version-script and --dynamic-list: which symbols an output exports, and under which version.

    VERS_1 { global: foo; bar*; local: *; };        a node: names or patterns
    VERS_2 { global: baz; } VERS_1;                 a node that contains another
    { foo; local: *; };                             without a version: only what is exported

A name that stands as it is goes before a pattern; of several patterns the last one counts, those that export before those that hide, and `*`
comes after all others (GNU ld manual, "VERSION Command"; where it is silent, as GNU ld does). In extern "C++" names and patterns are for
demangled names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from uselib.linker.errors import error
from uselib.linker.quick_dataclass import NamedTuple

_TOKEN = re.compile(r'\s+|/\*.*?\*/|#[^\n]*|"(?P<quoted>[^"]*)"|(?P<mark>[{};:])|(?P<word>(?:[^\s{};:"]|::)+)', re.S)
_GLOB = re.compile(r"(?<!\\)[*?\[]")
_PART = re.compile(r"\\(?P<plain>.)|\*(?P<star>)|\?(?P<one>)|\[(?P<not>[!^]?)(?P<set>\]?[^\]]*)\]|(?P<other>.)", re.S)
_LANGUAGES = ("C", "C++")


class ScriptPattern(NamedTuple):
    """A name or pattern. literal: it stands for itself (in quotes, or without * ? [). cxx: for demangled names."""

    text: str
    literal: bool
    cxx: bool = False


class ScriptNode(NamedTuple):
    """A node of a script. exported, hidden: names and patterns."""

    name: str
    exported: tuple[ScriptPattern, ...]
    hidden: tuple[ScriptPattern, ...]
    parents: tuple[str, ...]


class _Rule(NamedTuple):
    """version None: hidden."""

    pattern: re.Pattern[str]
    version: str | None
    cxx: bool


class VersionScript:
    """Answers what a script says of a symbol."""

    def __init__(self, nodes: tuple[ScriptNode, ...]) -> None:
        self.nodes = nodes
        self._exact: dict[tuple[str, bool], str | None] = {}
        exporting: list[_Rule] = []
        hiding: list[_Rule] = []
        every: list[_Rule] = []
        for node in nodes:
            for patterns, version in ((node.exported, node.name), (node.hidden, None)):
                for text, literal, cxx in patterns:
                    if literal:
                        self._exact.setdefault((text, cxx), version)
                    elif text == "*":
                        every.append(_Rule(re.compile(""), version, cxx))
                    else:
                        rules = hiding if version is None else exporting
                        rules.append(_Rule(re.compile(expression(text), re.S), version, cxx))
        every.sort(key=lambda rule: rule.version is not None)
        self._rules = [*reversed(exporting), *reversed(hiding), *reversed(every)]
        self._cxx = any(pattern.cxx for node in nodes for pattern in (*node.exported, *node.hidden))
        self._plain: dict[str, str] = {}
        self._nodes: dict[str, VersionScript | None] = {}  # those that were asked for alone

    @property
    def versions(self) -> list[ScriptNode]:
        """The nodes that have a name."""
        return [node for node in self.nodes if node.name]

    def expect(self, names: Iterable[str]) -> None:
        """These names will be asked for: they are demangled all at once, if the script has demangled names."""
        if self._cxx:
            from uselib.linker.demangling import plain_names  # only for such scripts

            mangled = [name for name in names if name.startswith("_Z")]
            self._plain |= plain_names(mangled) if mangled else {}

    def of(self, name: str) -> tuple[bool, str]:
        """Whether a defined symbol is exported, and its version (empty: none). What no node names is exported without one."""
        found, version = self._find(name)
        return version is not None or not found, version or ""

    def hides(self, version: str, name: str) -> bool:
        """Whether the node of that version hides the name and does not export it; it does not matter what other nodes say."""
        if version not in self._nodes:
            node = next((node for node in self.nodes if node.name == version), None)
            self._nodes[version] = None if node is None else VersionScript((node,))
            alone = self._nodes[version]
            if alone is not None:
                alone._plain = self._plain
        alone = self._nodes[version]
        return alone is not None and not alone.of(name)[0]

    def names(self, name: str) -> bool:
        """Whether a node exports the name by itself or by a pattern (--dynamic-list)."""
        found, version = self._find(name)
        return found and version is not None

    def missing(self, defined: Iterable[str]) -> list[tuple[str, str]]:
        """(version, name) of the names that stand as they are, are exported and not defined."""
        known = set(defined)
        known |= {self._plain.get(name, name) for name in known}
        return [(v, text) for (text, _), v in self._exact.items() if v is not None and text not in known]

    def _find(self, name: str) -> tuple[bool, str | None]:
        """Whether a node names the symbol, and the version; None: it is hidden."""
        plain = self._plain.get(name, name)
        for key in ((name, False), (plain, True)):
            if key in self._exact:
                return True, self._exact[key]
        for pattern, version, cxx in self._rules:
            if pattern.match(plain if cxx else name):
                return True, version
        return False, None


def expression(glob: str) -> str:
    """A pattern with * ? [set] [!set] and \\c as a regular expression for the whole name."""
    result = []
    for match in _PART.finditer(glob):
        if match["star"] is not None:
            result.append(".*")
        elif match["one"] is not None:
            result.append(".")
        elif match["set"] is not None:
            inner = match["set"].replace("\\", "\\\\").replace("]", "\\]").replace("[", "\\[")
            result.append(f"[{'^' if match['not'] else ''}{inner}]")
        else:
            result.append(re.escape(match["plain"] or match["other"]))
    return f"(?:{''.join(result)})\\Z"


def pattern(text: str, quoted: bool = False, cxx: bool = False) -> ScriptPattern:
    """What a word of a script stands for."""
    if quoted or not _GLOB.search(text):
        return ScriptPattern(text if quoted else re.sub(r"\\(.)", r"\1", text), True, cxx)
    return ScriptPattern(text, False, cxx)


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


def combined(texts: Iterable[tuple[str, str]]) -> VersionScript | None:
    """All these scripts as one; None if they have no node. Raises LinkError."""
    nodes = [node for text, where in texts for node in parse_version_script(text, where).nodes]
    return VersionScript(tuple(nodes)) if nodes else None


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
    lists: dict[str, list[ScriptPattern]] = {"global": [], "local": []}
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
            lists[current].append(pattern(text, kind == "quoted"))
            position += 1
    position += 1
    parents = []
    while tokens[position][0] == "word":
        parents.append(tokens[position][1])
        position += 1
    if tokens[position] == ("mark", ";"):
        position += 1
    return ScriptNode(name, tuple(lists["global"]), tuple(lists["local"]), tuple(parents)), position


def _language(tokens: list[tuple[str, str]], position: int, names: list[ScriptPattern], where: str) -> int:
    """extern "C" { names; } and extern "C++" { demangled names; }. Result: the position behind it."""
    kind, language = tokens[position + 1]
    if kind != "quoted" or language not in _LANGUAGES:
        raise error(where, f'extern "{language}" is not supported', remedy='write extern "C" or extern "C++"')
    if tokens[position + 2] != ("mark", "{"):
        raise error(where, f'extern "{language}" without `{{`')
    position += 3
    while tokens[position] != ("mark", "}"):
        kind, text = tokens[position]
        if kind == "end":
            raise error(where, f'extern "{language}" without `}}`')
        if kind != "mark":
            names.append(pattern(text, kind == "quoted", language == "C++"))
        position += 1
    return position + 1

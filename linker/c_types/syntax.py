"""Questions about pycparser's syntax trees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pycparser import c_ast

from uselib.linker.c_types.attributes import MEMBER_MARKER, NONE, RECORD_MARKER, Attributes, Marked
from uselib.linker.quick_typing import Any


def is_void(node: Any) -> bool:
    return (
        isinstance(node, c_ast.TypeDecl) and isinstance(node.type, c_ast.IdentifierType) and node.type.names == ["void"]
    )


def walk(nodes: Iterable[Any], wanted: Any) -> Iterator[Any]:
    """All nodes of a kind in these trees."""
    stack = list(nodes)
    while stack:
        here = stack.pop()
        if isinstance(here, wanted):
            yield here
        stack.extend(child for _, child in here.children())


def enumerations(nodes: Iterable[Any]) -> Iterator[Any]:
    """The enumerations that are defined in these trees."""
    return (found for found in walk(nodes, c_ast.Enum) if found.values is not None)


def definition(nodes: Iterable[Any], tag: str) -> Any:
    """The structure, union or enumeration with a body and this tag, somewhere in these trees, or None."""
    for found in walk(nodes, c_ast.Struct | c_ast.Union | c_ast.Enum):
        body = found.values if isinstance(found, c_ast.Enum) else found.decls
        if found.name == tag and body is not None:
            return found
    return None


def record_attributes(members: Sequence[Any], marked: Marked) -> Attributes:
    """What the marker at the start of a body says of its structure, union or enumeration."""
    name = getattr(members[0], "name", None) or "" if members else ""
    return marked.marker(name, RECORD_MARKER) or NONE


def members_of(node: Any, marked: Marked) -> Iterator[tuple[Any, Attributes]]:
    """The members of a structure or union, each with the attributes of its declaration."""
    own = NONE
    for item in node.decls:
        if not isinstance(item, c_ast.Decl):
            continue  # pragmas, static assertions
        name = item.name or ""
        if marked.marker(name, RECORD_MARKER) is not None:
            continue
        if (found := marked.marker(name, MEMBER_MARKER)) is not None:
            own = found
            continue
        if name or item.bitsize is not None or _is_unnamed_record(item.type):
            yield item, own
            own = own if _continues(item, node.decls) else NONE


def _is_unnamed_record(node: Any) -> bool:
    """A structure or union without tag and name: its members are the outer one's. Other declarations without a name declare a tag only."""
    return isinstance(node, c_ast.Struct | c_ast.Union) and not node.name and node.decls is not None


def _continues(item: Any, members: Sequence[Any]) -> bool:
    """Is the next member of the same declaration (`int a, b`)? Its attributes then are too."""
    index = next(n for n, member in enumerate(members) if member is item) + 1
    following = members[index] if index < len(members) else None
    return isinstance(following, c_ast.Decl) and _root(following) is _root(item)


def _root(node: Any) -> Any:
    while hasattr(node, "type") and not isinstance(
        node, c_ast.Struct | c_ast.Union | c_ast.Enum | c_ast.IdentifierType
    ):
        node = node.type
    return node

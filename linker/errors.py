"""Errors that a user is meant to read: one line each, naming file, member and symbol, and what to do.

A pass collects `Diagnostic`s and raises them together (`Diagnostics.raise_if_any`), so that a user sees every
undefined symbol of a link and not only the first. The command line prints them and exits with status 1; a Python
traceback is a defect, whatever the input.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from uselib.linker.quick_dataclass import dataclass, field

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


def printable(text: str) -> str:
    """`text` without control characters: names come from files, and must not break lines or send control codes to a terminal."""
    return text if text.isprintable() else text.translate(_CONTROLS)


def unprintable(text: str) -> str:
    """The first invisible character of a line, as `U+202E`; empty if there is none. A tab counts as visible."""
    return next((f"U+{ord(char):04X}" for char in text if not char.isprintable() and char != "\t"), "")


def file_of(failure: OSError) -> str:
    """The file's name in an OSError, which may be bytes there; empty if it has none."""
    return os.fsdecode(failure.filename) if isinstance(failure.filename, str | bytes) else ""


def some(names: Sequence[str], most: int = 5) -> str:
    """`a, b, c and 4 more`: the first few of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


@dataclass(frozen=True)
class Diagnostic:
    """One line for the user.

    where: `FILE` or `FILE(MEMBER)`, with `:section` appended where a section is concerned.
    symbol: the symbol concerned, or empty. It is not shown twice if the message ends with it.
    message: what is wrong; remedy: what to do (empty where the message says it).
    places: up to three `>>> referenced by` lines that follow the first.
    """

    where: str
    message: str
    symbol: str = ""
    remedy: str = ""
    places: tuple[str, ...] = ()

    def __str__(self) -> str:
        symbol = "" if self.message.endswith(f" {self.symbol}") else self.symbol
        head = ": ".join(printable(part) for part in (self.where, symbol, self.message) if part)
        if self.remedy:
            head += f"; {printable(self.remedy)}"
        return "\n".join([head, *(f"  >>> {printable(place)}" for place in self.places)])


class ToolError(Exception):
    """Base of every error with a message for the user. `diagnostics` has one or more entries."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("\n".join(str(d) for d in diagnostics))
        self.diagnostics = diagnostics


class FormatError(ToolError):
    """Bytes that are truncated, inconsistent, or of another format than expected."""


class LinkError(ToolError):
    """A link that cannot be done."""


class UsageError(ToolError):
    """Bad usage of a command: exit status 2."""


def limited(diagnostics: Sequence[Diagnostic], most: int) -> list[Diagnostic]:
    """At most so many diagnostics of a kind, and a line for the others of each kind. most 0: all of them."""
    seen: dict[str, int] = {}
    result = []
    for diagnostic in diagnostics:
        kind = diagnostic.message.removesuffix(diagnostic.symbol).split(":")[0]
        seen[kind] = seen.get(kind, 0) + 1
        if not most or seen[kind] <= most:
            result.append(diagnostic)
    for kind, count in seen.items():
        if most and count > most:
            result.append(
                Diagnostic("ld", f"{count - most} more of the kind `{kind}`", remedy="--error-limit=0 shows all")
            )
    return result


def error(where: str, message: str, *, symbol: str = "", remedy: str = "") -> LinkError:
    """A LinkError with a single diagnostic."""
    return LinkError(Diagnostic(where, message, symbol, remedy))


@dataclass
class Diagnostics:
    """Collects the errors of one pass."""

    items: list[Diagnostic] = field(default_factory=list)

    def add(
        self, where: str, message: str, *, symbol: str = "", remedy: str = "", places: tuple[str, ...] = ()
    ) -> None:
        self.items.append(Diagnostic(where, message, symbol, remedy, places))

    def raise_if_any(self) -> None:
        """Raises LinkError with everything collected, if there is anything."""
        if self.items:
            raise LinkError(*self.items)

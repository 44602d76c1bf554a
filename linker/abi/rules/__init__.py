"""The rule table: one file a rule, ID.toml.

    title = "..."              what happened, a few words
    severity = "breaking"      compatible, minor, risk, breaking
    consequence = "..."        what it does to a program that was linked before
    remedy = "..."             how to avoid it
    since = 1                  version of the table that brought it (1 if left out)

    [[example]]                one or more pairs that tests build, check and run
    header = "..."             C that old, new and program include, if it is the same for all
    old = "..."                the library
    new = "..."
    program = "..."            linked with old; its output with old and with new is compared
    subject = "..."            of the finding
    verdict = "breaking"       of the whole comparison: compatible, minor, breaking
    runs = "differs"           what the old program does with new: same, differs, or "unspecified" where only some machines show it

Files are read when their rule is first met: a check that finds nothing reads nothing.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linker.abi.findings import Rule, Severity

DIRECTORY = Path(__file__).parent


@dataclass(frozen=True)
class Example:
    """An example pair. slots: names in slot order, where the order is what the example is about. machine: empty for all."""

    old: str
    new: str
    program: str
    subject: str
    verdict: str
    runs: str = "differs"
    header: str = ""
    old_header: str = ""
    new_header: str = ""
    old_slots: tuple[str, ...] = ()
    new_slots: tuple[str, ...] = ()
    machine: str = ""
    needs: str = "types"  # what the finding needs: types, headers, or "" (symbols are enough)


def _read(identifier: str) -> dict[str, Any]:
    with open(DIRECTORY / f"{identifier}.toml", "rb") as stream:
        return tomllib.load(stream)


@functools.cache
def rule(identifier: str) -> Rule:
    """The row of the table. Raises FileNotFoundError for an id that is not in it (a defect of the caller)."""
    row = _read(identifier)
    severity = Severity[row["severity"].upper()]
    return Rule(identifier, row["title"], severity, row["consequence"], row["remedy"], row.get("since", 1))


def examples(identifier: str) -> tuple[Example, ...]:
    return tuple(_example(row) for row in _read(identifier).get("example", []))


def _example(row: dict[str, Any]) -> Example:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Example(**values)


def identifiers() -> tuple[str, ...]:
    """All rules, in the order of their names."""
    return tuple(sorted(path.stem for path in DIRECTORY.glob("*.toml")))


def is_known(identifier: str) -> bool:
    return (DIRECTORY / f"{identifier}.toml").is_file()

"""The rule table: one file for each rule, ID.toml.

    title = "..."              what happened, a few words
    severity = "breaking"      compatible, minor, risk, breaking
    consequence = "..."        what it does to a program that was linked before
    remedy = "..."             how to avoid it
    since = 1                  version of the table that brought it (1 if left out)

    [[example]]                one or more pairs that tests build, check and run
    header = "..."             lib.h, which library and program include; new_header if it is another in the new version
    old = "..."                the library
    new = "..."
    program = "..."            statements of `main_`, or all of it; linked with the old one. put, put_number write a line
    subject = "..."            of the finding
    verdict = "breaking"       of the comparison: compatible, minor, breaking
    runs = "differs"           what the old program does with the new library: same, differs, refused
    (and what `Example` has)

page.py writes docs/abi-rules.md from these files.

Files are read when their rule is first met: a check that finds nothing reads nothing.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uselib.abi.static.model.findings import AbiRule, Severity

DIRECTORY = Path(__file__).parent


@dataclass(frozen=True)
class Example:
    """An example pair, built and run by the tests."""

    old: str
    new: str
    program: str
    subject: str
    verdict: str
    runs: str = "differs"
    header: str = ""
    new_header: str = ""
    needs: str = "types"  # what the finding needs: types, headers, or "" (symbols are enough)
    machine: str = ""  # i386 or x86_64; empty for all
    form: str = "target"  # or so
    old_slots: tuple[str, ...] = ()  # names in slot order, where the order is what the example is about
    new_slots: tuple[str, ...] = ()
    old_version: str = "1.0.0"
    new_version: str = "1.1.0"
    new_base: int = 0  # 0: that of the old one
    old_interposable: tuple[str, ...] = ()
    new_interposable: tuple[str, ...] = ()
    old_options: tuple[str, ...] = ()  # of the compiler, for form so
    new_options: tuple[str, ...] = ()
    old_map: str = ""  # version script, for form so
    new_map: str = ""


def _read(identifier: str) -> dict[str, Any]:
    with open(DIRECTORY / f"{identifier}.toml", "rb") as stream:
        return tomllib.load(stream)


@functools.cache
def rule(identifier: str) -> AbiRule:
    """The row of the table. Raises FileNotFoundError for an id that is not in it (a defect of the caller)."""
    row = _read(identifier)
    severity = Severity[row["severity"].upper()]
    return AbiRule(identifier, row["title"], severity, row["consequence"], row["remedy"], row.get("since", 1))


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

"""Suppressions: findings that were looked at and accepted, and severities that a project sees in another way. A TOML file:

    [[suppress]]
    rule = "function-removed"        # a rule's id, or a pattern: "constant-*"
    subject = "lib_internal_*"       # the name, type or constant; a pattern as in a shell; "*" if left out
    reason = "never documented; no user in the archive"
    expires = 2027-06-30             # the last day it holds; or "never", written out

    [[severity]]
    rule = "enumerator-added"
    severity = "compatible"          # compatible, minor, risk, breaking
    reason = "programs must have a default branch (manual, section 4)"

A reason and a date are required, because a suppression without a date hides the next change too. The report names suppressions that have
expired, which no longer count, and those that match nothing.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from uselib.abi.static import rules as table
from uselib.abi.static.model.findings import Finding, Severity
from uselib.linker.errors import Diagnostic, Diagnostics, FormatError, LinkError, printable
from uselib.linker.reading import read_file

_WORDS = {severity.name.lower(): severity for severity in Severity}
_KEYS = {
    "suppress": {"rule", "subject", "reason", "expires"},
    "severity": {"rule", "subject", "reason", "severity"},
}


@dataclass(frozen=True, slots=True)
class SuppressionEntry:
    """One row. place: FILE and which row. expires None: never. severity None: a suppression."""

    place: str
    rule: str
    subject: str
    reason: str
    expires: datetime.date | None = None
    severity: Severity | None = None

    def matches(self, finding: Finding) -> bool:
        if not fnmatchcase(finding.rule.id, self.rule):
            return False
        names = {finding.subject, finding.subject.partition(" ")[2] or finding.subject}  # `struct point`, `point`
        return any(fnmatchcase(name, self.subject) for name in names)

    def __str__(self) -> str:
        return f"{self.place} (rule {self.rule}, subject {self.subject})"


@dataclass(frozen=True)
class Suppressions:
    entries: tuple[SuppressionEntry, ...] = ()

    def apply(
        self, findings: Iterable[Finding], today: datetime.date
    ) -> tuple[Callable[[Finding], Finding], tuple[str, ...]]:
        """A function that judges each finding, and remarks for the report: entries that expired, and those that match none of `findings`.

        The first suppression that matches counts, and the last severity.
        """
        rows = list(findings)
        said = []
        live = []
        for entry in self.entries:
            hit = any(entry.matches(finding) for finding in rows)
            if entry.expires is not None and entry.expires < today:
                over = f"suppression expired on {entry.expires}: {entry}"
                said.append(over if hit else f"{over}; it matches nothing, remove it")
            elif hit:
                live.append(entry)
            else:
                said.append(f"{'suppression' if entry.severity is None else 'severity'} matches nothing: {entry}")

        def judge(finding: Finding) -> Finding:
            for entry in live:
                if not entry.matches(finding):
                    continue
                if entry.severity is not None:
                    finding = replace(finding, rule=replace(finding.rule, severity=entry.severity))
                elif not finding.suppressed:
                    until = f" (until {entry.expires})" if entry.expires else ""
                    finding = replace(finding, suppressed=printable(entry.reason) + until)
            return finding

        return judge, tuple(said)


def read_suppressions(path: str) -> Suppressions:
    """Raises FormatError naming the file and the row, OSError."""
    try:
        document = tomllib.loads(read_file(path).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise FormatError(
            Diagnostic(path, f"is not TOML: {failure}", remedy="docs/chkshlib.md shows the format")
        ) from None
    except RecursionError:
        raise FormatError(Diagnostic(path, "is not a suppression file: nested too deeply")) from None
    problems = Diagnostics()
    entries: list[SuppressionEntry] = []
    for name, rows in document.items():
        if name not in _KEYS or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            problems.add(
                path, f"`{name}` is not known here", remedy="a suppression file has [[suppress]] and [[severity]] rows"
            )
            continue
        for number, row in enumerate(rows, 1):
            entry = _entry(f"{path}: {name} {number}", name, row, problems)
            if entry is not None:
                entries.append(entry)
    try:
        problems.raise_if_any()
    except LinkError as failure:
        raise FormatError(*failure.diagnostics) from None
    return Suppressions(tuple(entries))


def _entry(place: str, kind: str, row: dict[str, Any], problems: Diagnostics) -> SuppressionEntry | None:
    before = len(problems.items)
    for key in row.keys() - _KEYS[kind]:
        problems.add(place, f"`{key}` is not known here", remedy=f"one of {', '.join(sorted(_KEYS[kind]))}")
    text: dict[str, str] = {}
    for key, needed in (("rule", True), ("subject", False), ("reason", True)):
        value = row.get(key, "" if needed else "*")
        if not isinstance(value, str) or not value.strip():
            problems.add(place, f"`{key}` is missing" if needed and key not in row else f"`{key}` is not a text")
            continue
        text[key] = value
    rule = text.get("rule", "*")
    if not any(fnmatchcase(known, rule) for known in table.identifiers()):
        problems.add(place, f"no rule `{rule}`", remedy="`uselib chkshlib --list-rules` prints them")
    expires = _expiry(place, row, problems) if kind == "suppress" else None
    severity = None
    if kind == "severity":
        word = row.get("severity")
        severity = _WORDS.get(word) if isinstance(word, str) else None
        if severity is None:
            problems.add(place, "`severity` is not one of " + ", ".join(_WORDS))
    if len(problems.items) > before:
        return None
    return SuppressionEntry(place, rule, text["subject"], text["reason"], expires, severity)


def _expiry(place: str, row: dict[str, Any], problems: Diagnostics) -> datetime.date | None:
    value = row.get("expires")
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):
        return value
    if value == "never":
        return None
    words = "`expires` is missing" if value is None else f"`expires` is not a date: {value}"
    problems.add(place, words, remedy='write expires = 2027-06-30, or expires = "never"')
    return None

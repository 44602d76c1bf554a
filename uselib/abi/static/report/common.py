"""Texts that all formats share: words for verdicts and severities, counts, groups."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import groupby

from uselib.abi.static.model.findings import AbiRule, Finding, ProgramReport, Report, Severity, Verdict
from uselib.linker.errors import some

WORDS = {
    Severity.BREAKING: "breaking",
    Severity.RISK: "risk",
    Severity.MINOR: "minor",
    Severity.COMPATIBLE: "compatible",
}
MEANING = {
    Severity.BREAKING: "programs that use it break",
    Severity.RISK: "breaks only programs that rely on more than the public interface",
    Severity.MINOR: "old programs run; programs linked with NEW do not run with OLD",
    Severity.COMPATIBLE: "no program notices",
}
NEEDED = {
    "patch": "a new patch number will do",
    "minor": "needs a new minor version",
    "major": "needs a new major version",
}


def active(report: Report) -> tuple[Finding, ...]:
    """The findings that count."""
    return tuple(finding for finding in report.findings if not finding.suppressed)


def tally(findings: Iterable[Finding]) -> dict[str, int]:
    """Severity word -> number of findings, highest first; those without any are left out."""
    rows = list(findings)
    numbers = {
        WORDS[severity]: sum(f.severity is severity for f in rows) for severity in sorted(Severity, reverse=True)
    }
    return {word: number for word, number in numbers.items() if number}


def counted(report: Report) -> str:
    """`2 breaking, 1 minor; 3 suppressed`."""
    parts = ", ".join(f"{number} {word}" for word, number in tally(active(report)).items()) or "no changes found"
    hidden = len(report.findings) - len(active(report))
    return f"{parts}; {hidden} suppressed" if hidden else parts


def needed(report: Report) -> str:
    """What version number the change needs, or nothing."""
    if report.verdict is Verdict.NOT_COMPARABLE or not report.needs_version:
        return ""
    words = NEEDED[report.needs_version]
    if report.required_version:
        words += f": {report.required_version} or later"
        if report.new_version:
            words += f" (NEW says {report.new_version})"
    return words


def headline(report: Report) -> str:
    """The verdict and the version number that the change needs, one line."""
    words = needed(report)
    return f"{report.verdict.value}; {words}" if words else report.verdict.value


def said(finding: Finding) -> str:
    """The message, which names its subject."""
    named = not finding.subject or finding.subject in finding.message
    return finding.message if named else f"{finding.subject}: {finding.message}"


def users(finding: Finding, most: int = 8) -> str:
    """`breaking for programs that use X`, the names by which programs meet the change, `most` of them."""
    names = finding.through or (finding.subject,)
    verb = {Severity.BREAKING: "breaking for", Severity.RISK: "a risk for"}.get(finding.severity, "concerns")
    return f"{verb} programs that use {some(names, most)}"


def program_name(program: ProgramReport) -> str:
    """The program, and the library if several are compared."""
    return f"{program.path} with {program.library}" if program.library else program.path


def by_severity(findings: Iterable[Finding]) -> Iterator[tuple[Severity, list[Finding]]]:
    ordered = sorted(findings, key=lambda f: (-f.severity, f.rule.id))
    for severity, rows in groupby(ordered, key=lambda f: f.severity):
        yield severity, list(rows)


def by_rule(findings: Iterable[Finding]) -> Iterator[tuple[AbiRule, list[Finding]]]:
    ordered = sorted(findings, key=lambda f: f.rule.id)
    for _, group in groupby(ordered, key=lambda f: f.rule.id):
        rows = list(group)
        yield rows[0].rule, rows


def digest(finding: Finding) -> str:
    """Identifies a finding among those of the same rule and subject, by old and new. 16 hexadecimal digits."""
    return hashlib.sha256(
        f"{finding.old}\0{finding.new}\0{finding.message}".encode("utf-8", "backslashreplace")
    ).hexdigest()[:16]


def place(text: str) -> tuple[str, int]:
    """FILE:LINE -> (file, line), line 0 if there is none."""
    file, _, line = text.rpartition(":")
    return (file, int(line)) if file and line.isdigit() else (text, 0)

"""Findings, verdicts and the report of a static check: the data that rules produce and reports show."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Literal

REPORT_VERSION = 1  # of --json and of the baseline file


class Severity(enum.IntEnum):
    """What a change means for programs that were linked before; the highest one of a report decides its verdict."""

    COMPATIBLE = 0  # a patch release
    MINOR = 1  # old programs run; programs linked with the new one do not run with the old one: a minor release
    RISK = 2  # breaks only programs that rely on what is not part of the interface (sizes of opaque types, order, private names)
    BREAKING = 3  # programs that use it break: a major release


class Verdict(enum.Enum):
    """With the exit status of chkshlib."""

    COMPATIBLE = "compatible"
    MINOR = "compatible with a minor release"
    BREAKING = "breaking"
    NOT_COMPARABLE = "not comparable"

    @property
    def status(self) -> int:
        return {Verdict.BREAKING: 4, Verdict.NOT_COMPARABLE: 16}.get(self, 0)


@dataclass(frozen=True, slots=True)
class AbiRule:
    """One row of the rule table (rules/ID.toml)."""

    id: str  # kebab-case, stable: suppressions and baselines name it
    title: str
    severity: Severity
    consequence: str  # what it does to a program that was linked before
    remedy: str  # how to avoid it
    since: int = 1  # version of the rule table


@dataclass(frozen=True, slots=True)
class Finding:
    """One change. subject: the exported name, type or constant that changed. through: exported names by which programs meet it, when
    the subject is a type. old and new: how it was and is, in words or C. place: FILE:LINE."""

    rule: AbiRule
    subject: str
    message: str
    old: str = ""
    new: str = ""
    through: tuple[str, ...] = ()
    place: str = ""
    suppressed: str = ""  # the reason, if a suppression or the baseline covers it

    @property
    def severity(self) -> Severity:
        return self.rule.severity


@dataclass(frozen=True, slots=True)
class ProgramEffect:
    """What a finding means for one program. certain False: the program may be affected, but what would decide is not recorded."""

    finding: Finding
    why: str  # "calls open_db (slot 7)", "reads struct point, which it knows with 8 bytes"
    certain: bool = True


@dataclass(frozen=True)
class ProgramReport:
    """verdict `affected`: at least one certain effect of a breaking finding; `unaffected` goes only as far as `unchecked` allows.
    library: which one this is about, where a program is compared with several."""

    path: str
    verdict: Literal["affected", "maybe affected", "unaffected", "refused at start-up", "not comparable"]
    effects: tuple[ProgramEffect, ...] = ()
    used: int = 0  # names it takes from the library
    unchecked: tuple[str, ...] = ()
    library: str = ""


@dataclass(frozen=True)
class Report:
    """One comparison. findings in order: severity (highest first), rule, subject. unchecked: what could not be compared, in words.
    old_version, new_version: what the files say of themselves; required_version: the lowest number the change may have. notices: about
    how the check was asked for (versions the wrong way round, a suppression that matches nothing), in words."""

    old: str
    new: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    programs: tuple[ProgramReport, ...] = ()
    unchecked: tuple[str, ...] = ()
    needs_version: Literal["", "patch", "minor", "major"] = ""
    counts: dict[str, int] = field(default_factory=dict)  # functions, data, types compared
    old_version: str = ""
    new_version: str = ""
    required_version: str = ""
    notices: tuple[str, ...] = ()

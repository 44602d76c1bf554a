"""The static check (chkshlib) of the same pair, to explain a divergence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from uselib.abi.dynamic.run.result import Divergence
from uselib.abi.static.model.findings import Finding, Severity
from uselib.linker.errors import ToolError


@dataclass(frozen=True)
class Findings:
    """affecting: findings that concern the program, certain ones first. all: every finding of the pair."""

    affecting: tuple[Finding, ...] = ()
    all: tuple[Finding, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(finding.rule.id for finding in self.affecting))


def check_pair(program: str, old: str, new: str) -> Findings:
    """The findings of the pair; none if the static check cannot read a file, since the comparison of runs does not depend on it."""
    from uselib.abi.static.comparison.check import check
    from uselib.abi.static.readers.reading import read_facts, read_program

    try:
        report = check(read_facts(old), read_facts(new), [read_program(program)])
    except (ToolError, OSError):
        return Findings()
    effects = sorted((e for one in report.programs for e in one.effects), key=lambda effect: not effect.certain)
    return Findings(tuple(effect.finding for effect in effects), report.findings)


def named(divergence: Divergence, names: Iterable[str], findings: Findings) -> Divergence:
    """The divergence with the id of the finding behind it, and its message if there is no explanation yet.

    names: functions and data, nearest to the divergence first. The finding is that of the highest severity about the first name that
    has any.
    """
    for name in names:
        for finding in sorted(_about(name, findings), key=lambda finding: -finding.severity):
            why = divergence.explanation or finding.message
            if divergence.explanation and finding.severity >= Severity.RISK and finding.subject != name:
                why = f"{why}; {finding.message}"
            return replace(divergence, finding=finding.rule.id, explanation=why)
    return divergence


def _about(name: str, findings: Findings) -> list[Finding]:
    both = dict.fromkeys((*findings.affecting, *findings.all))
    return [finding for finding in both if name == finding.subject or name in finding.through]

"""The verdict of findings, and a report whose findings were judged again: by suppressions, severities of the user's own, a baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal

from uselib.abi.static.model.findings import Finding, ProgramEffect, ProgramReport, Report, Severity, Verdict

_NEEDS: dict[Verdict, Literal["", "patch", "minor", "major"]] = {
    Verdict.BREAKING: "major",
    Verdict.MINOR: "minor",
    Verdict.COMPATIBLE: "patch",
}
_DECIDED = ("affected", "maybe affected")


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """The verdict of the highest severity that is not suppressed. A risk does not decide."""
    severities = {finding.severity for finding in findings if not finding.suppressed}
    if Severity.BREAKING in severities:
        return Verdict.BREAKING
    return Verdict.MINOR if Severity.MINOR in severities else Verdict.COMPATIBLE


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Highest severity first, then by rule, subject and words."""
    return tuple(sorted(findings, key=lambda f: (-f.severity, f.rule.id, f.subject, f.message)))


def judged(report: Report, judge: Callable[[Finding], Finding], *, by_programs: bool = False) -> Report:
    """The report with each finding replaced by what `judge` makes of it, and the verdicts that follow from that.

    by_programs: the report is of programs and libraries, so that what the findings mean for the programs decides. What start-up
    refuses stays refused: no suppression helps a program there.
    """
    made = {id(finding): judge(finding) for finding in report.findings}
    if all(made[id(finding)] == finding for finding in report.findings) and not report.programs:
        return report
    programs = tuple(_program(program, made, judge) for program in report.programs)
    findings = ordered(made.values())
    if report.verdict is Verdict.NOT_COMPARABLE:
        return replace(report, findings=findings, programs=programs)
    verdict = verdict_of(findings)
    if by_programs:
        hit = any(program.verdict in ("affected", "refused at start-up") for program in programs)
        return replace(
            report, findings=findings, programs=programs, verdict=Verdict.BREAKING if hit else Verdict.COMPATIBLE
        )
    needs = _NEEDS[verdict] if report.needs_version else ""
    return replace(report, findings=findings, programs=programs, verdict=verdict, needs_version=needs)


def _program(program: ProgramReport, made: dict[int, Finding], judge: Callable[[Finding], Finding]) -> ProgramReport:
    effects = tuple(
        ProgramEffect(made.get(id(e.finding)) or judge(e.finding), e.why, e.certain) for e in program.effects
    )
    if program.verdict not in _DECIDED or effects == program.effects:
        return replace(program, effects=effects)
    counting = [e for e in effects if not e.finding.suppressed and e.finding.severity is Severity.BREAKING]
    if any(effect.certain for effect in counting):
        return replace(program, effects=effects, verdict="affected")
    if counting:
        return replace(program, effects=effects, verdict="maybe affected")
    hidden = f"{len(effects)} change{'s' if len(effects) > 1 else ''} that it meets, because suppressed or of a lowered severity"
    return replace(program, effects=effects, verdict="unaffected", unchecked=(*program.unchecked, hidden))

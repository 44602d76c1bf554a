"""The report for programs: one object, documented in docs/chkshlib.md. `version` changes when a member changes its meaning or is removed;
new members may come at any time."""

from __future__ import annotations

import json
from typing import Any

from uselib.abi.static.model.findings import REPORT_VERSION, Finding, ProgramEffect, ProgramReport, Report
from uselib.abi.static.report import Style
from uselib.abi.static.report.common import WORDS, active, digest, tally

FORMAT = "uselib-abi-report"


def finding_row(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule.id,
        "severity": WORDS[finding.severity],
        "subject": finding.subject,
        "message": finding.message,
        "old": finding.old,
        "new": finding.new,
        "through": list(finding.through),
        "place": finding.place,
        "title": finding.rule.title,
        "consequence": finding.rule.consequence,
        "remedy": finding.rule.remedy,
        "digest": digest(finding),
        "suppressed": finding.suppressed,
    }


def _effect(effect: ProgramEffect, numbers: dict[int, int]) -> dict[str, Any]:
    return {
        "finding": numbers.get(id(effect.finding)),
        "rule": effect.finding.rule.id,
        "subject": effect.finding.subject,
        "why": effect.why,
        "certain": effect.certain,
        "suppressed": effect.finding.suppressed,
    }


def _program(program: ProgramReport, numbers: dict[int, int]) -> dict[str, Any]:
    return {
        "path": program.path,
        "library": program.library,
        "verdict": program.verdict,
        "used": program.used,
        "effects": [_effect(effect, numbers) for effect in program.effects],
        "unchecked": list(program.unchecked),
    }


def document(report: Report, tool: str = "") -> dict[str, Any]:
    """The report as JSON's types."""
    numbers = {id(finding): number for number, finding in enumerate(report.findings)}
    return {
        "format": FORMAT,
        "version": REPORT_VERSION,
        "tool": tool,
        "old": {"path": report.old, "version": report.old_version},
        "new": {"path": report.new, "version": report.new_version},
        "verdict": report.verdict.value,
        "status": report.verdict.status,
        "needs_version": report.needs_version,
        "required_version": report.required_version,
        "summary": {**tally(active(report)), "suppressed": len(report.findings) - len(active(report))},
        "compared": dict(report.counts),
        "findings": [finding_row(finding) for finding in report.findings],
        "programs": [_program(program, numbers) for program in report.programs],
        "unchecked": list(report.unchecked),
        "notices": list(report.notices),
    }


def render(report: Report, style: Style) -> str:
    return json.dumps(document(report, style.tool), indent=2, ensure_ascii=True) + "\n"

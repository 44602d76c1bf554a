"""SARIF 2.1.0 (OASIS, 27 March 2020): one run, a SARIF rule for each rule, a result for each finding.

Suppressed findings are results with a `suppressions` object (3.27.23), as viewers expect; what was not checked is a notification of the
invocation (3.20.21), because it is about the run and not about a place in the code.
"""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import quote

from uselib.abi.static.model.findings import AbiRule, Finding, ProgramReport, Report, Severity, Verdict
from uselib.abi.static.report import Style
from uselib.abi.static.report.common import WORDS, by_rule, digest, place, program_name, said, users

# The name by which tools recognise the version; nothing is fetched.
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.BREAKING: "error", Severity.RISK: "warning", Severity.MINOR: "note", Severity.COMPATIBLE: "none"}


def _rule(rule: AbiRule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.consequence},
        "help": {"text": rule.remedy},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": ["abi"], "since": rule.since},
    }


def _uri(path: str) -> str:
    """A URI reference: relative for paths below the working directory, so that viewers find them in the source tree."""
    if not os.path.isabs(path):
        path = os.path.normpath(path)
        relative = path
    else:
        relative = os.path.relpath(path)
    if not relative.startswith(".."):
        return quote(relative, errors="backslashreplace")
    return "file://" + quote(os.path.abspath(path), errors="backslashreplace")


def _location(file: str, line: int, finding: Finding) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(file)}}
    if line > 0:
        physical["region"] = {"startLine": line}
    names = finding.through[:20] or ((finding.subject,) if finding.subject else ())
    location: dict[str, Any] = {"physicalLocation": physical}
    if names:
        location["logicalLocations"] = [{"fullyQualifiedName": name} for name in names]
    return location


def _result(finding: Finding, index: dict[str, int], report: Report) -> dict[str, Any]:
    file, line = place(finding.place) if finding.place else (report.new, 0)
    words = said(finding)
    if finding.severity >= Severity.RISK:
        words += f" ({users(finding)})"
    level = _LEVELS[finding.severity]
    result: dict[str, Any] = {
        "ruleId": finding.rule.id,
        "ruleIndex": index[finding.rule.id],
        "kind": "fail" if level != "none" else "informational",  # 3.27.9: only failures have a level
        "level": level,
        "message": {"text": words},
        "locations": [_location(file, line, finding)],
        "partialFingerprints": {"uselibAbi/v1": f"{finding.rule.id}:{finding.subject}:{digest(finding)}"},
        "properties": {
            "severity": WORDS[finding.severity],
            "old": finding.old,
            "new": finding.new,
            "through": list(finding.through),
        },
    }
    if finding.suppressed:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": finding.suppressed}]
    return result


def _notification(text: str, level: str) -> dict[str, Any]:
    return {"message": {"text": text}, "level": level}


def _program(program: ProgramReport) -> dict[str, Any]:
    words = f"program {program_name(program)}: {program.verdict}"
    level = "note" if program.verdict == "unaffected" else "warning" if program.verdict == "maybe affected" else "error"
    why = "; ".join(effect.why for effect in program.effects if not effect.finding.suppressed)
    return _notification(f"{words}: {why}" if why else words, level)


def document(report: Report, tool: str) -> dict[str, Any]:
    rules = [rule for rule, _ in by_rule(report.findings)]
    index = {rule.id: number for number, rule in enumerate(rules)}
    notes = [_notification(text, "note") for text in report.notices]
    notes += [_notification(f"not checked: {text}", "warning") for text in report.unchecked]
    notes += [_program(program) for program in report.programs]
    done = report.verdict is not Verdict.NOT_COMPARABLE
    driver: dict[str, Any] = {"name": "uselib chkshlib", "rules": [_rule(rule) for rule in rules]}
    if tool:
        driver["version"] = tool
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "utf16CodeUnits",
                "invocations": [
                    {
                        "executionSuccessful": done,
                        "exitCode": report.verdict.status,
                        "toolExecutionNotifications": notes,
                    }
                ],
                "results": [_result(finding, index, report) for finding in report.findings],
                "properties": {
                    "old": report.old,
                    "new": report.new,
                    "verdict": report.verdict.value,
                    "needsVersion": report.needs_version,
                },
            }
        ],
    }


def render(report: Report, style: Style) -> str:
    return json.dumps(document(report, style.tool), indent=2, ensure_ascii=True) + "\n"

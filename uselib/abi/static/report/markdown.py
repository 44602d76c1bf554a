"""Markdown for a pull request: the verdict, a table of what breaks, the rest folded away. GitHub's and GitLab's dialects."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from uselib.abi.static.model.findings import Finding, ProgramReport, Report, Severity, Verdict
from uselib.abi.static.report import Style
from uselib.abi.static.report.common import (
    MEANING,
    WORDS,
    active,
    by_rule,
    by_severity,
    counted,
    needed,
    program_name,
    users,
)
from uselib.linker.errors import printable

_SPECIAL = re.compile(r"([\\`*_\[\]#|~@!])")
_MOST = 200  # findings of one severity: hosts cut comments at about 64 Ki characters


def escaped(text: str) -> str:
    """Text that shows as itself, in a table too: no markup, no mention of a user, no line break."""
    return _SPECIAL.sub(r"\\\1", html.escape(printable(text), quote=False)).replace("\\@", "&#64;")


def code(text: str) -> str:
    """Text as code; HTML's element and not backticks, in which nothing can be escaped."""
    inner = html.escape(printable(text), quote=False)
    for character in "|`*_[]\\@~":
        inner = inner.replace(character, f"&#{ord(character)};")
    return f"<code>{inner}</code>" if inner else ""


def render(report: Report, style: Style) -> str:
    return "\n".join(_lines(report, style)) + "\n"


def _lines(report: Report, style: Style) -> Iterator[str]:
    yield f"### ABI: {report.verdict.value}"
    yield ""
    versions = [
        f"{code(path)}{' ' + escaped(v) if v else ''}"
        for path, v in ((report.old, report.old_version), (report.new, report.new_version))
    ]
    yield f"{versions[0]} → {versions[1]}"
    words = needed(report)
    if words:
        yield ""
        yield (
            f"The change {escaped(words)}."
            if words.startswith("needs")
            else f"{escaped(words)[:1].upper()}{escaped(words)[1:]}."
        )
    if report.verdict is not Verdict.NOT_COMPARABLE:
        yield ""
        yield f"{escaped(counted(report))}."
    for text in report.notices:
        yield ""
        yield f"> {escaped(text)}"
    shown = active(report)
    if shown:
        yield from _summary(shown)
    for severity, findings in by_severity(shown):
        yield from _severity(severity, findings)
    yield from _suppressed([finding for finding in report.findings if finding.suppressed])
    if report.programs:
        yield from _programs(report.programs, report.unchecked)
    if report.unchecked:
        yield ""
        yield "**Not checked**"
        yield ""
        yield from (f"- {escaped(text)}" for text in report.unchecked)


def _file(path: str, version: str) -> str:
    return f"{code(path)} {escaped(version)}" if version else code(path)


def _summary(findings: tuple[Finding, ...]) -> Iterator[str]:
    yield ""
    yield "| severity | changes | rules |"
    yield "|---|---|---|"
    for severity, rows in by_severity(findings):
        rules = ", ".join(f"{code(rule.id)} ({len(group)})" for rule, group in by_rule(rows))
        yield f"| {WORDS[severity]} | {len(rows)} | {rules} |"


def _severity(severity: Severity, findings: list[Finding]) -> Iterator[str]:
    opened = " open" if severity is Severity.BREAKING and len(findings) <= 10 else ""
    yield ""
    yield f"<details{opened}><summary>{WORDS[severity]}: {len(findings)} ({MEANING[severity]})</summary>"
    yield ""
    yield "| what | change | was | is |"
    yield "|---|---|---|---|"
    for finding in findings[:_MOST]:
        at = f"<br>{code(finding.place)}" if finding.place else ""
        yield f"| {code(finding.subject)} | {escaped(finding.message)}{at} | {code(finding.old)} | {code(finding.new)} |"
    if len(findings) > _MOST:
        yield ""
        yield f"and {len(findings) - _MOST} more."
    yield ""
    for rule, rows in by_rule(findings):
        names = "; ".join(dict.fromkeys(users(finding) for finding in rows[:3])) if severity >= Severity.RISK else ""
        yield f"- {code(rule.id)}: {escaped(rule.consequence)}{' (' + escaped(names) + ')' if names else ''}"
        yield f"  <br>*To avoid it:* {escaped(rule.remedy)}"
    yield ""
    yield "</details>"


def _suppressed(findings: list[Finding]) -> Iterator[str]:
    if not findings:
        return
    yield ""
    yield f"<details><summary>suppressed: {len(findings)}</summary>"
    yield ""
    yield "| what | rule | reason |"
    yield "|---|---|---|"
    for finding in findings[:_MOST]:
        yield f"| {code(finding.subject)} | {code(finding.rule.id)} | {escaped(finding.suppressed)} |"
    if len(findings) > _MOST:
        yield ""
        yield f"and {len(findings) - _MOST} more."
    yield ""
    yield "</details>"


def _programs(programs: tuple[ProgramReport, ...], unchecked: tuple[str, ...]) -> Iterator[str]:
    yield ""
    yield "| program | verdict | because |"
    yield "|---|---|---|"
    for program in programs:
        effects = [effect for effect in program.effects if not effect.finding.suppressed]
        why = "<br>".join(escaped(f"{'' if effect.certain else 'perhaps '}{effect.why}") for effect in effects[:10])
        if len(effects) > 10:
            why += f"<br>and {len(effects) - 10} more"
        yield f"| {code(program_name(program))} | {program.verdict} | {why} |"
    for program in programs:
        for text in (text for text in program.unchecked if text not in unchecked):
            yield ""
            yield f"{code(program_name(program))}: not checked: {escaped(text)}"

"""The report for people. First line: the verdict and the version number the change needs. Last lines: what could not be checked."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace

from uselib.abi.static.model.findings import AbiRule, Finding, ProgramReport, Report, Severity, Verdict
from uselib.abi.static.report import Style
from uselib.abi.static.report.common import (
    MEANING,
    WORDS,
    active,
    by_rule,
    by_severity,
    counted,
    headline,
    program_name,
    said,
    users,
)
from uselib.linker.errors import printable

_FEW = 12  # findings of one rule that are shown without -v
_COLOURS = {
    Severity.BREAKING: "1;31",
    Severity.RISK: "1;33",
    Severity.MINOR: "36",
    Severity.COMPATIBLE: "32",
}
_VERDICTS = {
    Verdict.BREAKING: "1;31",
    Verdict.MINOR: "1;36",
    Verdict.COMPATIBLE: "1;32",
    Verdict.NOT_COMPARABLE: "1;35",
}
_PROGRAMS = {
    "affected": "1;31",
    "refused at start-up": "1;31",
    "maybe affected": "1;33",
    "unaffected": "32",
    "not comparable": "1;35",
}


class _TextPage:
    """Lines, wrapped to the width; colours where they are wanted."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self.lines: list[str] = []

    def paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._style.colour else text

    def put(self, text: str, indent: int = 0, hang: int = 0, code: str = "") -> None:
        """A paragraph. hang: how much further the lines after its first are indented."""
        width = max(self._style.width, 40)
        wrapper = textwrap.TextWrapper(width, " " * indent, " " * (indent + hang))
        wrapper.break_long_words = wrapper.break_on_hyphens = False
        self.lines += [self.paint(line, code) if code else line for line in wrapper.wrap(printable(text))]

    def gap(self) -> None:
        if self.lines and self.lines[-1]:
            self.lines.append("")


def render(report: Report, style: Style) -> str:
    page = _TextPage(style)
    page.put(headline(report), hang=2, code=_VERDICTS[report.verdict])
    labels = ("program:", "with:   ") if _is_of_program(report) else ("old:  ", "new:  ")
    for label, path, version in zip(
        labels, (report.old, report.new), (report.old_version, report.new_version), strict=True
    ):
        page.lines.append(f"{label} {printable(_file(path, version))}")  # paths are not wrapped
    if report.verdict is not Verdict.NOT_COMPARABLE:
        page.put(f"found: {counted(report)}")
    for text in report.notices:
        page.put(f"note:  {text}", hang=7)
    shown = active(report)
    for severity, findings in by_severity(shown):
        if severity is not Severity.COMPATIBLE or style.verbose:
            _severity(page, severity, findings, style.verbose)
    hidden = sum(finding.severity is Severity.COMPATIBLE for finding in shown)
    if hidden and not style.verbose:
        page.gap()
        page.put(f"{hidden} change{'s' if hidden > 1 else ''} that no program notices; -v shows them")
    if style.verbose:
        _suppressed(page, [finding for finding in report.findings if finding.suppressed])
    for program in report.programs:
        own = tuple(text for text in program.unchecked if text not in report.unchecked)
        _program(page, replace(program, unchecked=own), style.verbose)
    _closing(page, report)
    return "\n".join(page.lines) + "\n"


def _is_of_program(report: Report) -> bool:
    """PROG LIB...: the program stands for the old version."""
    return bool(report.programs) and all(program.path == report.old for program in report.programs)


def _file(path: str, version: str) -> str:
    return f"{path} (version {version})" if version else path


def _severity(page: _TextPage, severity: Severity, findings: list[Finding], verbose: bool) -> None:
    page.gap()
    page.put(f"{WORDS[severity]} ({len(findings)}): {MEANING[severity]}", code=_COLOURS[severity])
    for rule, rows in by_rule(findings):
        _rule(page, rule, rows, verbose)


def _rule(page: _TextPage, rule: AbiRule, rows: list[Finding], verbose: bool) -> None:
    page.put(f"{rule.title} [{rule.id}]", 2, 2)
    shown = rows if verbose else rows[:_FEW]
    for finding in shown:
        page.put(said(finding), 4, 4)
        for label, text in (("was:", finding.old), ("is: ", finding.new)):
            if text and text not in finding.message:
                page.put(f"{label} {text}", 8, 5)
        if finding.place:
            page.put(f"at {finding.place}", 8, 5)
        if finding.severity >= Severity.RISK:
            page.put(users(finding, max(len(finding.through), 1) if verbose else 8), 8, 5)
    if len(rows) > len(shown):
        page.put(f"and {len(rows) - len(shown)} more; -v shows all", 4)
    page.put(f"consequence: {rule.consequence}", 6, 2)
    page.put(f"to avoid it: {rule.remedy}", 6, 2)


def _suppressed(page: _TextPage, findings: list[Finding]) -> None:
    if not findings:
        return
    page.gap()
    page.put(f"suppressed ({len(findings)})")
    for finding in findings:
        page.put(f"{said(finding)} [{finding.rule.id}]; reason: {finding.suppressed}", 2, 4)


def _program(page: _TextPage, program: ProgramReport, verbose: bool) -> None:
    page.gap()
    head = f"program {program_name(program)}: {program.verdict}"
    if program.used:
        head += f" (uses {program.used} name{'s' if program.used > 1 else ''} of the library)"
    page.put(head, 0, 2, _PROGRAMS.get(program.verdict, "1"))
    effects = sorted(program.effects, key=lambda e: (bool(e.finding.suppressed), -e.finding.severity, not e.certain))
    for effect in effects if verbose else effects[: 2 * _FEW]:
        word = "" if effect.certain else "perhaps "
        suppressed = f" (suppressed: {effect.finding.suppressed})" if effect.finding.suppressed else ""
        page.put(f"{word}{effect.why}: {effect.finding.message} [{effect.finding.rule.id}]{suppressed}", 2, 2)
    if len(effects) > 2 * _FEW and not verbose:
        page.put(f"and {len(effects) - 2 * _FEW} more; -v shows all", 2)
    _sentences(page, program.unchecked, "not checked: ", 2)


def _closing(page: _TextPage, report: Report) -> None:
    page.gap()
    if report.counts:
        page.put("compared: " + ", ".join(f"{number} {word}" for word, number in report.counts.items()))
    if report.unchecked:
        page.put("because:" if report.verdict is Verdict.NOT_COMPARABLE else "not checked:")
        _sentences(page, report.unchecked, "", 2)


def _sentences(page: _TextPage, sentences: Iterable[str], label: str, indent: int) -> None:
    for text in sentences:
        page.put(label + text, indent, 2)


def rule_text(rule: AbiRule, examples: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    """One rule in full, for --explain. examples: (heading, C text)."""
    page = _TextPage(Style(width))
    page.put(f"{rule.id}: {rule.title}")
    page.put(f"severity: {WORDS[rule.severity]} ({MEANING[rule.severity]})", hang=2)
    page.put(f"consequence: {rule.consequence}", hang=2)
    page.put(f"to avoid it: {rule.remedy}", hang=2)
    yield from page.lines
    for heading, text in examples:
        yield ""
        yield f"{heading}:"
        yield from (f"    {line}".rstrip() for line in text.strip("\n").splitlines())

"""JUnit XML, as test reports read it: a test case for each rule (failed: it has breaking findings), and one for each program.

Rules that found nothing are passed test cases, so that a report shows what was looked for. A skipped test case stands for each
part that could not be checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from uselib.abi.static import rules as table
from uselib.abi.static.model.findings import Finding, ProgramReport, Report, Severity, Verdict
from uselib.abi.static.report import Style
from uselib.abi.static.report.common import WORDS, by_rule, counted, headline, program_name, said, users

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2


def _xml(text: str) -> str:
    return _NOT_XML.sub(lambda m: f"\\x{ord(m[0]):02x}", text)


def _lines(findings: Iterable[Finding]) -> str:
    rows = []
    for finding in findings:
        rows.append(f"{WORDS[finding.severity]}: {said(finding)} ({users(finding)})")
        rows += [
            f"    {label}: {text}"
            for label, text in (("was", finding.old), ("is", finding.new), ("at", finding.place))
            if text
        ]
        if finding.suppressed:
            rows.append(f"    suppressed: {finding.suppressed}")
    return _xml("\n".join(rows))


def _case(suite: ET.Element, group: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", {"classname": _xml(group), "name": _xml(name), "time": "0"})


def _rule(suite: ET.Element, identifier: str, findings: list[Finding]) -> None:
    case = _case(suite, "abi", identifier)
    counted = [finding for finding in findings if not finding.suppressed]
    broken = [finding for finding in counted if finding.severity is Severity.BREAKING]
    if broken:
        rule = broken[0].rule
        failure = ET.SubElement(case, "failure", {"message": _xml(f"{rule.title}: {len(broken)}"), "type": "breaking"})
        failure.text = (
            f"{_lines(broken)}\n{_xml(f'consequence: {rule.consequence}')}\n{_xml(f'to avoid it: {rule.remedy}')}"
        )
    elif findings and not counted:
        ET.SubElement(case, "skipped", {"message": _xml(f"suppressed: {findings[0].suppressed}")})
    rest = [finding for finding in findings if finding not in broken]
    if rest:
        ET.SubElement(case, "system-out").text = _lines(rest)


def _program(suite: ET.Element, program: ProgramReport) -> None:
    case = _case(suite, "abi.programs", program_name(program))
    words = _xml("\n".join(f"{'' if e.certain else 'perhaps '}{e.why}: {e.finding.message}" for e in program.effects))
    if program.verdict in ("affected", "refused at start-up"):
        ET.SubElement(case, "failure", {"message": program.verdict, "type": "affected"}).text = words
    elif program.verdict in ("maybe affected", "not comparable"):
        ET.SubElement(case, "skipped", {"message": program.verdict})
    notes = _xml("\n".join(f"not checked: {text}" for text in program.unchecked))
    if notes or (words and case.find("failure") is None):
        ET.SubElement(case, "system-out").text = "\n".join(part for part in (words, notes) if part)


def _suite(name: str) -> ET.Element:
    return ET.Element("testsuite", {"name": _xml(name)})


def _finish(suite: ET.Element) -> None:
    cases = suite.findall("testcase")
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("tests", str(len(cases)))
    suite.set("time", "0")


def document(report: Report) -> ET.Element:
    root = ET.Element("testsuites", {"name": "uselib chkshlib"})
    suite = _suite(f"{report.old} -> {report.new}")
    properties = ET.SubElement(suite, "properties")
    for name, value in (("verdict", report.verdict.value), ("needs_version", report.needs_version)):
        ET.SubElement(properties, "property", {"name": name, "value": value})
    if report.verdict is Verdict.NOT_COMPARABLE:
        case = _case(suite, "abi", "comparison")
        ET.SubElement(case, "error", {"message": "not comparable", "type": "not comparable"}).text = _xml(
            "\n".join(report.unchecked)
        )
    else:
        found = {rule.id: rows for rule, rows in by_rule(report.findings)}
        for identifier in sorted({*table.identifiers(), *found}):
            _rule(suite, identifier, found.get(identifier, []))
        for text in report.unchecked:
            ET.SubElement(_case(suite, "abi.unchecked", text), "skipped", {"message": "not checked"})
    ET.SubElement(suite, "system-out").text = _xml("\n".join((headline(report), counted(report), *report.notices)))
    _finish(suite)
    root.append(suite)
    if report.programs:
        programs = _suite(f"programs with {report.new}")
        for program in report.programs:
            _program(programs, program)
        _finish(programs)
        root.append(programs)
    for attribute in ("tests", "failures", "errors", "skipped"):
        root.set(attribute, str(sum(int(part.get(attribute, "0")) for part in root)))
    return root


def render(report: Report, style: Style) -> str:
    root = document(report)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"

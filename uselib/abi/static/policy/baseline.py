"""A baseline: the findings accepted so far, so that only new ones count. JSON:

    {"format": "uselib-abi-baseline", "version": 1, "library": "libpoint_s", "old": "1.0.0", "findings": [
      {"rule": "function-removed", "subject": "point_norm", "digest": "5d41402abc4b2a76"}]}

`digest` stands for how the subject was and is (report/common.py): another change of the same subject is a new finding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from uselib.abi.static.model.facts import Facts
from uselib.abi.static.model.findings import REPORT_VERSION, Finding, Report
from uselib.abi.static.report.common import digest
from uselib.linker.errors import Diagnostic, FormatError, some
from uselib.linker.reading import read_file

FORMAT = "uselib-abi-baseline"
_REASON = "in the baseline"
_VERSIONED = re.compile(r"(\.so)?[.\d]*$|_s\.a$")

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Baseline:
    path: str
    library: str
    old: str  # version of OLD when it was written
    keys: frozenset[Key]


def library_without_version(facts: Facts) -> str:
    """What a baseline is for: the library without its version."""
    if facts.identity is not None:
        return facts.identity.name
    name = facts.soname or facts.path.rsplit("/", 1)[-1]
    return _VERSIONED.sub("", name) or name


def _key(finding: Finding) -> Key:
    return finding.rule.id, finding.subject, digest(finding)


def document(report: Report, library: str) -> dict[str, Any]:
    """The baseline that accepts all of this report's findings (those that suppressions cover too: they may expire)."""
    keys = sorted({_key(finding) for finding in report.findings})
    rows = [{"rule": rule, "subject": subject, "digest": sum_} for rule, subject, sum_ in keys]
    return {
        "format": FORMAT,
        "version": REPORT_VERSION,
        "library": library,
        "old": report.old_version,
        "findings": rows,
    }


def encoded(report: Report, library: str) -> bytes:
    return (json.dumps(document(report, library), indent=1, ensure_ascii=True) + "\n").encode()


def read_baseline(path: str) -> Baseline:
    """Raises FormatError if it is none, or one of another format version; OSError."""
    try:
        found = json.loads(read_file(path))
    except (ValueError, RecursionError) as failure:
        raise _bad(path, f"is not a baseline: {failure}", "--write-baseline FILE makes one") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise _bad(path, "is not a baseline", "--write-baseline FILE makes one")
    version, again = found.get("version"), "write it again with --write-baseline"
    if version != REPORT_VERSION:
        raise _bad(path, f"is a baseline of format version {version}; this is for {REPORT_VERSION}", again)
    rows = found.get("findings")
    library, old = found.get("library"), found.get("old")
    if not isinstance(rows, list) or not isinstance(library, str) or not isinstance(old, str):
        raise _bad(path, "is a damaged baseline", again)
    keys = set()
    for number, row in enumerate(rows, 1):
        values = tuple(row.get(name) for name in ("rule", "subject", "digest")) if isinstance(row, dict) else ()
        if len(values) != 3 or not all(isinstance(value, str) for value in values):
            raise _bad(path, f"is a damaged baseline: finding {number}", again)
        keys.add((str(values[0]), str(values[1]), str(values[2])))
    return Baseline(path, library, old, frozenset(keys))


def _bad(path: str, message: str, remedy: str) -> FormatError:
    return FormatError(Diagnostic(path, message, remedy=remedy))


def apply(baseline: Baseline, report: Report, library: str) -> tuple[Callable[[Finding], Finding], tuple[str, ...]]:
    """A function that judges each finding, and remarks for the report. Raises FormatError if the baseline is another library's."""
    if library and baseline.library and library != baseline.library:
        raise FormatError(
            Diagnostic(baseline.path, f"is the baseline of {baseline.library}; the libraries compared are {library}")
        )
    said = []
    if baseline.old != report.old_version:
        said.append(
            f"the baseline was written against version {baseline.old or '(none)'}, OLD is {report.old_version or '(none)'}"
        )
    present = {_key(finding) for finding in report.findings}
    gone = sorted(baseline.keys - present)
    if gone:
        shown = some([f"{subject} [{rule}]" for rule, subject, _ in gone], 3)
        said.append(f"in the baseline and no longer found: {shown}; --write-baseline brings it up to date")

    def judge(finding: Finding) -> Finding:
        if finding.suppressed or _key(finding) not in baseline.keys:
            return finding
        return replace(finding, suppressed=_REASON)

    return judge, tuple(said)

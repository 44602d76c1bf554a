"""chkshlib PROG LIB...: can this program run with these libraries? The program's own record is the old side."""

from __future__ import annotations

from collections.abc import Sequence

from uselib.abi.static.comparison.affected import program_report
from uselib.abi.static.comparison.check import compare
from uselib.abi.static.model.facts import Facts, ProgramFacts
from uselib.abi.static.model.findings import Finding, ProgramReport, Report, Verdict


def check_program(program: ProgramFacts, libraries: Sequence[Facts]) -> Report:
    """One program report for each library, in their order. The verdict is breaking if the program is affected or refused by any of them;
    not comparable if it was linked with none of them."""
    reports = tuple(program_report(program, library, (), compare) for library in libraries)
    findings: dict[Finding, None] = {}
    for report in reports:
        for effect in report.effects:
            findings[effect.finding] = None
    ordered = tuple(sorted(findings, key=lambda f: (-f.severity, f.rule.id, f.subject, f.message)))
    unchecked = dict.fromkeys(sentence for report in reports for sentence in report.unchecked)
    for name in _missing(program, libraries):
        unchecked[f"{name}: the program needs it, and it was not given"] = None
    loose = _unowned(program, libraries)
    if loose:
        listed = ", ".join(loose[:5]) + (", ..." if len(loose) > 5 else "")
        unchecked[f"{listed}: in none of the libraries that were given, and not recorded of which they are"] = None
    unchecked["behaviour: what functions do is not compared; run `uselib abi run` for that"] = None
    paths = ", ".join(library.path for library in libraries)
    return Report(program.path, paths, _verdict(reports), ordered, reports, tuple(unchecked))


def _verdict(reports: Sequence[ProgramReport]) -> Verdict:
    words = {report.verdict for report in reports}
    if words & {"affected", "refused at start-up"}:
        return Verdict.BREAKING
    return Verdict.NOT_COMPARABLE if words <= {"not comparable"} else Verdict.COMPATIBLE


def _unowned(program: ProgramFacts, libraries: Sequence[Facts]) -> list[str]:
    """Names that ordinary dynamic programs look for anywhere."""
    given = {name.split("@")[0] for library in libraries for name in (*library.functions, *library.data)}
    return sorted({use.name for use in program.uses or () if not use.library and use.name not in given})


def _missing(program: ProgramFacts, libraries: Sequence[Facts]) -> list[str]:
    given = {library.identity.name for library in libraries if library.identity}
    return [need.file_name for need in program.needs if need.name not in given]

"""chkshlib: two versions of a library compared, and what the differences mean for programs that were linked with the old one.

    facts of two files -> comparisons, each telling findings by rule id -> types met on the way, each pair once -> verdict -> programs

The verdict is about programs linked with OLD that run with NEW. A new major number is breaking in itself: start-up refuses the old programs,
as it should; the other findings then say what to change when they are linked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from uselib.abi.static.comparison.affected import program_report
from uselib.abi.static.comparison.compare_constants import compare_constants
from uselib.abi.static.comparison.compare_data import compare_data
from uselib.abi.static.comparison.compare_declared import compare_declared
from uselib.abi.static.comparison.compare_enums import compare_enumerations
from uselib.abi.static.comparison.compare_functions import compare_functions
from uselib.abi.static.comparison.compare_records import compare_records
from uselib.abi.static.comparison.compare_slots import compare_slots
from uselib.abi.static.comparison.compare_versions import compare_versions, tell_too_small
from uselib.abi.static.comparison.context import Comparison
from uselib.abi.static.comparison.exported_types import ExportedType, Visibility
from uselib.abi.static.comparison.layout_changes import LayoutChange, RecordUsage
from uselib.abi.static.comparison.name_heuristics import is_count, plurals
from uselib.abi.static.model.facts import DataFact, Facts, FileKind, FunctionFact, ProgramFacts
from uselib.abi.static.model.findings import Finding, Report, Severity, Verdict
from uselib.linker.c_types.types import Base, Enumeration, FunctionType, Pointer, Qualified, Record


def check(old: Facts, new: Facts, programs: Sequence[ProgramFacts] = ()) -> Report:
    """Compares two versions of one library. Raises nothing: the report names what cannot be compared."""
    obstacle = _obstacle(old, new)
    if obstacle:
        return Report(old.path, new.path, Verdict.NOT_COMPARABLE, unchecked=(obstacle,))
    compared = compare(old, new, _knowledge(programs))
    findings = _ordered(compared.findings)
    worst = _worst(findings)
    needs = tell_too_small(compared, _worst(finding for finding in findings if finding.rule.id not in _NUMBERS))
    findings = _ordered(compared.findings)
    verdict = {Severity.BREAKING: Verdict.BREAKING, Severity.MINOR: Verdict.MINOR}.get(worst, Verdict.COMPATIBLE)
    reports = tuple(program_report(program, new, findings, compare) for program in programs)
    return Report(
        old.path,
        new.path,
        verdict,
        findings,
        reports,
        _unchecked(compared),
        _needs(needs, findings, old, new),
        _counts(compared),
    )


_NUMBERS = {"major-changed", "minor-lowered"}  # findings about the version numbers themselves


def _worst(findings: Iterable[Finding]) -> Severity:
    """The highest severity that decides a verdict: a risk does not."""
    decisive = (finding.severity for finding in findings if finding.severity is not Severity.RISK)
    return max(decisive, default=Severity.COMPATIBLE)


def compare(old: Facts, new: Facts, knowledge: Mapping[str, bool] | None = None) -> Comparison:
    """All comparisons of two libraries; the findings are not in order yet."""
    compared = Comparison(old, new, knowledge)
    compare_functions(compared)
    compare_data(compared)
    compare_slots(compared)
    _compare_met_types(compared)
    compare_declared(compared)
    compare_constants(compared)
    compare_versions(compared)
    return compared


def _obstacle(old: Facts, new: Facts) -> str:
    """Why two files are not two versions of one library, or empty."""
    if old.machine is not new.machine:
        return f"{old.path} is for {old.machine.label}, {new.path} for {new.machine.label}"
    if FileKind.PROGRAM in (old.kind, new.kind):
        return f"{old.path if old.kind is FileKind.PROGRAM else new.path} is a program, not a library"
    if old.fixed != new.fixed:
        return f"{old.path} is a {old.kind.value} and {new.path} a {new.kind.value}: programs bind to them in different ways"
    if old.identity and new.identity and old.identity.name != new.identity.name:
        return (
            f"{old.path} is {old.identity.name} and {new.path} is {new.identity.name}: not two versions of one library"
        )
    return ""


def _knowledge(programs: Sequence[ProgramFacts]) -> dict[str, bool]:
    """What the programs' debug information says of records: True if one of them knows the contents, False if they only know the name."""
    known: dict[str, bool] = {}
    for program in programs:
        if not program.typed:
            continue
        for row in program.types.rows:
            if isinstance(row, Record) and row.name and row.opaque:
                known.setdefault(row.name, False)
        for name in program.records:
            known[name] = True
    return known


def _compare_met_types(check: Comparison) -> None:
    """Each pair of records and enumerations that exports lead to, once."""
    check.exported.follow()
    for pair in tuple(check.exported.types.values()):
        row, other = check.exported.rows(pair)
        if isinstance(row, Enumeration) and isinstance(other, Enumeration):
            _tell(check, pair, compare_enumerations(row, other), other.place)
        elif isinstance(row, Record) and isinstance(other, Record):
            visibility = check.exported.visibility(pair)
            if visibility is Visibility.VISIBLE:
                _tell(check, pair, compare_records(check.pairs, row, other, check.exported.usage(pair)), other.place)
            else:
                _tell_unseen(check, pair, row, other, visibility)


def _subject(pair: ExportedType) -> str:
    return f"{pair.kind} {pair.name}" if pair.name else f"unnamed {pair.kind}"


def _tell(check: Comparison, pair: ExportedType, changes: list[LayoutChange], place: str) -> None:
    if not changes:
        return
    through = check.exported.through(pair)
    subject = _subject(pair)
    unchanged = _same_code(check, through)
    fillers = _fill_arrays(check) if isinstance(check.exported.rows(pair)[0], Enumeration) else []
    for change in changes:
        words = f"{subject}: {change.sentence}"
        severity = change.severity
        if not any(check.severity_for(name, severity) is severity for name in through):
            severity = min(severity, Severity.RISK)
        if unchanged and change.rule in _DECLARED_ONLY:
            severity = min(severity, Severity.RISK)
        if change.rule == "enum-sentinel-changed" and fillers:
            severity = Severity.BREAKING
            through = tuple(sorted({*through, *fillers}))
        check.tell(
            change.rule, subject, words, old=change.old, new=change.new, through=through, place=place, severity=severity
        )


_DECLARED_ONLY = {"member-signedness", "unit-changed"}  # the layout is the same, and so is what old code does with it


def _same_code(check: Comparison, names: tuple[str, ...]) -> bool:
    """Whether the machine code of all these functions is the same in both versions."""
    pairs = [(check.old.functions.get(name), check.new.functions.get(name)) for name in names]
    return bool(pairs) and all(old and new and old.code and old.code == new.code for old, new in pairs)


def _fill_arrays(check: Comparison) -> list[str]:
    """Functions that write to an array of numbers that the program gives them, which may be sized by the enumerator that counts."""
    found = []
    types = check.old.types
    for function in check.old.functions.values():
        row = types.plain(function.type) if function.type is not None else None
        for parameter in row.parameters if isinstance(row, FunctionType) else ():
            pointer = types.plain(parameter.type)
            if not isinstance(pointer, Pointer):
                continue
            target = types[pointer.target]
            base = types.plain(pointer.target)
            constant = isinstance(target, Qualified) and target.qualifier == "const"
            if (
                isinstance(base, Base)
                and base.size > 1
                and not constant
                and (not is_count(parameter.name) or plurals(parameter.name))
            ):
                found.append(function.name)
    return found


def _tell_unseen(check: Comparison, pair: ExportedType, old: Record, new: Record, visibility: Visibility) -> None:
    """A record that is opaque to programs, or looks so."""
    changes = compare_records(check.pairs, old, new, RecordUsage(caller_allocated=False))
    changes = [change for change in changes if change.severity > Severity.COMPATIBLE]
    if not changes:
        return
    subject = _subject(pair)
    words = f"{subject}: {changes[0].words}" + (", and more" if len(changes) > 1 else "")
    if visibility is Visibility.OPAQUE:
        check.tell("opaque-type-changed", subject, words, through=check.exported.through(pair), place=new.place)
        return
    breaking = any(change.severity is Severity.BREAKING for change in changes)
    severity = Severity.RISK if breaking else Severity.MINOR
    through = check.exported.through(pair)
    check.tell("seemingly-opaque-type-changed", subject, words, through=through, place=new.place, severity=severity)


def _ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(dict.fromkeys(findings), key=lambda f: (-f.severity, f.rule.id, f.subject, f.message)))


def _needs(needs: str, findings: Sequence[Finding], old: Facts, new: Facts) -> Literal["", "patch", "minor", "major"]:
    if not findings and old.identity and new.identity and old.identity.digest == new.identity.digest:
        return ""
    return "major" if needs == "major" else "minor" if needs == "minor" else "patch"


def _unchecked(check: Comparison) -> tuple[str, ...]:
    """What was not compared, one sentence each."""
    said = list(check.unchecked)
    for facts in (check.old, check.new):
        if not facts.typed and not any("types are not compared" in sentence for sentence in facts.unknown):
            said.append(f"types: no debug information in {facts.path}, and no headers")
        said += facts.unknown
    said += [f"types: {reason}" for reason in sorted(check.pairs.unread)]
    untyped = sorted({*_untyped(check.old), *_untyped(check.new)})
    if check.old.typed and check.new.typed and untyped:
        names = ", ".join(untyped[:5]) + (", ..." if len(untyped) > 5 else "")
        said.append(f"types of {names}: no debug information for {len(untyped)} names")
    if check.old.constants is None or check.new.constants is None:
        said.append("macro constants and inline functions: no headers given")
    else:
        said.append("function-like macros: their text is not compared")
    said.append("behaviour: what functions do is not compared; run `uselib abi run` for that")
    return tuple(dict.fromkeys(said))


def _untyped(facts: Facts) -> list[str]:
    """Exports whose type is not known."""
    exports: list[FunctionFact | DataFact] = [*facts.functions.values(), *facts.data.values()]
    return [export.name for export in exports if export.type is None and not export.retired]


def _counts(check: Comparison) -> dict[str, int]:
    old, new = check.old, check.new
    return {
        "functions": len(old.functions.keys() & new.functions.keys()),
        "data": len(old.data.keys() & new.data.keys()),
        "types": len(check.exported.types),
    }

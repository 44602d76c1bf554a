"""What the findings mean for one program: which of its own bindings and types they touch.

A finding touches a program if the program uses the name it is about, or a name through which the changed type is met. Whether the program
has the type's layout compiled in is told by its own debug information; without it the effect is possible and not certain. Only breaking
findings and those that the program's own view turns into breaking ones count; `unaffected` is said only of what is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from uselib.abi.static.comparison.compare_enums import compare_enumerations
from uselib.abi.static.comparison.compare_records import compare_records
from uselib.abi.static.comparison.compare_types import TypeComparer
from uselib.abi.static.comparison.compare_versions import refusal
from uselib.abi.static.comparison.context import Comparison
from uselib.abi.static.comparison.layout_changes import LayoutChange, RecordUsage
from uselib.abi.static.comparison.program_view import linked_with, seen_by, uses_of, with_records
from uselib.abi.static.model.facts import Facts, ProgramFacts, Use
from uselib.abi.static.model.findings import Finding, ProgramEffect, ProgramReport, Severity
from uselib.abi.static.model.unqualified import named
from uselib.linker.c_types.types import Enumeration, Record, TypeId

Compare = Callable[[Facts, Facts, Mapping[str, bool] | None], Comparison]
ProgramVerdict = Literal["affected", "maybe affected", "unaffected", "refused at start-up", "not comparable"]

# Findings about the library as a whole: `refusal` tells what start-up makes of them.
_WHOLE_TEXT = """
    major-changed minor-lowered slots-fewer base-changed soname-changed library-grown version-too-small"""
_WHOLE = frozenset(_WHOLE_TEXT.split())
# Findings that say nothing where the old side is only what one program uses.
_VIEW_ONLY_TEXT = """
    function-added data-added constant-added implementation-changed interposition-added function-renamed dependency-added
    dependency-removed"""
_VIEW_ONLY = frozenset(_VIEW_ONLY_TEXT.split())


def program_report(program: ProgramFacts, new: Facts, findings: Sequence[Finding], compare: Compare) -> ProgramReport:
    """`findings`: of the old library against the new one; empty where only the program and a library are at hand."""
    if program.machine is not new.machine:
        words = f"{program.path} is for {program.machine.label}, {new.path} for {new.machine.label}"
        return ProgramReport(program.path, "not comparable", unchecked=(words,))
    obstacle = _not_linked(program, new)
    if obstacle:
        return ProgramReport(program.path, "not comparable", unchecked=(obstacle,))
    uses = uses_of(program, new)
    effects: list[ProgramEffect] = []
    if uses is not None:
        effects = _not_explained_away(_own_view(program, new, compare), findings)
        uses += _uses_of_removed(program, uses, findings)
    told = {(effect.finding.rule.id, effect.finding.subject) for effect in effects}
    for finding in findings:
        decisive = finding.severity is Severity.BREAKING and finding.rule.id not in _WHOLE
        if decisive and (finding.rule.id, finding.subject) not in told:
            effect = _effect(program, new, finding, uses)
            effects += [effect] if effect is not None else []
    verdict = _verdict(program, new, effects, uses)
    unchecked = _unchecked(program, new, uses)
    return ProgramReport(program.path, verdict, tuple(effects), len(uses or ()), unchecked)


def _not_explained_away(effects: Sequence[ProgramEffect], findings: Sequence[Finding]) -> list[ProgramEffect]:
    """Without effects that the comparison of the libraries refutes: the name was renamed, or the change breaks nothing."""
    renamed = {finding.subject for finding in findings if finding.rule.id in ("function-renamed", "data-renamed")}
    harmless = {(f.rule.id, f.subject) for f in findings if f.severity < Severity.BREAKING and not f.through}
    rows = ((effect, effect.finding) for effect in effects)
    return [e for e, found in rows if found.subject not in renamed and (found.rule.id, found.subject) not in harmless]


def _uses_of_removed(program: ProgramFacts, uses: Sequence[Use], findings: Sequence[Finding]) -> list[Use]:
    """Names that are gone from the library, and are recorded without the library's name (ordinary .so)."""
    gone = {finding.subject for finding in findings if finding.rule.id.endswith("-removed")}
    gone -= {use.name for use in uses}
    return [use for use in program.uses or () if not use.library and use.name in gone]


def _not_linked(program: ProgramFacts, library: Facts) -> str:
    if library.identity is not None:
        if linked_with(program, library) is None and not (program.uses and uses_of(program, library)):
            return f"{program.path} was not linked with {library.identity.name}"
    elif library.soname and program.sonames and library.soname not in program.sonames:
        stem = library.soname.split(".so")[0]
        if not any(name.split(".so")[0] == stem for name in program.sonames):
            return f"{program.path} was not linked with {library.soname}"
    elif not program.sonames and program.needs:  # a program of fixed-address libraries only
        return f"{program.path} was not linked with {library.soname or library.path}"
    return ""


def _verdict(
    program: ProgramFacts, library: Facts, effects: Sequence[ProgramEffect], uses: Sequence[Use] | None
) -> ProgramVerdict:
    linked = linked_with(program, library)
    if linked is not None and library.identity is not None and refusal(linked, library.identity):
        return "refused at start-up"
    if any(effect.certain for effect in effects):
        return "affected"
    return "maybe affected" if effects or uses is None else "unaffected"


def _unchecked(program: ProgramFacts, library: Facts, uses: Sequence[Use] | None) -> tuple[str, ...]:
    said = list(program.unknown)
    linked = linked_with(program, library)
    if linked is not None and library.identity is not None:
        reason = refusal(linked, library.identity)
        if reason:
            said.append(f"refused at start-up: {reason}")
    if uses is None:
        said.append("which names it uses: no binding note")
    if not program.typed:
        said.append("which types it was compiled with: no debug information in the program")
    said.append("macro constants and inline functions that were compiled into it")
    return tuple(dict.fromkeys(said))


def _effect(program: ProgramFacts, new: Facts, finding: Finding, uses: Sequence[Use] | None) -> ProgramEffect | None:
    """What a finding about two versions of the library means for this program, or None."""
    if uses is None:
        return ProgramEffect(finding, "it may use it: which names it uses is not recorded", certain=False)
    if finding.rule.id.startswith("interposition-"):
        return _effect_of_interposition(program, finding)
    by_name = {use.name: use for use in uses}
    if finding.subject in by_name:
        # its own view found nothing if it has the type; without, the binding decides
        return ProgramEffect(finding, _why(by_name[finding.subject]))
    met = [by_name[name] for name in finding.through if name in by_name]
    if met:
        tag = finding.subject.partition(" ")[2]
        if finding.rule.id in ("jump-table-moved", "symbol-version-removed"):
            return ProgramEffect(finding, _why(met[0]))
        if finding.rule.id == "enum-sentinel-changed":
            return ProgramEffect(
                finding, f"{_why(met[0])}, maybe with an array that the enumerator sizes", certain=False
            )
        if program.typed and tag:
            return _effect_of_type(program, new, finding, tag, met[0])
        return ProgramEffect(finding, f"{_why(met[0])}, which leads to {finding.subject}", certain=False)
    if not finding.through and finding.rule.id.startswith(("constant-", "inline-")):
        return ProgramEffect(finding, "it may be compiled in", certain=False)
    return None


def _effect_of_interposition(program: ProgramFacts, finding: Finding) -> ProgramEffect | None:
    if program.defines is None:
        return ProgramEffect(finding, f"it may define {finding.subject}: it has no symbols", certain=False)
    return ProgramEffect(finding, f"defines {finding.subject}") if finding.subject in program.defines else None


def _effect_of_type(program: ProgramFacts, new: Facts, finding: Finding, tag: str, use: Use) -> ProgramEffect | None:
    """Whether the program knows the members of the type, and other ones than the new library has."""
    own = program.records.get(tag)
    if own is None:
        return None  # it only has pointers to it
    theirs = next((number for name, number in named(new.types) if name == tag), None)
    if theirs is not None and not _breaking(program, new, own, theirs):
        return None
    return ProgramEffect(finding, f"{_why(use)}, which leads to {finding.subject}, whose contents it knows")


def _breaking(program: ProgramFacts, new: Facts, own: TypeId, theirs: TypeId) -> list[LayoutChange]:
    """How a record or enumeration, as the program knows it, differs from the library's."""
    pairs = TypeComparer(program.types, new.types, new.machine)
    row, other = program.types[own], new.types[theirs]
    if isinstance(row, Record) and isinstance(other, Record):
        changes = compare_records(pairs, row, other, RecordUsage(True, True, True))
    elif isinstance(row, Enumeration) and isinstance(other, Enumeration):
        changes = compare_enumerations(row, other)
    else:
        return []
    return [change for change in changes if change.severity is Severity.BREAKING]


def _why(use: Use) -> str:
    verb = "calls" if use.kind == "function" else "uses"
    return f"{verb} {use.name} ({use.address:#x})" if use.address else f"{verb} {use.name}"


def _own_view(program: ProgramFacts, new: Facts, compare: Compare) -> list[ProgramEffect]:
    """Breaking differences between what the program was linked with and compiled with, and the new library."""
    view = seen_by(program, new)
    if view is None:
        return []
    compared = compare(view, new, None)
    effects = []
    by_name = {use.name: use for use in uses_of(program, new) or ()}
    for finding in compared.findings:
        if finding.severity is not Severity.BREAKING or finding.rule.id in _WHOLE | _VIEW_ONLY:
            continue
        users = [by_name[name] for name in (finding.subject, *finding.through) if name in by_name]
        why = _why(users[0]) if users else f"knows {finding.subject}"
        effects.append(ProgramEffect(finding, why))
    effects += _own_records(program, view, new, compared, {effect.finding.subject for effect in effects})
    return effects


def _own_records(
    program: ProgramFacts, view: Facts, new: Facts, compared: Comparison, told: set[str]
) -> list[ProgramEffect]:
    """Records that the program knows, where the debug information does not say by which function it meets them."""
    untyped = [name for name, fact in view.functions.items() if fact.type is None and name in new.functions]
    if not untyped or not program.records:
        return []
    reached = _reached(new, untyped)
    effects = []
    for name, own, theirs in with_records(program, new):
        if theirs not in reached:
            continue
        row, other = program.types[own], new.types[theirs]
        if isinstance(row, Record) and isinstance(other, Record):
            changes, kind = compare_records(compared.pairs, row, other, RecordUsage()), row.kind
        elif isinstance(row, Enumeration) and isinstance(other, Enumeration):
            changes, kind = compare_enumerations(row, other), "enum"
        else:
            continue
        subject = f"{kind} {name}"
        if subject in told:
            continue
        for change in changes:
            if change.severity is Severity.BREAKING:
                compared.findings.clear()
                compared.tell(
                    change.rule,
                    subject,
                    f"{subject}: {change.words}",
                    old=change.old,
                    new=change.new,
                    through=tuple(sorted(untyped)),
                )
                size = f", which it knows with {row.size} bytes" if row.size else ""
                effects.append(ProgramEffect(compared.findings[-1], f"knows {subject}{size}"))
    return effects


def _reached(library: Facts, names: Sequence[str]) -> set[int]:
    """Numbers of all types that the signatures of these functions lead to."""
    types = library.types
    seen: set[int] = set()
    waiting = [fact.type for name in names if (fact := library.functions[name]).type is not None]
    while waiting:
        number = waiting.pop()
        if number is None or number in seen:
            continue
        seen.add(number)
        row = types[number]
        for attribute in ("target", "element", "result"):
            below = getattr(row, attribute, None)
            if below is not None:
                waiting.append(below)
        for part in getattr(row, "members", ()) or getattr(row, "parameters", ()):
            waiting.append(part.type)
    return seen

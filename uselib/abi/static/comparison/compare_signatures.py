"""How two function types differ, as changes with a severity: for exported functions and, seen from the other side, for callbacks.

The rows say what happens to a caller that was compiled against the old type and calls the new function under the standard conventions
(System V i386: all arguments on the stack, removed by the caller; x86-64: six integer and eight floating-point registers).
"""

from __future__ import annotations

from collections.abc import Sequence

from uselib.abi.static.comparison import difference_rules
from uselib.abi.static.comparison.name_heuristics import canonical, unit_changed
from uselib.abi.static.comparison.type_differences import Edge, SignatureChange, TypeDifference, TypePairs
from uselib.abi.static.model.findings import Severity
from uselib.linker.c_types.spelling import spell
from uselib.linker.c_types.types import Array, Base, FunctionType, Parameter, Record, TypeId, Types, Void

COMPATIBLE, MINOR, RISK, BREAKING = Severity.COMPATIBLE, Severity.MINOR, Severity.RISK, Severity.BREAKING


def compare_signatures(
    pairs: TypePairs, old: FunctionType, new: FunctionType, depth: int = 0
) -> tuple[tuple[SignatureChange, ...], tuple[Edge, ...]]:
    changes: list[SignatureChange] = []
    edges: list[Edge] = []
    if old.convention != new.convention:
        changes.append(
            SignatureChange(
                "calling-convention-changed",
                BREAKING,
                "the calling convention",
                old.convention or "standard",
                new.convention or "standard",
            )
        )
    if old.variadic != new.variadic and old.prototyped and new.prototyped:
        kind, words = (
            ("variadic-added", "arguments `...` added")
            if new.variadic
            else ("variadic-removed", "arguments `...` removed")
        )
        changes.append(SignatureChange(kind, BREAKING, words))
    changes += _compare_results(pairs, old, new, depth, edges)
    changes += _compare_parameters(pairs, old, new, depth, edges)
    return tuple(changes), tuple(edges)


def _compare_results(
    pairs: TypePairs, old: FunctionType, new: FunctionType, depth: int, edges: list[Edge]
) -> list[SignatureChange]:
    before, after = pairs.words(old.result, new.result)
    none_before, none_after = _void(pairs.old, old.result), _void(pairs.new, new.result)
    if none_before and not none_after:
        return [_result_added(pairs, new.result, after)]
    if none_after and not none_before:
        return [SignatureChange("result-removed", BREAKING, "the result", before, "void")]
    outcome = pairs.compare(old.result, new.result, depth + 1)
    edges += _as(outcome.edges, "result")
    found = []
    for difference in outcome.differences:
        severity = difference.severity
        kind = difference_rules.RESULT[difference.kind]
        if difference.kind == "size" and _in_st0(pairs, old.result, new.result):
            kind, severity = "same-representation", RISK  # an x87 register holds either; the precision is another
        if difference.kind == "const-added":
            severity = RISK
        if difference.kind == "const-removed":
            severity = COMPATIBLE
        if difference.kind in ("callback", "name"):
            severity = max(difference.called, COMPATIBLE)  # the program calls what it was given
            kind = "callback-changed" if severity > COMPATIBLE else kind
        words = f"the result: {difference.words}" if difference.words else "the result"
        found.append(SignatureChange(kind, severity, words, before, after, declared=difference.kind == "signedness"))
    return found


def _result_added(pairs: TypePairs, result: TypeId, after: str) -> SignatureChange:
    """A caller that expects no result ignores one in registers. It breaks if it must pass a hidden pointer, or pop an x87 register."""
    row = pairs.new.plain(result)
    in_memory = isinstance(row, Record | Array)
    x87 = isinstance(row, Base) and row.encoding in ("float", "complex") and (pairs.machine.word == 4 or row.size > 8)
    if in_memory or x87:
        return SignatureChange("result-retyped", BREAKING, "the result", "void", after)
    return SignatureChange("result-added", MINOR, "the result", "void", after)


def _as(edges: Sequence[Edge], role: str) -> list[Edge]:
    return [edge if edge.role else edge._replace(role=role) for edge in edges]


def _in_st0(pairs: TypePairs, old: TypeId, new: TypeId) -> bool:
    """Whether both results are in st(0): all real floating-point results of i386."""
    rows = pairs.old.plain(old), pairs.new.plain(new)
    return pairs.machine.word == 4 and all(isinstance(row, Base) and row.encoding == "float" for row in rows)


def _void(types: Types, number: TypeId) -> bool:
    return isinstance(types.plain(number), Void)


def _compare_parameters(
    pairs: TypePairs, old: FunctionType, new: FunctionType, depth: int, edges: list[Edge]
) -> list[SignatureChange]:
    if not (old.prototyped and new.prototyped) and not (old.parameters and new.parameters):
        return []  # `f()`: not known what it takes
    before, after = old.parameters, new.parameters
    if len(before) != len(after):
        return [_count_changed(pairs, before, after, depth, edges)]
    swapped = _swapped(pairs, before, after)
    if swapped:
        for a, b in zip(before, after, strict=True):
            edges += _as(pairs.compare(a.type, b.type, depth + 1).edges, "parameter")
        return [swapped]
    changes: list[SignatureChange] = []
    for index, (a, b) in enumerate(zip(before, after, strict=True), 1):
        outcome = pairs.compare(a.type, b.type, depth + 1)
        edges += _as(outcome.edges, "parameter")
        place = f"parameter {index}" + (f" `{a.name}`" if a.name else "")
        changes += [_parameter_change(pairs, place, a, b, difference) for difference in outcome.differences]
        if a.name and b.name and a.name != b.name and not outcome.differences:
            units = unit_changed(a.name, b.name)
            words = f"{place} is now `{b.name}`"
            if units:
                changes.append(
                    SignatureChange("unit-changed", BREAKING, f"{words}: {units}", a.name, b.name, declared=True)
                )
            else:
                changes.append(SignatureChange("parameter-renamed", COMPATIBLE, words, a.name, b.name))
    return changes


def _parameter_change(
    pairs: TypePairs, place: str, old: Parameter, new: Parameter, difference: TypeDifference
) -> SignatureChange:
    kind, severity = difference_rules.PARAMETER[difference.kind], difference.severity
    if difference.kind == "size" and difference.promoted:
        kind, severity = "parameter-widened", RISK
    if difference.kind == "const-removed":
        severity = BREAKING
    words = f"{place}: {difference.words}" if difference.words else place
    declared = difference.kind in ("signedness", "const-removed")
    return SignatureChange(kind, severity, words, *pairs.words(old.type, new.type), declared=declared)


def _count_changed(
    pairs: TypePairs, old: Sequence[Parameter], new: Sequence[Parameter], depth: int, edges: list[Edge]
) -> SignatureChange:
    shared = min(len(old), len(new))
    for a, b in zip(old[:shared], new[:shared], strict=True):
        edges += _as(pairs.compare(a.type, b.type, depth + 1).edges, "parameter")
    more = len(new) > len(old)
    longer, shorter, types = (new, old, pairs.new) if more else (old, new, pairs.old)
    names = {parameter.name for parameter in shorter}
    extra = [parameter for parameter in longer if parameter.name not in names] if all(names) else []
    if len(extra) != len(longer) - len(shorter):
        extra = list(longer[shared:])
    alike = not any(_differs(pairs, a.type, b.type) for a, b in zip(old[:shared], new[:shared], strict=True))
    trailing = alike and extra == list(longer[shared:])
    if not alike and extra == list(longer[shared:]):  # the names do not tell which one is new
        first = next(i for i, (a, b) in enumerate(zip(old, new, strict=False)) if _differs(pairs, a.type, b.type))
        extra = list(longer[first : first + len(extra)])
    words = ", ".join(f"`{spell(types, parameter.type, parameter.name)}`" for parameter in extra)
    lists = _listed(pairs.old, old), _listed(pairs.new, new)
    if more:
        said = f"{words} added {'at the end' if trailing else 'before others'}"
        return SignatureChange("parameter-added", BREAKING, said, *lists, trailing=trailing)
    said = f"{words} removed" + ("" if trailing else " from before others")
    return SignatureChange("parameter-removed", BREAKING, said, *lists, declared=trailing, trailing=trailing)


def _listed(types: Types, parameters: Sequence[Parameter]) -> str:
    return "(" + (", ".join(spell(types, parameter.type, parameter.name) for parameter in parameters) or "void") + ")"


def _swapped(pairs: TypePairs, old: Sequence[Parameter], new: Sequence[Parameter]) -> SignatureChange | None:
    """The same parameters in another order, told by their names (`copy(dst, src)` -> `copy(src, dst)`), or by their types."""
    names, others = [canonical(p.name) for p in old], [canonical(p.name) for p in new]
    by_name = all(names) and len(set(names)) == len(names)
    moved = [i for i, name in enumerate(names) if by_name and name in others and others.index(name) != i]
    same_types = all(not _differs(pairs, a.type, b.type) for a, b in zip(old, new, strict=True))
    if len(moved) < 2:
        if same_types or len(old) < 2:
            return None
        moved = [i for i, (a, b) in enumerate(zip(old, new, strict=True)) if _differs(pairs, a.type, b.type)]
        exchanged = len(moved) == 2 and not (
            _differs(pairs, old[moved[0]].type, new[moved[1]].type)
            or _differs(pairs, old[moved[1]].type, new[moved[0]].type)
        )
        if not exchanged:
            return None
    words = "parameters " + " and ".join(str(i + 1) for i in moved) + " changed places"
    return SignatureChange(
        "parameters-swapped", BREAKING, words, _listed(pairs.old, old), _listed(pairs.new, new), declared=same_types
    )


def _differs(pairs: TypePairs, old: TypeId, new: TypeId) -> bool:
    return any(difference.severity >= RISK for difference in pairs.compare(old, new).differences)

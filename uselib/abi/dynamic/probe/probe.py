"""`abi probe`: one function of two versions, called with the same generated arguments, until something differs; then the arguments
are made as small as they can be.

    prototypes (headers, DWARF, the C library's own) -> strategies -> two libraries (pair.py) -> difference -> shrunk Witness

The probe does what an old program does: it lays out the arguments by the old version's prototype, for both versions. Needs hypothesis
(extra `probe`). Deterministic: the same files, seed and number of examples give the same witness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from uselib.abi.dynamic.probe.argument_layout import ARENA, BETWEEN
from uselib.abi.dynamic.probe.pair import LibraryPair, is_pattern
from uselib.abi.dynamic.probe.search import search
from uselib.abi.dynamic.probe.sequences import search_sequences
from uselib.abi.dynamic.probe.spec import CallDifference, FunctionResult, ProbeRequest, ProbeResult, Refused
from uselib.abi.dynamic.probe.values import from_plain
from uselib.emulator.trace.prototypes.type_views import Prototype
from uselib.linker.errors import error


def require_hypothesis() -> None:
    """Raises ToolError if the package is not installed."""
    try:
        import hypothesis  # noqa: F401
    except ImportError:
        raise error("abi probe", "needs the Python package hypothesis", remedy="pip install 'uselib[probe]'") from None


def probe(request: ProbeRequest, progress: Callable[[int, int], None] | None = None) -> ProbeResult:
    """Probes every function that is asked for. progress: functions done, of how many. Raises ToolError, LibrariesNotComparable."""
    require_hypothesis()
    with LibraryPair(request) as pair:
        names = pair.names()
        if not names:
            raise error(request.old, f"has no function that matches {', '.join(request.functions)}")
        results = _sequences(pair, names) if request.state else []
        for number, name in enumerate(() if request.state else names):
            results.append(_function(pair, name))
            if progress is not None:
                progress(number + 1, len(names))
        named = sum(not is_pattern(text) for text in request.functions)
        return ProbeResult(request.old, request.new, request.seed, tuple(results), named)


def _function(pair: LibraryPair, name: str) -> FunctionResult:
    prepared = _prepared(pair, name)
    if isinstance(prepared, FunctionResult):
        return prepared
    try:
        return search(pair, *prepared)
    except Refused as refused:
        return FunctionResult(name, "not probed", prepared[0], reason=str(refused))


def _sequences(pair: LibraryPair, names: Sequence[str]) -> list[FunctionResult]:
    """One result for all functions that can be called, and one for each that cannot."""
    prepared = [_prepared(pair, name) for name in names]
    results = [item for item in prepared if isinstance(item, FunctionResult)]
    functions = [item for item in prepared if not isinstance(item, FunctionResult)]
    while functions:
        try:
            return [search_sequences(pair, functions), *results]
        except Refused as refused:
            name, _, reason = str(refused).partition(": ")
            results.append(FunctionResult(name, "not probed", reason=reason))
            functions = [item for item in functions if item[0].name != name]
    return results


def _prepared(pair: LibraryPair, name: str) -> tuple[Prototype, Any] | FunctionResult:
    """A function's prototype and the strategy of its arguments, or why there is none."""
    from uselib.abi.dynamic.probe.strategies import arguments

    sides = zip((pair.request.old, pair.request.new), pair.exports, strict=True)
    missing = [path for path, exports in sides if name not in exports]
    if missing:
        words = f"{' and '.join(missing)} {'have' if len(missing) > 1 else 'has'} no such function"
        return FunctionResult(name, "not probed", reason=words)
    prototype = pair.prototype(name)
    if prototype is None:
        words = "its prototype is not known; give the header with --prototypes, or compile the library with -g"
        return FunctionResult(name, "not probed", reason=words)
    if prototype.name != name:
        prototype = Prototype(name, *(getattr(prototype, slot) for slot in Prototype.__slots__[1:]))
    try:
        return prototype, arguments(prototype, pair.hints(name))
    except Refused as refused:
        return FunctionResult(name, "not probed", prototype, reason=str(refused))


def replay(
    old: str,
    new: str,
    function: str,
    arguments: Sequence[Any],
    *,
    library_path: Sequence[str] = (),
    prototypes: Sequence[str] = (),
    before: Sequence[Sequence[Any]] = (),
) -> CallDifference | None:
    """Calls a function of both versions with the arguments of a witness, as `plain` wrote them. Returns the difference, or None. before:
    calls that are made first, each a name and its arguments. Tests that `--write-test` has written call this. Raises ToolError,
    ValueError.
    """
    request = ProbeRequest(old, new, (function,), tuple(library_path), tuple(prototypes))
    with LibraryPair(request) as pair:
        found = None
        for number, (name, *values) in enumerate((*before, (function, *arguments))):
            prototype = pair.prototype(name)
            if prototype is None:
                raise error(old, "has no prototype for it; give the header with `prototypes`", symbol=name)
            for path, exports in zip((old, new), pair.exports, strict=True):
                if name not in exports:
                    raise error(path, "no such function", symbol=name)
            base = ARENA + number * BETWEEN
            found = pair.compare(prototype, tuple(map(from_plain, values)), number == 0, base).difference
            if found is not None:
                break
        return found


def differing(result: ProbeResult) -> Iterator[FunctionResult]:
    """The functions for which there is a witness."""
    return (function for function in result.functions if function.witness is not None)

"""`abi probe`: one function of two versions, called with the same generated arguments, until something differs; then the arguments
are made as small as they can be.

    prototypes (headers, DWARF, the C library's own) -> strategies -> two Subjects -> Difference -> shrunk Witness

What is probed is what an old program does: the arguments are laid out by the old version's prototype, for both. Needs hypothesis
(extra `probe`). Deterministic: the same files, seed and number of examples give the same witness.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from uselib.abi.dynamic.probe.call import ARENA, BETWEEN, Outcome, Prepared, Subject, prepare
from uselib.abi.dynamic.probe.compare import Difference, difference, ending
from uselib.abi.dynamic.probe.shrink import shrink
from uselib.abi.dynamic.probe.values import Value, from_plain, plain
from uselib.emulator.trace.prototypes.sources import Prototypes, open_prototypes
from uselib.linker.c_types.value_types import Prototype
from uselib.linker.errors import Diagnostic, ToolError, error
from uselib.linker.formats.elf_image import read_image
from uselib.linker.image import ExportKind, Image
from uselib.linker.reading import read_file

PROBE_VERSION = 1  # of as_json

Verdict = Literal["no difference found", "difference", "not probed"]
_STATUS = {"no difference found": 0, "difference": 4, "not probed": 16}


@dataclass(frozen=True)
class ProbeRequest:
    """old, new: files of target libraries. functions: names or patterns. library_path: where their dependencies are. prototypes: files
    with C declarations. ranges: parameter -> least and greatest value. null: pointers may be NULL. examples: calls of each function at
    most, without those of shrinking. max_instructions: of one call."""

    old: str
    new: str
    functions: tuple[str, ...]
    library_path: tuple[str, ...] = ()
    prototypes: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    null: bool = False
    errno: bool = True
    seed: int = 0
    examples: int = 500
    max_instructions: int = 1_000_000
    state: bool = False  # sequences of calls


Call = tuple[Prototype, tuple[Value, ...]]


@dataclass(frozen=True)
class Witness:
    """The smallest arguments that were found to make a difference. old, new: how the call ended on either side. before: calls that have
    to be made first."""

    arguments: tuple[Value, ...]
    difference: Difference
    old: str
    new: str
    before: tuple[Call, ...] = ()


@dataclass(frozen=True)
class FunctionResult:
    """examples: calls that were compared, shrinking included; crashed: of those, calls that were killed, or did not end, on both sides
    (they tell little). reason: why it was not probed."""

    name: str
    verdict: Verdict
    prototype: Prototype | None = None
    examples: int = 0
    crashed: int = 0
    witness: Witness | None = None
    reason: str = ""


@dataclass(frozen=True)
class ProbeResult:
    old: str
    new: str
    seed: int
    functions: tuple[FunctionResult, ...]
    asked_for: int = 1  # functions that were named; with patterns, those not probed decide nothing

    @property
    def status(self) -> int:
        """4 a difference, 16 nothing could be probed (or one that was named could not), 0 no difference found."""
        found = {_STATUS[function.verdict] for function in self.functions}
        if 4 in found:
            return 4
        return 16 if found != {0} and (self.asked_for or found == {16} or not found) else 0

    def as_json(self) -> dict[str, Any]:
        rows = []
        for f in self.functions:
            row: dict[str, Any] = {
                "function": f.name,
                "verdict": f.verdict,
                "examples": f.examples,
                "crashed": f.crashed,
            }
            if f.reason:
                row["reason"] = f.reason
            if f.witness is not None and f.prototype is not None:
                from uselib.abi.dynamic.probe.text import call_text

                seen = f.witness.difference
                row["witness"] = {
                    "call": call_text(f.prototype, f.witness.arguments)[-1],
                    "arguments": [plain(value) for value in f.witness.arguments],
                    "before": [[p.name, *map(plain, values)] for p, values in f.witness.before],
                    "kind": seen.kind, "what": seen.what, "old": seen.old, "new": seen.new,
                }  # fmt: skip
            rows.append(row)
        return {
            "version": PROBE_VERSION,
            "status": self.status,
            "old": self.old,
            "new": self.new,
            "seed": self.seed,
            "functions": rows,
        }


def require_hypothesis() -> None:
    """Raises ToolError if the package is not installed."""
    try:
        import hypothesis  # noqa: F401
    except ImportError:
        raise error("abi probe", "needs the Python package hypothesis", remedy="pip install 'uselib[probe]'") from None


class Pair:
    """Two versions of a library, loaded. A context manager."""

    def __init__(self, request: ProbeRequest) -> None:
        """Raises ToolError: not two versions of one library."""
        self.request = request
        self._files = [read_file(request.old), read_file(request.new)]
        self.images = [_library(data, path) for data, path in zip(self._files, (request.old, request.new), strict=True)]
        _check(self.images, request)
        with ExitStack() as opened:
            files = [opened.enter_context(open(os.memfd_create("probe"), "r+b", buffering=0)) for _ in range(3)]
            standard = [file.fileno() for file in files]
            self.old = opened.enter_context(
                Subject(request.old, standard, request.library_path, request.max_instructions)
            )
            self.new = opened.enter_context(
                Subject(request.new, standard, request.library_path, request.max_instructions)
            )
            self._opened = opened.pop_all()
        self.exports = [{e.name: e for e in image.exports if e.kind is ExportKind.FUNCTION} for image in self.images]
        self._texts: tuple[bytes, ...] | None = None
        self._prototypes: Prototypes | None = None

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def prototype(self, name: str) -> Prototype | None:
        """As old programs know it: the user's declarations, the old version's DWARF, the C library's. Raises FormatError."""
        if self._prototypes is None:
            self._prototypes = open_prototypes(self.images[0].machine, [self.request.old], self.request.prototypes)
        return self._prototypes.find(name)

    def names(self) -> list[str]:
        """The functions that are asked for, in order. A pattern is for those that both versions have."""
        found: list[str] = []
        everything = sorted(self.exports[0].keys() & self.exports[1].keys())
        for pattern in self.request.functions:
            found += [name for name in everything if fnmatchcase(name, pattern)] if _is_pattern(pattern) else [pattern]
        return list(dict.fromkeys(found))

    def hints(self, name: str) -> Any:
        """Constants of the function's code and of the library, for the strategies."""
        from uselib.abi.dynamic.probe import hints as probe_hints
        from uselib.abi.dynamic.probe.strategies import Hints

        numbers = [probe_hints.numbers(image, data, name) for image, data in zip(self.images, self._files, strict=True)]
        if self._texts is None:
            texts = [probe_hints.texts(image, data) for image, data in zip(self.images, self._files, strict=True)]
            self._texts = probe_hints.chosen_texts(*texts)
        request = self.request
        return Hints(probe_hints.chosen(*numbers), self._texts, request.ranges, request.null)

    def compare(self, prototype: Prototype, values: Sequence[Value], fresh: bool = True, base: int = ARENA) -> Compared:
        """One call on both sides, from the saved state or the present one. Raises Refused."""
        ready = prepare(prototype, values, self.old.machine, base)
        old = self.old.call(self.exports[0][prototype.name].address, prototype, ready, fresh)
        new = self.new.call(self.exports[1][prototype.name].address, prototype, ready, fresh)
        found = difference(prototype, ready, (self.old, old), (self.new, new), self.request.errno)
        return Compared(ready, old, new, found)


@dataclass(frozen=True)
class Compared:
    ready: Prepared
    old: Outcome
    new: Outcome
    difference: Difference | None

    @property
    def crashed(self) -> bool:
        """On both sides."""
        return all(side.end in ("signal", "limit") for side in (self.old, self.new))


def _library(data: bytes, path: str) -> Image:
    image = read_image(data, path)
    if image.library is None:
        raise error(path, "is not a target library", remedy="give a file such as DIR/shlib/libc_s.1.2.3")
    return image


class NotComparable(ToolError):
    """The two files are not versions of one library: exit status 16."""


def _check(images: Sequence[Image], request: ProbeRequest) -> None:
    old, new = images
    assert old.library is not None and new.library is not None
    one, two = old.library.identity, new.library.identity
    if old.machine is not new.machine:
        what = f"is for {new.machine.label}, {request.old} for {old.machine.label}"
    elif one.name != two.name:
        what = f"is {two.name}, {request.old} is {one.name}"
    else:
        return
    raise NotComparable(Diagnostic(request.new, what))


def _is_pattern(text: str) -> bool:
    return any(c in text for c in "*?[")


def probe(request: ProbeRequest, progress: Callable[[int, int], None] | None = None) -> ProbeResult:
    """Probes every function that is asked for. progress: functions done, of how many. Raises ToolError, NotComparable."""
    require_hypothesis()
    with Pair(request) as pair:
        names = pair.names()
        if not names:
            raise error(request.old, f"has no function that matches {', '.join(request.functions)}")
        results = _sequences(pair, names) if request.state else []
        for number, name in enumerate(() if request.state else names):
            results.append(_function(pair, name))
            if progress is not None:
                progress(number + 1, len(names))
        named = sum(not _is_pattern(text) for text in request.functions)
        return ProbeResult(request.old, request.new, request.seed, tuple(results), named)


def _function(pair: Pair, name: str) -> FunctionResult:
    from uselib.abi.dynamic.probe.strategies import Refused

    prepared = _prepared(pair, name)
    if isinstance(prepared, FunctionResult):
        return prepared
    try:
        return _search(pair, *prepared)
    except Refused as refused:
        return FunctionResult(name, "not probed", prepared[0], reason=str(refused))


def _sequences(pair: Pair, names: Sequence[str]) -> list[FunctionResult]:
    """One result for the functions that can be called, one each for those that cannot."""
    from uselib.abi.dynamic.probe.state import search
    from uselib.abi.dynamic.probe.strategies import Refused

    prepared = [_prepared(pair, name) for name in names]
    results = [item for item in prepared if isinstance(item, FunctionResult)]
    functions = [item for item in prepared if not isinstance(item, FunctionResult)]
    while functions:
        try:
            return [search(pair, functions), *results]
        except Refused as refused:
            name, _, reason = str(refused).partition(": ")
            results.append(FunctionResult(name, "not probed", reason=reason))
            functions = [item for item in functions if item[0].name != name]
    return results


def _prepared(pair: Pair, name: str) -> tuple[Prototype, Any] | FunctionResult:
    """A function's prototype and the strategy of its arguments, or why there is none."""
    from uselib.abi.dynamic.probe.strategies import Refused, arguments

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


def search_settings(request: ProbeRequest) -> Any:
    """hypothesis's settings: nothing is kept from run to run, nothing is printed."""
    from hypothesis import HealthCheck, Phase, Verbosity, settings

    return settings(
        max_examples=request.examples, database=None, deadline=None, derandomize=False, verbosity=Verbosity.quiet,
        phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def _search(pair: Pair, prototype: Prototype, strategy: Any) -> FunctionResult:
    from hypothesis import find
    from hypothesis.errors import NoSuchExample

    from uselib.abi.dynamic.probe.strategies import Refused

    count = crashed = 0
    refused: Refused | None = None
    wanted: str | None = None  # while shrinking: the kind of the first difference

    def differs(values: tuple[Value, ...]) -> bool:
        nonlocal count, crashed, refused, wanted
        if refused is not None:
            return False
        try:
            compared = pair.compare(prototype, values)
        except Refused as problem:
            refused = problem
            return False
        count += 1
        crashed += compared.crashed
        found = compared.difference
        if found is None or (wanted is not None and found.kind != wanted):
            return False
        wanted = found.kind
        return True

    try:
        smallest = find(
            strategy, differs, settings=search_settings(pair.request), random=random.Random(pair.request.seed)
        )
    except NoSuchExample:
        if refused is not None:
            raise refused from None
        return FunctionResult(prototype.name, "no difference found", prototype, count, crashed)
    smallest = shrink(prototype, smallest, differs, pair.request.ranges)
    compared = pair.compare(prototype, smallest)
    assert compared.difference is not None
    witness = Witness(
        smallest,
        compared.difference,
        ending(prototype, pair.old, compared.old),
        ending(prototype, pair.new, compared.new),
    )
    return FunctionResult(prototype.name, "difference", prototype, count, crashed, witness)


def replay(
    old: str, new: str, function: str, arguments: Sequence[Any], *, library_path: Sequence[str] = (), prototypes: Sequence[str] = (),
    before: Sequence[Sequence[Any]] = (),
) -> Difference | None:  # fmt: skip
    """Calls a function of both versions with the arguments of a witness, as `plain` wrote them; what differs, or None. before: calls
    that are made first, each a name and its arguments. For tests that `--write-test` has written. Raises ToolError, ValueError."""
    request = ProbeRequest(old, new, (function,), tuple(library_path), tuple(prototypes))
    with Pair(request) as pair:
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

"""A probe's result for people: the smallest call as C, and what each version did."""

from __future__ import annotations

import os
from collections.abc import Iterator

from uselib.abi.dynamic.probe.c_text import call_text, one_line, prototype_text
from uselib.abi.dynamic.probe.spec import FunctionResult, ProbeResult
from uselib.linker.errors import printable


def _labels(result: ProbeResult) -> tuple[str, str]:
    """Versions, or paths where file names are equal."""
    names = os.path.basename(result.old), os.path.basename(result.new)
    return names if names[0] != names[1] else (result.old, result.new)


def _lines(function: FunctionResult, labels: tuple[str, str]) -> Iterator[str]:
    width = max(map(len, labels))
    if function.witness is None or function.prototype is None:
        if function.reason:
            yield f"{function.name}: not probed: {function.reason}"
        else:
            yield f"{function.name}: no difference found in {_examples(function)}"
        return
    found = function.witness.difference
    yield f"{function.name}: difference, after {_examples(function)}"
    yield f"  {prototype_text(function.prototype)}"
    for prototype, values in function.witness.before:
        yield f"    {one_line(prototype, values)}"
    for line in call_text(function.prototype, function.witness.arguments):
        yield f"    {line}"
    if found.what not in ("result", "the call"):
        yield f"  {found.what}:"
    verb = "returns " if found.kind == "result" and found.what == "result" else ""
    for label, text in zip(labels, (found.old, found.new), strict=True):
        yield f"  {label:<{width}}  {verb}{text}"


def _examples(function: FunctionResult) -> str:
    text = f"{function.examples} {'example' if function.examples == 1 else 'examples'}"
    if function.crashed:
        text += f" ({function.crashed} of them crashed or did not end, on both sides)"
    return text


def render(result: ProbeResult) -> Iterator[str]:
    """Lines: a paragraph for each function; for many, those with differences first and a count."""
    labels = _labels(result)
    order = {"difference": 0, "no difference found": 1, "not probed": 2}
    for function in sorted(result.functions, key=lambda f: order[f.verdict]):
        yield from (printable(line) for line in _lines(function, labels))
    if len(result.functions) > 1:
        counts = {verdict: sum(f.verdict == verdict for f in result.functions) for verdict in order}
        yield f"{len(result.functions)} functions: " + ", ".join(
            f"{count} {verdict}" for verdict, count in counts.items() if count
        )

"""`abi probe --state`: sequences of calls, each of which starts from the state after the one before, compared call by call.

This finds differences that single calls cannot show: in a counter, a cache, a table that one function fills and another reads. Every sequence
begins in the state after the initialisers. The memory that arguments point to stays unchanged until the sequence ends.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from uselib.abi.dynamic.probe.argument_layout import ARENA, BETWEEN
from uselib.abi.dynamic.probe.compare_outcomes import ending
from uselib.abi.dynamic.probe.pair import CallComparison, LibraryPair
from uselib.abi.dynamic.probe.search import search_settings
from uselib.abi.dynamic.probe.shrink import shrink
from uselib.abi.dynamic.probe.spec import Call, FunctionResult, Refused, Witness
from uselib.abi.dynamic.probe.values import Value
from uselib.emulator.trace.prototypes.type_views import Prototype

_LONGEST = 8  # calls of a sequence

Calls = tuple[Call, ...]


def _run(pair: LibraryPair, calls: Calls) -> tuple[int, CallComparison | None, int]:
    """Index and outcome of the first call that differs (or None), and how many calls were made. Raises Refused(FUNCTION: why)."""
    for number, (prototype, values) in enumerate(calls):
        try:
            compared = pair.compare(prototype, values, fresh=number == 0, base=ARENA + number * BETWEEN)
        except Refused as refused:
            raise Refused(f"{prototype.name}: {refused}") from None
        if compared.difference is not None:
            return number, compared, number + 1
        if compared.old.end != "returned":
            return number, None, number + 1  # no program could reach the state after a crash
    return len(calls), None, len(calls)


def search_sequences(pair: LibraryPair, functions: Sequence[tuple[Prototype, Any]]) -> FunctionResult:
    """functions: prototypes with the strategies of their arguments. Raises Refused."""
    from hypothesis import find
    from hypothesis import strategies as st
    from hypothesis.errors import NoSuchExample

    name = ", ".join(prototype.name for prototype, _ in functions)
    one = st.one_of([strategy.map(lambda values, p=prototype: (p, values)) for prototype, strategy in functions])
    count = 0
    refused: Refused | None = None
    wanted: tuple[str, str] | None = None  # while shrinking: the function and the kind of the first difference

    def differs(calls: Calls) -> bool:
        nonlocal count, refused, wanted
        if refused is not None:
            return False
        try:
            number, compared, made = _run(pair, calls)
        except Refused as problem:
            refused = problem
            return False
        count += made
        if compared is None or compared.difference is None:
            return False
        found = calls[number][0].name, compared.difference.kind
        if wanted not in (None, found):
            return False
        wanted = found
        return True

    sequences = st.lists(one, min_size=1, max_size=_LONGEST).map(tuple)
    settings = search_settings(pair.request)
    try:
        chosen: Calls = find(sequences, differs, settings=settings, random=random.Random(pair.request.seed))
    except NoSuchExample:
        if refused is not None:
            raise refused from None
        return FunctionResult(name, "no difference found", None, count)
    chosen = _smallest(pair, chosen, differs)
    number, compared, _ = _run(pair, chosen)
    assert compared is not None and compared.difference is not None
    prototype, values = chosen[number]
    ends = ending(prototype, pair.old, compared.old), ending(prototype, pair.new, compared.new)
    witness = Witness(values, compared.difference, *ends, before=chosen[:number])
    return FunctionResult(name, "difference", prototype, count, 0, witness)


def _smallest(pair: LibraryPair, calls: Calls, differs: Callable[[Calls], bool]) -> Calls:
    """The shortest sequence that still differs, with small arguments."""
    number, _, _ = _run(pair, calls)
    calls = calls[: number + 1]
    position = len(calls) - 2
    while position >= 0:
        shorter = calls[:position] + calls[position + 1 :]
        if differs(shorter):
            calls = shorter
        position -= 1
    for position, (prototype, values) in enumerate(calls):
        small = shrink(prototype, values, partial(_with_others, calls, position, differs), pair.request.ranges)
        calls = (*calls[:position], (prototype, small), *calls[position + 1 :])
    return calls


def _with_others(calls: Calls, position: int, differs: Callable[[Calls], bool], values: tuple[Value, ...]) -> bool:
    """Whether the sequence differs with these arguments of one of its calls."""
    return differs((*calls[:position], (calls[position][0], values), *calls[position + 1 :]))

"""The search for arguments of one function that make a difference, and for the smallest such arguments."""

from __future__ import annotations

import random
from typing import Any

from uselib.abi.dynamic.probe.compare_outcomes import ending
from uselib.abi.dynamic.probe.pair import LibraryPair
from uselib.abi.dynamic.probe.shrink import shrink
from uselib.abi.dynamic.probe.spec import FunctionResult, ProbeRequest, Refused, Witness
from uselib.abi.dynamic.probe.values import Value
from uselib.emulator.trace.prototypes.type_views import Prototype


def search_settings(request: ProbeRequest) -> Any:
    """The settings of hypothesis: it keeps nothing between runs and prints nothing."""
    from hypothesis import HealthCheck, Phase, Verbosity, settings

    return settings(
        max_examples=request.examples,
        database=None,
        deadline=None,
        derandomize=False,
        verbosity=Verbosity.quiet,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


def search(pair: LibraryPair, prototype: Prototype, strategy: Any) -> FunctionResult:
    from hypothesis import find
    from hypothesis.errors import NoSuchExample

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
    ends = ending(prototype, pair.old, compared.old), ending(prototype, pair.new, compared.new)
    witness = Witness(smallest, compared.difference, *ends)
    return FunctionResult(prototype.name, "difference", prototype, count, crashed, witness)

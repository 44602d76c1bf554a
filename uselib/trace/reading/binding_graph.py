"""Which object binds to which, and by how many symbols, when: a table, and graphs for Graphviz (dot) and Mermaid."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from uselib.emulator.trace.store.bindings import DLSYM, FIRST_CALL, LOAD, TracedBinding
from uselib.trace.reading.text import Colours, matches

WHEN = LOAD, FIRST_CALL, DLSYM
NOTHING = "(nothing)"  # what a reference is bound to that no object defines
_NAMES = 6  # symbols of a pair of objects that are named


@dataclass
class BoundPair:
    """referrer, definer: file names, the latter NOTHING where no object defines the symbol. symbols: each once, in the order of their
    bindings; counts: bindings by when they happened."""

    referrer: str
    definer: str
    symbols: dict[str, None] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def when(self) -> str:
        """`3 load, 5 first call`."""
        return ", ".join(f"{self.counts[when]:,} {when}" for when in WHEN if self.counts[when])


def bound_pairs(bindings: Iterable[TracedBinding], symbols: tuple[str, ...] = ()) -> list[BoundPair]:
    """By referrer in the order of their first bindings, the definers with most bindings first. symbols: globs, all if empty."""
    found: dict[tuple[str, str], BoundPair] = {}
    order: dict[str, int] = {}
    for row in bindings:
        if not (matches(row.symbol, symbols) or matches(row.plain_symbol, symbols)):
            continue
        key = os.path.basename(row.referrer), os.path.basename(row.definer) or NOTHING
        order.setdefault(key[0], len(order))
        pair = found.setdefault(key, BoundPair(*key))
        pair.symbols[row.symbol] = None
        pair.counts[row.when] += 1
    return sorted(found.values(), key=lambda pair: (order[pair.referrer], -pair.total, pair.definer))


def as_table(pairs: list[BoundPair], colour: Colours) -> Iterator[str]:
    """The pairs of each referrer below its name."""
    last = None
    for pair in pairs:
        if pair.referrer != last:
            total = sum(other.total for other in pairs if other.referrer == pair.referrer)
            yield f"{total:>10,}  {colour('cyan', pair.referrer)}"
        last = pair.referrer
        names = list(pair.symbols)
        more = f" ... ({len(names):,})" if len(names) > _NAMES else ""
        yield f"{pair.total:>10,}    -> {pair.definer}  {colour('dim', f'{pair.when}:')} {' '.join(names[:_NAMES])}{more}"


def _numbers(pairs: list[BoundPair]) -> dict[str, int]:
    names = dict.fromkeys(name for pair in pairs for name in (pair.referrer, pair.definer))
    return {name: number for number, name in enumerate(names)}


def _dot(pairs: list[BoundPair]) -> Iterator[str]:
    def quote(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    numbers = _numbers(pairs)
    yield "digraph bindings {"
    yield "  rankdir=LR; node [shape=box, fontname=monospace];"
    for name, number in numbers.items():
        yield f"  n{number} [label={quote(name)}{', style=dashed' if name == NOTHING else ''}];"
    for pair in pairs:
        yield f"  n{numbers[pair.referrer]} -> n{numbers[pair.definer]} [label={quote(pair.when)}];"
    yield "}"


def _mermaid(pairs: list[BoundPair]) -> Iterator[str]:
    numbers = _numbers(pairs)
    yield "flowchart LR"
    for name, number in numbers.items():
        label = "".join(c if c.isalnum() or c in "_.+-() " else f"#{ord(c)};" for c in name)
        yield f'  n{number}["{label}"]'
    for pair in pairs:
        yield f'  n{numbers[pair.referrer]} -->|"{pair.when}"| n{numbers[pair.definer]}'


FORMATS: dict[str, Callable[[list[BoundPair]], Iterator[str]]] = {"dot": _dot, "mermaid": _mermaid}

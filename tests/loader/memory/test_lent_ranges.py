"""Which ranges of addresses are lent (loader/memory/lending.py), against sets of addresses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from uselib.loader.memory.lending import Ranges

SPAN = st.tuples(st.integers(0, 30), st.integers(1, 12)).map(lambda row: (row[0], row[0] + row[1]))


@given(st.lists(st.tuples(st.booleans(), SPAN), max_size=20), SPAN)
def test_ranges_are_sets_of_addresses(changes: list[tuple[bool, tuple[int, int]]], asked: tuple[int, int]) -> None:
    ranges, known = Ranges(), set[int]()
    for adds, (start, end) in changes:
        if adds:
            for low, high in list(ranges.outside(start, end)):
                ranges.add(low, high)
            known |= {*range(start, end)}
        else:
            ranges.remove(start, end)
            known -= {*range(start, end)}
        assert bool(ranges) == bool(known)
        assert not known or ranges.last[1] == max(known) + 1
    wanted = {*range(*asked)}
    within = [address for low, high in ranges.within(*asked) for address in range(low, high)]
    outside = [address for low, high in ranges.outside(*asked) for address in range(low, high)]
    assert within == sorted(wanted & known) and outside == sorted(wanted - known)

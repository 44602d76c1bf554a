"""`uselib abi probe`: values and the strategies that make them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.probe import request_for
from uselib.abi.dynamic.probe import values as v
from uselib.abi.dynamic.probe.hints import Hints
from uselib.abi.dynamic.probe.pair import LibraryPair
from uselib.abi.dynamic.probe.spec import Refused
from uselib.abi.dynamic.probe.strategies import arguments, lengths, limits
from uselib.emulator.trace.prototypes.type_views import EnumerationView, IntegerView

# -- values and strategies ---------------------------------------------------------------------------------------------

_numbers = st.one_of(st.integers(-(1 << 63), (1 << 64) - 1), st.floats()).map(v.Number)
_values = st.recursive(
    st.one_of(_numbers, st.binary().map(v.Bytes), st.builds(v.Text, st.binary(), st.integers(0, 300)), st.just(v.NULL)),
    lambda inner: st.one_of(
        st.lists(inner).map(lambda items: v.Group(tuple(items))),
        st.lists(inner).map(lambda items: v.Items(tuple(items))),
        st.builds(v.UnionMember, st.integers(0, 9), inner),
    ),
)
_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)


@given(_values)
def test_values_survive_json(value: v.Value) -> None:
    assert v.from_plain(json.loads(json.dumps(v.plain(value)))) == value


@given(_junk)
def test_other_data_are_refused_as_arguments(data: Any) -> None:
    try:
        v.from_plain(data)
    except ValueError as wrong:
        assert "is not an argument" in str(wrong) or "hexadecimal" in str(wrong) or isinstance(wrong, ValueError)


@given(st.binary(max_size=20))
def test_c_strings(data: bytes) -> None:
    """A C compiler's reading of a literal: octal escapes take three digits at most."""
    text = v.c_string(data)[1:-1]
    out, at = bytearray(), 0
    while at < len(text):
        if text[at] != "\\":
            out.append(ord(text[at]))
            at += 1
        elif text[at + 1] in "01234567":
            out.append(int(text[at + 1 : at + 4], 8))
            at += 4
        else:
            out.append(ord({"n": "\n", "t": "\t", "r": "\r"}.get(text[at + 1], text[at + 1])))
            at += 2
    assert bytes(out) == data


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_arguments_keep_to_their_types(probe_x86_64: tuple[str, Path, Path], data: st.DataObject) -> None:
    with LibraryPair(request_for(probe_x86_64, "fill")) as loaded:
        for name in ("fill", "sum", "scale", "open_it", "small"):
            prototype = loaded.prototype(name)
            assert prototype is not None
            values = data.draw(arguments(prototype, Hints((7, 10**30), (b"x",))))
            for number, group in lengths(prototype).items():
                pointed = values[number]
                size = len(pointed.data) if isinstance(pointed, v.Bytes) else len(pointed.items)  # type: ignore[union-attr]
                assert all(0 <= values[length].value <= size for length in group)  # type: ignore[union-attr]
            for parameter, value in zip(prototype.parameters, values, strict=True):
                if isinstance(parameter.type, IntegerView | EnumerationView) and isinstance(value, v.Number):
                    low, high = limits(parameter.type)
                    assert low <= value.value <= high
            if name == "scale":
                assert values[1].value in (0, 5, 6)  # type: ignore[union-attr]
            if name == "open_it":
                assert 0 <= values[0].value <= 7  # type: ignore[union-attr]


def test_numbers_as_c() -> None:
    signed, wide, word = (
        IntegerView("int", 4, True),
        IntegerView("long long", 8, True),
        IntegerView("unsigned", 4, False),
    )
    assert v.c_number(signed, -(1 << 31)) == "(-2147483647 - 1)" and v.c_number(wide, -(1 << 63)).startswith("(-92233")
    assert v.c_number(word, 5) == "5u" and v.c_number(IntegerView("char", 1, True, 1, "character"), 39) == "'\\''"
    assert v.Number(math.nan) == v.Number(math.nan) and v.Number(0.0) != v.Number(-0.0)


def test_variadic_functions_are_refused(probe_x86_64: tuple[str, Path, Path]) -> None:
    with LibraryPair(request_for(probe_x86_64, "all")) as loaded, pytest.raises(Refused, match="variable number"):
        prototype = loaded.prototype("all")
        assert prototype is not None
        arguments(prototype, Hints())

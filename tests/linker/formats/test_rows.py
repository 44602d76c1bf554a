"""Tables made a column at a time are those made row by row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uselib.linker.formats.rows import linear_code, packed_columns, packed_words
from uselib.linker.formats.string_table import StringTableBuilder
from uselib.linker.image import Machine
from uselib.linker.passes.dynamic_code import CODE, PLT_ENTRY

ADDRESS = st.integers(0, (1 << 32) - 1).map(lambda address: address & ~15)


@given(st.lists(st.integers(-(1 << 63), (1 << 64) - 1)), st.sampled_from((4, 8)))
def test_words(values: list[int], word: int) -> None:
    assert packed_words(values, word) == b"".join((v % (1 << 8 * word)).to_bytes(word, "little") for v in values)


@given(st.lists(st.lists(st.integers(0, (1 << 32) - 1), min_size=3, max_size=3), min_size=1), st.sampled_from((4, 8)))
def test_columns(rows: list[list[int]], word: int) -> None:
    columns = [[row[n] for row in rows] for n in range(3)]
    assert packed_columns(columns, word) == b"".join(v.to_bytes(word, "little") for row in rows for v in row)


@pytest.mark.parametrize("machine", list(Machine))
@given(st.integers(0, 9), ADDRESS, ADDRESS, st.booleans(), st.booleans())
def test_plt_code(machine: Machine, count: int, start: int, slots: int, pic: bool, ibt: bool) -> None:
    """Addresses on both sides of 2 GiB: fields wrap."""
    code, word = CODE[machine].ibt if ibt else CODE[machine].plain, 8 if machine is Machine.X86_64 else 4

    def entry(n: int) -> bytes:
        return code.entry(start + PLT_ENTRY * (1 + n), slots + n * word, n, start, slots - 3 * word, pic)

    def jump(n: int) -> bytes:
        return code.got_entry(start + code.got_entry_size * n, slots + n * word, slots - 3 * word, pic)

    assert linear_code(entry, count, code.entry_fields) == b"".join(map(entry, range(count)))
    assert linear_code(jump, count, (code.got_field,)) == b"".join(map(jump, range(count)))


TEXTS = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=[]) | st.sampled_from("ab"), max_size=3)
)


@given(TEXTS, st.lists(st.text("ab\udcff", max_size=3), max_size=40))
def test_strings_of_a_table(many: list[str], further: list[str]) -> None:
    many = [
        text
        for text in many
        if text.isascii() or all(0xDC80 <= ord(c) <= 0xDCFF or not 0xD800 <= ord(c) < 0xE000 for c in text)
    ]
    together, single = StringTableBuilder(), StringTableBuilder()
    assert together.add_all(many) == [single.add(text) for text in many]
    assert [together.add(text) for text in further] == [single.add(text) for text in further]
    for text in {*many, *further}:
        at = single.add(text)
        assert single.data[at : single.data.index(b"\0", at)] == text.encode("utf-8", "surrogateescape")

"""Tables of many integers as ELF has them, made a column at a time."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Sequence


def packed_words(values: Iterable[int], word: int) -> bytes:
    """Each value modulo 2**(8 * word), in `word` bytes (4 or 8)."""
    values = list(values)
    try:
        return _bytes(array("Q" if word == 8 else "I", values))
    except OverflowError:  # negative ones
        mask = (1 << 8 * word) - 1
        return _bytes(array("Q" if word == 8 else "I", [value & mask for value in values]))


def packed_columns(columns: Sequence[Sequence[int]], word: int) -> bytes:
    """Rows of words: a column for each place in a row."""
    width = len(columns)
    result = array("Q" if word == 8 else "I", bytes(word * width * len(columns[0])))
    for number, column in enumerate(columns):
        result[number::width] = array(result.typecode, column)
    return _bytes(result)


def linear_code(make: Callable[[int], bytes], count: int, fields: Sequence[int]) -> bytes:
    """The pieces make(0), make(1), ... make(count - 1) behind one another. They are of one size and differ in fields of 4 bytes at these
    offsets alone, each of which goes on as from the first to the second."""
    if count < 3:
        return b"".join(map(make, range(count)))
    first, second = make(0), make(1)
    result = bytearray(first) * count
    for at in fields:
        start, following = (int.from_bytes(code[at : at + 4], "little") for code in (first, second))
        step = (following - start + (1 << 31)) % (1 << 32) - (1 << 31)
        if step:
            values = _bytes(array("q", range(start, start + step * count, step)))
            for byte in range(4):
                result[at + byte :: len(first)] = values[byte::8]
    return bytes(result)


def _bytes(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()

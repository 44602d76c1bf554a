"""Relocations and symbols of large links in columns: numpy arrays with a row for each, instead of objects.

A link with more than `MANY` relocations and symbols takes this way: importing numpy takes 0.1 s, as long as the other way
takes for that many. Relocations are taken in batches of whole sections (`batches`), about `ROWS` at a time, so that memory
does not grow with the link. What is found odd in a row is left to the functions for single relocations, in the order of the
file: both ways make the same output and the same errors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

from uselib.linker.quick_dataclass import NamedTuple
from uselib.linker.quick_typing import TYPE_CHECKING, Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start threads for linear algebra
import numpy as np

from uselib.linker.formats.elf import RESERVED, SHN_ABS, ElfClass, ElfSymbol, SymbolTable
from uselib.linker.passes.model import InputSection, ObjectFile, Symbol

if TYPE_CHECKING:
    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

ROWS = 1 << 16  # relocations in a batch
UNKNOWN = -(1 << 63)  # in place of a value that only the functions for single relocations can give
LARGE = 1 << 62  # addends and values beyond it are left to them too: sums stay within 64 bits

_RELOCATIONS = {  # (bytes of a word, whether there are addends) -> the file's records
    (8, True): np.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<i8")]),
    (8, False): np.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4")]),
    (4, True): np.dtype([("offset", "<u4"), ("info", "<u4"), ("addend", "<i4")]),
    (4, False): np.dtype([("offset", "<u4"), ("info", "<u4")]),
}
SYMBOLS = {  # bytes of a word -> the file's records
    8: np.dtype(
        [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")]
    ),
    4: np.dtype(
        [("name", "<u4"), ("value", "<u4"), ("size", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2")]
    ),
}
_WIDE = np.dtype([(name, "<u8") for name in ElfSymbol._fields])


class RelocationBatch(NamedTuple):
    """The relocations of some sections, one behind the other."""

    sections: list[InputSection]
    first: Array  # of each section: the number of its first relocation in the batch; one more: of all
    offset: Array
    type: Array
    symbol: Array
    addend: Array | None  # None: they are in the fields

    def spread(self, values: Sequence[int]) -> Array:
        """A value for each section -> a value for each relocation."""
        return np.repeat(np.array(values, np.int64), np.diff(self.first))

    def chosen(self, mask: Array) -> Iterator[tuple[InputSection, list[int]]]:
        """The sections that have relocations chosen by `mask`, and the numbers of these in the section."""
        rows = np.flatnonzero(mask)
        if not len(rows):
            return
        owners = np.searchsorted(self.first, rows, "right") - 1
        numbers = rows - self.first[owners]
        for start, end in _runs(owners):
            yield self.sections[owners[start]], numbers[start:end].tolist()


def _runs(values: Array) -> Iterator[tuple[int, int]]:
    """Start and end of each run of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return pairwise(edges)


def batches(sections: Iterable[InputSection]) -> Iterator[RelocationBatch]:
    """The relocations of these sections, in this order."""
    taken: list[tuple[InputSection, bytes | memoryview]] = []
    layout: tuple[ElfClass, bool] | None = None
    size = 0
    for section in sections:
        file = section.file
        data, rela = section.packed_relocations()
        if file is None or not data:
            continue
        elf_class = file.elf.elf_class
        if layout is not None and ((elf_class, rela) != layout or size >= ROWS):
            yield _batch(taken, *layout)
            taken, size = [], 0
        layout = (elf_class, rela)
        taken.append((section, data))
        size += len(section.relocations())
    if layout is not None:
        yield _batch(taken, *layout)


def _batch(taken: list[tuple[InputSection, bytes | memoryview]], elf_class: ElfClass, rela: bool) -> RelocationBatch:
    record = _RELOCATIONS[elf_class.word, rela]
    rows = np.frombuffer(b"".join([data for _, data in taken]), record)
    first = np.cumsum([0, *(len(data) // record.itemsize for _, data in taken)])
    if elf_class.word == 8:
        kind, symbol = rows["type"].astype(np.int64), rows["symbol"].astype(np.int64)
    else:
        kind, symbol = (rows["info"] & 0xFF).astype(np.int64), (rows["info"] >> 8).astype(np.int64)
    addend = rows["addend"].astype(np.int64) if rela else None
    return RelocationBatch(
        [section for section, _ in taken], first, rows["offset"].astype(np.int64), kind, symbol, addend
    )


def is_reserved(number: Array) -> Array:
    """Which values of st_shndx are no sections."""
    found: Array = (number >= RESERVED.start) & (number < RESERVED.stop)
    return found


def symbol_columns(file: ObjectFile, first: int, last: int | None) -> Array:
    """The symbol records from number `first` to before `last`: an array with the fields of `ElfSymbol`."""
    symbols = file.symbols
    if isinstance(symbols, SymbolTable):
        return np.frombuffer(symbols.data, SYMBOLS[file.elf.elf_class.word])[first:last]
    return np.array(symbols[first:last], _WIDE)


def section_addresses(file: ObjectFile) -> Array:
    """The address of each section of a file, by its number; UNKNOWN where it was discarded or cut into pieces. Number 0: 0."""
    return np.array(
        [
            UNKNOWN if section is None or section.pieces is not None or not section.live else section.address
            for section in file.sections
        ]
        or [0],
        np.int64,
    )


def local_values(file: ObjectFile) -> Array:
    """Final values of the file's local symbols, or UNKNOWN."""
    columns = symbol_columns(file, 0, file.first_global)
    addresses = section_addresses(file)
    addresses[0] = 0
    number = columns["section"].astype(np.int64)
    value = columns["value"].astype(np.int64)
    inside = ~is_reserved(number)
    base = np.where(inside, addresses[np.where(inside, number, 0)], np.where(number == SHN_ABS, 0, UNKNOWN))
    return np.where((base == UNKNOWN) | (value < 0) | (value >= LARGE), UNKNOWN, base + value)


def global_values(file: ObjectFile, value: Callable[[Symbol], int]) -> Array:
    """The values that a policy gives the file's global symbols, or UNKNOWN for those that are too large."""
    try:
        values = np.fromiter(map(value, file.globals), np.int64, len(file.globals))
    except OverflowError:
        numbers = [value(symbol) for symbol in file.globals]
        values = np.array([number if number < LARGE else UNKNOWN for number in numbers], np.int64)
    values[(values >= LARGE) | (values < 0)] = UNKNOWN
    return values

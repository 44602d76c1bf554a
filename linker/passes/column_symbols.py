"""The symbol table of the output of a large link, in columns (numpy arrays) from the inputs' tables to the output's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from uselib.linker.formats.elf import (
    RESERVED,
    SHN_ABS,
    SHN_XINDEX,
    STB_GLOBAL,
    STB_LOCAL,
    STT_FILE,
    STT_GNU_IFUNC,
    STT_SECTION,
    STV_HIDDEN,
    STV_INTERNAL,
    ElfClass,
)
from uselib.linker.passes.columns import SYMBOLS, is_reserved, symbol_columns
from uselib.linker.passes.layout import Layout
from uselib.linker.passes.model import ObjectFile, Symbol
from uselib.linker.passes.output_symbols import (
    OutputSymbol,
    PackedSymbols,
    SymbolList,
    SymbolRows,
    global_row,
    ordinary_symbols,
)
from uselib.linker.passes.resolution import Resolution
from uselib.linker.quick_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uselib.linker.passes.columns import Array

MASK = (1 << 64) - 1
_FIELDS = np.dtype([("info", "u1"), ("other", "u1"), ("section", "<u4"), ("value", "<u8"), ("size", "<u8")])


class SymbolColumns:
    """The symbols of the output, local ones first: names, and an array of the other fields."""

    def __init__(self, names: list[str], fields: Array) -> None:
        self.names = names
        self.fields = fields

    def __iter__(self) -> Iterator[OutputSymbol]:
        for name, (info, other, section, value, size) in zip(self.names, self.fields.tolist(), strict=True):
            yield OutputSymbol(name, info, other, section, value, size)

    def packed(self, records: ElfClass) -> PackedSymbols:
        fields = self.fields
        locals_ = int(np.count_nonzero(fields["info"] >> 4 == STB_LOCAL))
        strings = _Strings(self.names[:locals_], self.names[locals_:])
        table = np.zeros(len(fields) + 1, SYMBOLS[records.word])
        table["name"][1:] = strings.offsets
        wide = fields["section"] > SHN_XINDEX  # more sections than st_shndx has numbers for
        for name in fields.dtype.names or ():
            values = fields[name] if name != "section" else np.where(wide, SHN_XINDEX, fields[name])
            table[name][1:] = values.astype(table.dtype[name])
        infos = frozenset(np.unique(fields["info"]).tolist())
        indices = b""
        if wide.any():
            true = np.where(wide, fields["section"] - len(RESERVED), 0).astype("<u4")
            indices = bytes(4) + true.tobytes()
        return PackedSymbols(table.tobytes(), strings.data, 1 + locals_, infos, indices)


class _Strings:
    """A string table with each name once, in the order of their first appearance; offsets: of each name.

    names: of local symbols, any number of times; further: of global ones, each once."""

    def __init__(self, names: list[str], further: list[str]) -> None:
        known = dict.fromkeys(names)
        apart = known.keys().isdisjoint(further) and "" not in known
        unique = [*known, *further] if apart else [name for name in dict.fromkeys([*names, *further]) if name]
        encoded = "\0".join(unique).encode("utf-8", "surrogateescape")
        characters = unique if encoded.isascii() else [name.encode("utf-8", "surrogateescape") for name in unique]
        lengths = np.fromiter(map(len, characters), np.int64, len(unique))
        starts = np.cumsum(lengths + 1) - lengths
        self.data = b"\0" + encoded + b"\0" if unique else b"\0"
        if apart and len(known) == len(names):
            self.offsets = starts
        elif apart:
            self.offsets = np.concatenate([_offsets(names, unique[: len(known)], starts), starts[len(known) :]])
        else:
            self.offsets = _offsets([*names, *further], unique, starts)


def _offsets(names: list[str], unique: list[str], starts: Array) -> Array:
    """Where the names lie, if each of the unique ones starts at its place in `starts`."""
    start_of = dict(zip(unique, starts.tolist(), strict=False))
    start_of[""] = 0
    return np.fromiter(map(start_of.__getitem__, names), np.int64, len(names))


def output_symbols(
    layout: Layout, resolution: Resolution, keep_locals: bool, own: SymbolRows | None
) -> SymbolColumns | SymbolList:
    """What `ordinary_symbols` gives, of large links; one by one if the kind of output has rows of its own."""
    if own is not None:
        return ordinary_symbols(layout, resolution, keep_locals, own)
    names: list[str] = []
    parts: list[Array] = [np.zeros(0, _FIELDS)]
    for file in resolution.files:
        if file.stub is None and keep_locals:
            found, fields = _locals(file)
            names += found
            parts.append(fields)
    found, fields = _globals(list(resolution.symbols.values()), layout)
    names += found
    parts.append(fields)
    everything = np.concatenate(parts)
    order = np.argsort(everything["info"] >> 4 != STB_LOCAL, kind="stable")
    if (np.diff(order) != 1).any():
        names = [names[index] for index in order.tolist()]
        everything = everything[order]
    return SymbolColumns(names, everything)


def _locals(file: ObjectFile) -> tuple[list[str], Array]:
    """The file's local symbols, without section symbols and the compiler's .L labels."""
    columns = symbol_columns(file, 1, file.first_global)
    kind, number = columns["info"] & 15, columns["section"].astype(np.int64)
    outputs, addresses = _sections(file)
    is_file = kind == STT_FILE
    defined = ~is_reserved(number)
    output = np.where(defined, outputs[np.where(defined, number, 0)], np.where(number == SHN_ABS, SHN_ABS, 0))
    output[is_file] = SHN_ABS
    rows = np.flatnonzero((kind != STT_SECTION) & (columns["name"] != 0) & (output != 0))
    names = file.strings.many(columns["name"][rows].tolist())
    labels = np.fromiter((name.startswith(".L") for name in names), bool, len(names))
    if labels.any():
        rows = rows[~labels]
        names = [name for name, label in zip(names, labels.tolist(), strict=True) if not label]
    number, is_file = number[rows], is_file[rows]
    fields = np.zeros(len(rows), _FIELDS)
    for name in ("info", "other", "size"):
        fields[name] = columns[name][rows]
    fields["section"] = output[rows]
    base = np.where(defined[rows], addresses[np.where(defined[rows], number, 0)], 0)
    fields["value"] = columns["value"][rows].astype(np.uint64) + base.astype(np.uint64)
    for name in ("value", "size"):
        fields[name][is_file] = 0
    for index, section in enumerate(
        file.sections
    ):  # merged strings and the like: each symbol has an address of its own
        if section is not None and section.pieces is not None:
            for row in np.flatnonzero((number == index) & ~is_file).tolist():
                fields["value"][row] = section.pieces.address(int(columns["value"][rows[row]]))
    return names, fields


def _sections(file: ObjectFile) -> tuple[Array, Array]:
    """For each section number of a file: the index of the output section, 0 for none; the address."""
    outputs, addresses = [0], [0]
    for section in file.sections[1:]:
        there = section is not None and section.live and section.output is not None
        outputs.append(section.output.index if there and section is not None and section.output is not None else 0)
        addresses.append(section.address if there and section is not None else 0)
    return np.array(outputs, np.int64), np.array(addresses, np.int64)


def _globals(symbols: Sequence[Symbol], layout: Layout) -> tuple[list[str], Array]:
    chosen: list[Symbol] = []
    others: dict[int, OutputSymbol] = {}  # by their numbers among `chosen`
    for symbol in symbols:
        section = symbol.section
        if section is not None and section.output is not None and section.live:
            chosen.append(symbol)
        elif section is None and (row := global_row(symbol, layout)) is not None:
            others[len(chosen)] = row
            chosen.append(symbol)
    fields = np.zeros(len(chosen), _FIELDS)
    other = [symbol.visibility for symbol in chosen]
    binding = np.array([symbol.binding or STB_GLOBAL for symbol in chosen], np.uint8)
    binding[np.isin(other, (STV_HIDDEN, STV_INTERNAL))] = STB_LOCAL
    fields["info"] = binding << 4 | np.array([symbol.type for symbol in chosen], np.uint8)
    fields["other"] = other
    fields["section"] = [s.section.output.index if s.section and s.section.output else 0 for s in chosen]
    # of a function resolved at start-up, the address of references is another
    fields["value"] = [(s.address if s.type != STT_GNU_IFUNC else s.location) & MASK for s in chosen]
    fields["size"] = [symbol.size for symbol in chosen]
    for index, row in others.items():
        fields[index] = (row.info, row.other, row.section, row.value & MASK, row.size)
    return [symbol.name for symbol in chosen], fields

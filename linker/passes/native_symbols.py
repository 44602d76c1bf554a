"""The symbol table of the output, packed in C: linker/native/symbol_table.c."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from uselib.linker import _native
from uselib.linker.formats.elf import SHN_LORESERVE, ElfClass, SymbolTable
from uselib.linker.passes.layout import Layout
from uselib.linker.passes.model import ObjectFile
from uselib.linker.passes.native_take import LAYOUT
from uselib.linker.passes.output_symbols import (
    OutputSymbol,
    PackedSymbols,
    SymbolRows,
    global_row,
    local_rows,
    ordinary_symbols,
)
from uselib.linker.passes.resolution import Resolution


class NativeSymbols:
    """The symbols of the output. They are packed in C; whoever wants them one by one gets them as `ordinary_symbols` has them."""

    def __init__(self, layout: Layout, resolution: Resolution, keep_locals: bool, own: SymbolRows | None) -> None:
        self._layout, self._resolution, self._keep_locals, self._own = layout, resolution, keep_locals, own

    def __iter__(self) -> Iterator[OutputSymbol]:
        return iter(ordinary_symbols(self._layout, self._resolution, self._keep_locals, self._own))

    def packed(self, records: ElfClass) -> PackedSymbols:
        ordinary = partial(ordinary_symbols, self._layout, self._resolution, self._keep_locals, self._own)
        if len(self._layout.sections) >= SHN_LORESERVE:  # their numbers do not fit into a record
            return ordinary().packed(records)
        files = [_locals(file) for file in self._resolution.files if file.stub is None] if self._keep_locals else []
        try:
            table, strings, first_global, infos = _native.symbol_table(
                LAYOUT,
                records.word,
                files,
                list(self._resolution.symbols.values()),
                self._own,
                partial(global_row, layout=self._layout),
            )
        except IndexError:  # a name lies outside the strings of a file: Python says which
            return ordinary().packed(records)
        return PackedSymbols(table, strings, first_global, frozenset(infos))


def _locals(file: ObjectFile) -> _native.LocalSymbols:
    if isinstance(file.symbols, SymbolTable):
        return file.symbols.data, file.first_global, file.strings.data, file.sections
    return [row for _, row in local_rows(file) if not row.name.startswith(".L")]

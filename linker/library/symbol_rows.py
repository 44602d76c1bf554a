"""The symbol table of a target library: the rows of each symbol of the link.

    f           global  its slot: size of a slot
    f$impl      local   the function itself, with its real size
    f$thunk     local   only of interposable functions, as is
    f$pointer   local
    v           global  a datum, at its own address
    f$empty, f$retired, v$retired, v$moved      local: slots and places without contents (formats/library_names.py)

All other symbols are local; --strip-all leaves them out.
"""

from __future__ import annotations

from collections.abc import Mapping

from uselib.linker.formats import elf
from uselib.linker.formats.library_names import IMPLEMENTATION_SUFFIX, POINTER_SUFFIX, THUNK_SUFFIX
from uselib.linker.image import Export, ExportKind
from uselib.linker.library import jump_table
from uselib.linker.library.interpose import THUNK_SIZE
from uselib.linker.library.layout import JUMP_TABLE, THUNKS
from uselib.linker.passes.model import UNDEFINED, InputSection, Symbol
from uselib.linker.passes.output_symbols import OutputSymbol
from uselib.linker.quick_dataclass import dataclass


@dataclass(frozen=True)
class TargetSymbolRows:
    """Makes the rows, once all addresses are final.

    exports: by name. old_names: of each export, those that are offered as well. thunks: of interposable functions, by name.
    unfilled: local symbols of slots without a function -> slot number. reserved: local symbols of places without a datum ->
    (offset, bytes) in `exported`, the first input section of .exported. made: linker-made sections by name. table: address of slot 1.
    """

    exports: Mapping[str, Export]
    old_names: Mapping[str, tuple[str, ...]]
    thunks: Mapping[str, int]
    unfilled: Mapping[Symbol, int]
    reserved: Mapping[Symbol, tuple[int, int]]
    exported: InputSection | None
    made: Mapping[str, InputSection]
    table: int
    word: int  # bytes of a pointer
    strip_all: bool

    def rows(self, symbol: Symbol) -> list[OutputSymbol]:
        """The rows of one symbol; none if it is left out of the table."""
        if symbol.rank == UNDEFINED:
            return []
        if symbol in self.unfilled:
            at = self.table + (self.unfilled[symbol] - 1) * jump_table.SLOT_SIZE
            table = _output_index(self.made[JUMP_TABLE])
            return [OutputSymbol(symbol.name, elf.STT_FUNC, 0, table, at, jump_table.SLOT_SIZE)]
        if symbol in self.reserved:
            return [self._reserved_row(symbol.name, *self.reserved[symbol])]
        section = symbol.section
        if section is not None and (section.output is None or not section.live):
            return []
        index = section.output.index if section is not None and section.output is not None else elf.SHN_ABS
        export = self.exports.get(symbol.name)
        return self._private_rows(symbol, index) if export is None else self._export_rows(symbol, export, index)

    def _private_rows(self, symbol: Symbol, index: int) -> list[OutputSymbol]:
        of_unused_stub = symbol.file is not None and symbol.file.stub is not None and not symbol.referenced
        if self.strip_all or of_unused_stub:
            return []
        return [OutputSymbol(symbol.name, symbol.type, 0, index, symbol.address, symbol.size)]  # STB_LOCAL

    def _export_rows(self, symbol: Symbol, export: Export, index: int) -> list[OutputSymbol]:
        binding = (elf.STB_WEAK if symbol.binding == elf.STB_WEAK else elf.STB_GLOBAL) << 4
        others = self.old_names.get(export.name, ())
        if export.kind is ExportKind.DATA:
            info = binding | (symbol.type or elf.STT_OBJECT)
            return [OutputSymbol(name, info, 0, index, export.address, export.size) for name in (export.name, *others)]
        rows = self._function_rows(export, binding, index)
        for name in others:  # slot and implementation are those of the new name
            rows += [rows[0]._replace(name=name), rows[1]._replace(name=name + IMPLEMENTATION_SUFFIX)]
        return rows

    def _function_rows(self, export: Export, binding: int, index: int) -> list[OutputSymbol]:
        name, code = export.name, elf.STT_FUNC
        table = _output_index(self.made[JUMP_TABLE])
        rows: list[OutputSymbol] = [
            OutputSymbol(name, binding | code, 0, table, export.address, jump_table.SLOT_SIZE),
            OutputSymbol(name + IMPLEMENTATION_SUFFIX, code, 0, index, export.implementation, export.size),
        ]
        if name in self.thunks:
            thunks, cell = _output_index(self.made[THUNKS]), self.made[name + POINTER_SUFFIX]
            rows.append(OutputSymbol(name + THUNK_SUFFIX, code, 0, thunks, self.thunks[name], THUNK_SIZE))
            rows.append(OutputSymbol(cell.name, elf.STT_OBJECT, 0, _output_index(cell), cell.address, self.word))
        return rows

    def _reserved_row(self, name: str, offset: int, size: int) -> OutputSymbol:
        output = self.exported.output if self.exported is not None else None
        assert output is not None
        return OutputSymbol(name, elf.STT_OBJECT, 0, output.index, output.address + offset, size)


def _output_index(section: InputSection) -> int:
    return section.output.index if section.output is not None else 0

"""Which definition each global name has.

Definitions: strong > common > weak > none (System V ABI, chapter 4, "Symbol Table"). The program's own definition
replaces one in a stub library; the pair is recorded as a conflict, since the library still uses its own copy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from uselib.linker.errors import Diagnostic
from uselib.linker.formats import elf
from uselib.linker.formats.elf import RESERVED, SHN_ABS, SHN_COMMON, STB_WEAK, STT_TLS, SymbolTable
from uselib.linker.options import Options
from uselib.linker.passes import commons, native
from uselib.linker.passes.model import (
    COMMON,
    STRONG,
    UNDEFINED,
    WEAK,
    DynamicBinding,
    InputSection,
    InputStub,
    ObjectFile,
    Symbol,
)
from uselib.linker.passes.shared_inputs import SharedInputs, versioned_definition


class Definitions:
    """The symbols of the files that were taken so far. shared: the shared objects that were; dynamic: whether there may be any."""

    def __init__(self, options: Options, shared: SharedInputs, dynamic: bool) -> None:
        self._options, self._shared, self._dynamic = options, shared, dynamic
        self.symbols: dict[str, Symbol] = {}  # in order of first appearance
        self.undefined: dict[str, None] = {}  # strongly referenced and not defined
        self.commons: dict[str, None] = {}  # defined by common symbols only
        self.conflicts: dict[str, tuple[str, ObjectFile | None, InputStub]] = {}
        self.problems: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        self.groups: dict[str, ObjectFile] = {}  # COMDAT signatures, and the file whose copy stays
        self._required: set[str] = set()  # by the command line
        self._wrap = {name: f"__wrap_{name}" for name in options.wrap}
        self._wrap |= {f"__real_{name}": name for name in options.wrap}

    def symbol(self, name: str) -> Symbol:
        """The symbol of that name, made undefined if new."""
        found = self.symbols.get(name)
        if found is None:
            found = self.symbols[name] = Symbol(name)
        return found

    def require(self, name: str) -> None:
        """-u NAME: an undefined reference from the command line."""
        symbol = self.symbol(name)
        self._required.add(name)
        symbol.referenced = symbol.strong_reference = True
        if symbol.rank == UNDEFINED:
            self.undefined[name] = None

    def assign(self, name: str, expression: str) -> None:
        """--defsym NAME=EXPRESSION: a definition whose value comes later."""
        define(self.symbol(name), None, 0)
        self.undefined.pop(name, None)
        if re.match(r"[A-Za-z_.$]", expression):
            self.require(re.split(r"[-+]", expression, maxsplit=1)[0].strip())

    def add(self, file: ObjectFile) -> None:
        """Takes the definitions and references of a file; of COMDAT groups, the first with a signature stays."""
        for signature, members in file.groups:
            self._discard(file, signature, members)
        for section in file.sections:
            if section is not None and section.name.startswith(".gnu.linkonce."):
                self._discard(file, section.name, [section.index])
        self._add_symbols(file)

    def forget(self, gone: Sequence[ObjectFile], files: Iterable[ObjectFile]) -> None:
        """Takes back the definitions and references of some files; `files` are those that stay."""
        numbers, touched = set(map(id, gone)), {id(symbol) for file in gone for symbol in file.globals}
        for symbol in [symbol for symbol in self.symbols.values() if id(symbol) in touched]:
            if id(symbol.file) in numbers:
                symbol.rank, symbol.file, symbol.section = UNDEFINED, None, None
                symbol.value = symbol.size = symbol.alignment = symbol.type = symbol.binding = 0
                self.commons.pop(symbol.name, None)
            self.undefined.pop(symbol.name, None)
            symbol.referenced = symbol.strong_reference = symbol.name in self._required
            if symbol.rank == UNDEFINED and symbol.name in self._required:
                self.undefined[symbol.name] = None
        for file in files:
            rows = zip(file.symbol_rows(file.first_global), file.globals, strict=True)
            for (_, info, _, section, _, _), symbol in rows:
                if id(symbol) in touched and (not section or section in file.discarded):
                    self._refer(symbol, info, file.stub is None)
        self.groups = {signature: file for signature, file in self.groups.items() if id(file) not in numbers}

    def _discard(self, file: ObjectFile, signature: str, members: list[int]) -> None:
        if self.groups.setdefault(signature, file) is not file:
            file.discarded.update(members)
            for member in members:
                file.sections[member] = None

    def _add_symbols(self, file: ObjectFile) -> None:
        if native.AVAILABLE and self._add_natively(file):
            return
        rows = list(file.symbol_rows(file.first_global))
        names = self._versioned(file.strings.many([row[0] for row in rows]), rows)
        for name, row in zip(names, rows, strict=True):
            self._add_symbol(file, name, row)

    def _add_natively(self, file: ObjectFile) -> bool:
        """Adds the symbols in C, but for those that need more than a dictionary. False: they are none that it can do."""
        table, strings = file.symbols, file.strings
        if not isinstance(table, SymbolTable) or self._wrap or b"@" in strings.data:
            return False
        from uselib.linker.passes.native_take import take

        def left(number: int) -> None:
            row = table[number]
            self._add_symbol(file, strings[row.name], row)

        return take(file, table.data, self.symbols, self.undefined, self._shared.offered, left)

    def _add_symbol(self, file: ObjectFile, name: str, row: Sequence[int]) -> None:
        symbols, take = self.symbols, file.globals.append
        wrap, discarded, sections = self._wrap, file.discarded, file.sections
        _, info, other, section, value, size = row
        symbol = symbols.get(name)
        if symbol is None and section and section not in RESERVED and (place := sections[section]) is not None:
            rank = WEAK if info >> 4 == STB_WEAK else STRONG
            symbol = Symbol(name, file, place, rank, value, size, info & 15, info >> 4, other & 3)
            symbols[name] = symbol
            take(symbol)
            return
        if symbol is None or (wrap and not section):
            plain = section or not (wrap or "@" in name)
            symbol = symbols.setdefault(name, Symbol(name)) if plain else self._referred(name)
        take(symbol)
        if visibility := other & 3:
            symbol.visibility = min(symbol.visibility or visibility, visibility)
        if section and section not in discarded:
            self._define(symbol, file, info, section, value, size)
            return
        self._refer(symbol, info, file.stub is None)

    def _refer(self, symbol: Symbol, info: int, ours: bool) -> None:
        """Takes a reference. ours: of an object that is not part of a stub library."""
        if ours:
            symbol.referenced = True
        if info >> 4 != STB_WEAK:
            symbol.strong_reference = True
            if not symbol.rank and (symbol.name not in self._shared.offered or symbol.hidden):
                self.undefined[symbol.name] = None
        if info & 15 == STT_TLS and not symbol.rank:
            symbol.type = STT_TLS

    def _versioned(self, names: list[str], rows: Sequence[Sequence[int]]) -> list[str]:
        """The names of the symbols that definitions `name@version` or `name@@version` are for; other names as they are."""
        if self._options.shape == "relocatable":
            return names
        for number, name in enumerate(names):
            if "@" in name and rows[number][3]:
                base, version, default = versioned_definition(name)
                symbol = self.symbol(base)
                symbol.dynamic = symbol.dynamic or DynamicBinding()
                symbol.dynamic.version, symbol.dynamic.default_version = version, default
                symbol.dynamic.explicit = True
                names[number] = base
        return names

    def _referred(self, name: str) -> Symbol:
        """The symbol that an undefined one of that name stands for: --wrap, and versions (static objects have one)."""
        name = self._wrap.get(name, name)
        if self._options.shape == "relocatable":  # versions stay in the names
            return self.symbol(name)
        base = name.partition("@")[0]
        if base != name and self._dynamic:
            self._shared.refer(name)
            if base not in self.symbols and base not in self._shared.offered:
                self.undefined[base] = None
            return self.symbol(name)
        return self.symbols.get(name) or self.symbol(base)

    def _define(self, symbol: Symbol, file: ObjectFile, info: int, number: int, value: int, size: int) -> None:
        """Takes a definition, unless there is one that stays. The numbers are st_info, st_shndx, st_value and st_size."""
        rank = COMMON if number == SHN_COMMON else WEAK if info >> 4 == STB_WEAK else STRONG
        if symbol.rank:
            if rank == COMMON and symbol.rank == COMMON:
                if self._options.warn_common:
                    self.warnings.append(commons.repeated(symbol, file, size))
                symbol.alignment = max(symbol.alignment, value)
                symbol.size = max(symbol.size, size)
                return
            if not self._replaces(symbol, rank, file):
                return
        else:
            self.undefined.pop(symbol.name, None)
        if rank == COMMON:
            self.commons[symbol.name] = None
        elif symbol.rank == COMMON:
            self.commons.pop(symbol.name, None)
        symbol.rank, symbol.file, symbol.size = rank, file, size
        symbol.type, symbol.binding = info & 15, info >> 4
        if number not in RESERVED:
            symbol.section, symbol.value = file.sections[number], value
            if symbol.section is None:
                self._no_section(file, symbol.name, number)
        elif number == SHN_COMMON:
            symbol.section, symbol.value, symbol.alignment = None, 0, value or 1
        elif number == SHN_ABS:
            symbol.section, symbol.value = None, value
        else:
            raise elf.bad(file.where, f"symbol {symbol.name} has the reserved section index {number:#x}")

    def _no_section(self, file: ObjectFile, name: str, shndx: int) -> None:
        self.problems.append(Diagnostic(file.where, f"defined in section {shndx}, which holds no data", symbol=name))

    def _replaces(self, symbol: Symbol, rank: int, file: ObjectFile) -> bool:
        """Whether a further definition, of strength `rank` in `file`, takes the place of the one that is there."""
        first = symbol.file
        old_stub = first.stub if first is not None else None
        if file.stub is not None and old_stub is None:  # the program has its own
            self.conflicts.setdefault(symbol.name, (symbol.name, first, file.stub))
            return False
        if file.stub is None and old_stub is not None:
            self.conflicts.setdefault(symbol.name, (symbol.name, file, old_stub))
            return True
        if rank == STRONG and symbol.rank == STRONG:
            if not self._options.allow_multiple_definition:
                self._duplicate(symbol, file)
            return False
        if self._options.warn_common and COMMON in (rank, symbol.rank) and STRONG in (rank, symbol.rank):
            self.warnings.append(commons.overridden(symbol.name, *((file, first) if rank == COMMON else (first, file))))
        return rank > symbol.rank

    def conflicts_with(self, stubs: Iterable[InputStub]) -> list[tuple[str, ObjectFile | None, InputStub]]:
        """Names that both the program and a stub library define, whether or not the library's member was taken."""
        for stub in stubs:
            for name in sorted(stub.names):
                symbol = self.symbols.get(name)
                if symbol is not None and symbol.rank and (symbol.file is None or symbol.file.stub is None):
                    self.conflicts.setdefault(name, (name, symbol.file, stub))
        return list(self.conflicts.values())

    def _duplicate(self, symbol: Symbol, second: ObjectFile) -> None:
        first = symbol.file
        self.problems.append(
            Diagnostic(
                second.where,
                f"defined twice; first in {first.where if first else 'the command line'}",
                symbol=symbol.name,
                remedy="make one static or rename it, or link with -z muldefs",
            )
        )


def define(symbol: Symbol, section: InputSection | None, value: int, size: int = 0) -> None:
    """Makes a definition that comes from the linker itself. `section` None: absolute."""
    symbol.rank = STRONG
    symbol.file = None
    symbol.section = section
    symbol.value = value
    symbol.size = size
    symbol.binding = elf.STB_GLOBAL
    symbol.provided = True

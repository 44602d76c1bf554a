"""The exports of a target library, and the addresses that references to its functions get.

The rule: every global or weak definition of the library's own members with default or protected visibility, less
`#hide`, plus `#export` and `#branch`. Functions get slots; data keep their own addresses. Members of private archives (compiler
helpers) and the linker's own symbols are never exported.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cached_property

from uselib.linker.errors import Diagnostics
from uselib.linker.formats import elf
from uselib.linker.formats.library_names import EMPTY_SUFFIX, RETIRED_SUFFIX
from uselib.linker.library import jump_table
from uselib.linker.library.releases.history import SlotRecord, SlotState
from uselib.linker.library.specification import Specification, hidden
from uselib.linker.passes.model import UNDEFINED, Symbol
from uselib.linker.quick_dataclass import dataclass, field

_VISIBLE = frozenset((elf.STV_DEFAULT, elf.STV_PROTECTED))


@dataclass(frozen=True)
class Exports:
    """The exported symbols. functions, data: in any order. records: every slot (releases/slots.py)."""

    functions: dict[str, Symbol] = field(default_factory=dict)
    data: dict[str, Symbol] = field(default_factory=dict)
    records: tuple[SlotRecord, ...] = ()

    @property
    def slot_count(self) -> int:
        return len(self.records)

    @cached_property
    def number_of(self) -> dict[str, int]:
        """A function's slot: the highest, if it has several."""
        return {r.name: r.number for r in self.records if r.state is SlotState.FUNCTION}

    def unfilled(self) -> Iterator[tuple[int, str]]:
        """(number, name of its local symbol) of each empty or retired slot."""
        for r in self.records:
            if r.state is not SlotState.FUNCTION:
                suffix = EMPTY_SUFFIX if r.state is SlotState.EMPTY else RETIRED_SUFFIX
                yield r.number, (r.name or f"slot{r.number}") + suffix


def is_function(symbol: Symbol) -> bool:
    """Whether it is a function: by its type, or, where assembler source gave no type, by its section."""
    if symbol.type == elf.STT_FUNC:
        return True
    return (
        symbol.type == elf.STT_NOTYPE and symbol.section is not None and bool(symbol.section.flags & elf.SHF_EXECINSTR)
    )


def place_of(symbol: Symbol) -> str:
    """The place where a symbol is defined, for messages."""
    return symbol.file.where if symbol.file is not None else "mkshlib"


def choose(
    symbols: Iterable[Symbol], own: frozenset[int], spec: Specification
) -> tuple[dict[str, Symbol], dict[str, Symbol]]:
    """The exported (functions, data). `own`: ids of the files whose definitions count.

    Raises LinkError if #branch or #export names a symbol that no object defines.
    """
    functions: dict[str, Symbol] = {}
    data: dict[str, Symbol] = {}
    hide, export = spec.hide, spec.export
    for symbol in symbols:
        if (
            symbol.rank == UNDEFINED
            or symbol.provided
            or symbol.visibility not in _VISIBLE
            or id(symbol.file) not in own
        ):
            continue
        if hide and symbol.name not in spec.branch and hidden(symbol.name, hide, export):
            continue
        (functions if is_function(symbol) else data)[symbol.name] = symbol
    problems = Diagnostics()
    for name in spec.branch:
        if name not in functions:
            where = spec.branch_where.get(name, spec.where)
            what = "is data, and data has no slot" if name in data else "no object defines a function of this name"
            problems.add(where, what, symbol=name, remedy="" if name in data else "reserve its slot with .empty_slot")
    for name in export:
        if not any(c in name for c in "*?[") and name not in functions and name not in data:
            problems.add(spec.where or "mkshlib", "cannot be exported: no object defines it", symbol=name)
    problems.raise_if_any()
    return functions, data


class LibrarySymbols:
    """The SymbolPolicy of target libraries (relocations.py).

    A branch to an exported function goes straight to it, to its thunk if it is interposable; every other reference gets
    the slot, so that pointers to a function compare equal within the library, in programs and in other libraries. A
    hidden function with the same address as an exported one (an alias) is the same function, and gets that one's slot.
    References through local symbols keep the real address: the compiler makes those for static functions only.
    """

    distinguishes_branches = True

    def __init__(self, exports: Exports, table: int, thunks: dict[str, int], aliases: Iterable[Symbol] = ()) -> None:
        self._slots = {
            exports.functions[name]: table + (number - 1) * jump_table.SLOT_SIZE
            for name, number in exports.number_of.items()
        }
        self._thunks = {exports.functions[name]: address for name, address in thunks.items()}
        at: dict[tuple[int, int], Symbol] = {}
        for name in jump_table.default_order(exports.functions):
            symbol = exports.functions[name]
            at.setdefault((id(symbol.section), symbol.value), symbol)
        for alias in aliases:
            exported = at.get((id(alias.section), alias.value))
            if exported is not None and alias not in self._slots:
                self._slots[alias] = self._slots[exported]

    def reference(self, symbol: Symbol) -> int:
        return self._slots.get(symbol, symbol.address)

    def branch(self, symbol: Symbol) -> int:
        return self._thunks.get(symbol, symbol.address)


def member_name(where: str) -> str:
    """`alloc.o` of `libfoo.a(alloc.o)` or `dir/alloc.o`."""
    if where.endswith(")") and "(" in where:
        _, archive, member = where[:-1].partition(".a(")
        return member if archive else where[where.rindex("(") + 1 : -1]
    return os.path.basename(where)

"""An object that stands for a file of link-time optimisation while names are resolved: its symbols, without contents."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from uselib.linker.formats import elf
from uselib.linker.formats.elf_object import COMMON, UNDEFINED, ObjectSection, ObjectSymbol, write_object
from uselib.linker.image import Machine
from uselib.linker.lto.plugin import PluginSymbol
from uselib.linker.passes.inputs import read_object
from uselib.linker.passes.model import ObjectFile

_SECTION = ".gnu.lto.symbols"
_DEFINED, _WEAK, _UNDEFINED, _WEAK_UNDEFINED, _COMMON = range(5)  # ld_plugin_symbol_kind
_TYPES = (elf.STT_NOTYPE, elf.STT_FUNC, elf.STT_OBJECT)  # ld_plugin_symbol_type
_VISIBILITY = (elf.STV_DEFAULT, elf.STV_PROTECTED, elf.STV_INTERNAL, elf.STV_HIDDEN)  # ld_plugin_symbol_visibility


def defines(symbol: PluginSymbol) -> bool:
    return symbol.definition not in (_UNDEFINED, _WEAK_UNDEFINED)


def placeholder(where: str, machine: Machine, symbols: Sequence[PluginSymbol], discarded: Container[str]) -> ObjectFile:
    """The object; its global symbols are `symbols`, in their order. discarded: COMDAT keys of which another file's copy stands for all."""
    section = ObjectSection(_SECTION, b"\0")
    data = write_object(machine, [section], list(_symbols(symbols, discarded)))
    return read_object(memoryview(data), where)


def _symbols(symbols: Sequence[PluginSymbol], discarded: Container[str]) -> Iterator[ObjectSymbol]:
    for symbol in symbols:
        weak = symbol.definition in (_WEAK, _WEAK_UNDEFINED)
        place = _SECTION if defines(symbol) else UNDEFINED
        if symbol.definition == _COMMON:
            place = COMMON
        if symbol.comdat and symbol.comdat in discarded:
            place = UNDEFINED
        name = f"{symbol.name}@{symbol.version}" if symbol.version else symbol.name
        yield ObjectSymbol(
            name,
            int(place == COMMON),  # the alignment of a common symbol, which the compiler knows
            symbol.size,
            _TYPES[symbol.type] if symbol.type < len(_TYPES) and place != UNDEFINED else elf.STT_NOTYPE,
            elf.STB_WEAK if weak else elf.STB_GLOBAL,
            place,
            _VISIBILITY[symbol.visibility & 3],
        )

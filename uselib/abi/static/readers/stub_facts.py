"""Facts of stub libraries, archives or directories: names, slots, addresses and sizes. A stub library has no code, no contents and no types."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from uselib.abi.static.model.facts import DataFact, Facts, FileKind, FunctionFact
from uselib.abi.static.readers.releases import check_slots, former_names
from uselib.linker.errors import Diagnostic, FormatError
from uselib.linker.formats import elf
from uselib.linker.formats.ar import Archive
from uselib.linker.formats.library_names import LIBRARY_OBJECT, POINTER_SUFFIX
from uselib.linker.image import Identity, Machine
from uselib.linker.library import stub
from uselib.linker.library.interpose import SECTION as INTERPOSE_SECTION
from uselib.linker.library.releases.history import History, PlaceState, SlotState
from uselib.linker.library.releases.previous import history_of
from uselib.linker.reading import read_file

_SLOT_SIZE = 8
_TABLES = (0x800, 0x1000)  # where a jump table begins, from the base (linker/library/layout.py)


def stub_facts(path: str) -> Facts:
    """The facts of the stub library at `path`. Raises FormatError, OSError."""
    identity = stub.read_identity(path)
    symbols = _read_symbols(path, identity.machine)
    who, history = identity.identity, symbols.history
    check_slots(who.slot_count, _SLOT_SIZE, who.size, path)
    table = history.table if history is not None else _table(who, [f.address for f in symbols.functions.values()])
    former = former_names(history)
    functions = {name: _function(f, table, symbols, former) for name, f in symbols.functions.items()}
    datas = {
        name: replace(datum, former_names=former[name]) if name in former else datum
        for name, datum in symbols.data.items()
    }
    slots = dict.fromkeys(range(1, who.slot_count + 1), "")
    for name, function in functions.items():
        if function.slot in slots and (not slots[function.slot] or function.former_names):
            slots[function.slot] = name
    if history is not None:
        _add_retired(history, functions, datas, slots)
    unknown = (
        f"{path}: a stub library has names, slots, addresses and sizes only: types, code and contents are not compared"
    )
    return Facts(
        path,
        FileKind.STUB,
        identity.machine,
        who,
        dependencies=identity.dependencies,
        functions=functions,
        data=datas,
        slots=slots,
        unknown=(unknown,),
    )


@dataclass
class _StubSymbols:
    """What the members of a stub library define. pointers: function -> the pointer that programs set to replace it."""

    functions: dict[str, FunctionFact] = field(default_factory=dict)
    data: dict[str, DataFact] = field(default_factory=dict)
    interposable: set[str] = field(default_factory=set)
    pointers: dict[str, int] = field(default_factory=dict)
    history: History | None = None


def _read_symbols(path: str, machine: Machine) -> _StubSymbols:
    """Raises FormatError, OSError."""
    found = _StubSymbols()
    for name, content in _members(path):
        if not content.startswith(elf.MAGIC):
            continue
        where = f"{path}({name})"
        file = elf.ElfFile(memoryview(content), where)
        if file.machine is not machine:
            raise elf.bad(where, f"is for {file.machine.label}, but the library for {machine.label}")
        if name == LIBRARY_OBJECT:
            found.interposable |= _interposable(file)
            found.history = history_of(file)
        for symbol, value, size, info in _absolute(file):
            if info & 15 == elf.STT_OBJECT:
                found.data[symbol] = DataFact(symbol, value, size)
            elif info & 15 in (elf.STT_FUNC, elf.STT_GNU_IFUNC):
                found.functions[symbol] = FunctionFact(symbol, value, weak=info >> 4 == elf.STB_WEAK)
    for place in found.history.places if found.history is not None else ():
        if place.state is PlaceState.POINTER and place.name.endswith(POINTER_SUFFIX):
            found.pointers[place.name.removesuffix(POINTER_SUFFIX)] = place.address
    found.interposable |= found.pointers.keys()
    return found


def _function(
    function: FunctionFact, table: int, symbols: _StubSymbols, former: Mapping[str, tuple[str, ...]]
) -> FunctionFact:
    """The function with its slot, and with what the library's history says of it. table: address of slot 1, 0 if not known."""
    name, address = function.name, function.address
    interposable = name in symbols.interposable
    return replace(
        function,
        slot=(address - table) // _SLOT_SIZE + 1 if table and address >= table else 0,
        interposable=interposable,
        weak=function.weak and not interposable,
        former_names=former.get(name, ()),
        pointer=symbols.pointers.get(name, 0),
    )


def _members(path: str) -> Iterator[tuple[str, bytes]]:
    if os.path.isdir(path):
        for entry in sorted(Path(path).iterdir()):
            if entry.is_file():
                yield entry.name, read_file(entry)
        return
    data = read_file(path)
    book = Archive(data, path)
    if book.thin:
        raise FormatError(
            Diagnostic(path, "a thin archive is not a stub library", remedy="give the archive that mkshlib made")
        )
    for member in book.members():
        yield member.name, data[member.start : member.start + member.size]


def _absolute(file: elf.ElfFile) -> Iterator[tuple[str, int, int, int]]:
    """The symbols that a stub's member defines: name, value, size, info."""
    for index, section in enumerate(file.sections):
        if section.type == elf.SHT_SYMTAB:
            names = file.strings(section.link)
            for name_at, info, _, shndx, value, size in file.symbols(index):
                if shndx == elf.SHN_ABS and name_at and info >> 4 != elf.STB_LOCAL and info & 15 != elf.STT_FILE:
                    yield names[name_at], value, size, info


def _interposable(file: elf.ElfFile) -> set[str]:
    """The functions that programs may replace: the symbols that the triples of uselib_interpose refer to."""
    found: set[str] = set()
    for index, section in enumerate(file.sections):
        if section.type not in (elf.SHT_REL, elf.SHT_RELA) or not 0 < section.info < len(file.sections):
            continue
        if file.names[file.sections[section.info].name] != INTERPOSE_SECTION or not 0 < section.link < len(
            file.sections
        ):
            continue
        symbols, names = file.symbols(section.link), file.strings(file.sections[section.link].link)
        for _, _, number, _ in file.relocations(index):
            if number >= len(symbols):
                raise elf.bad(file.where, f"a relocation names symbol {number} of {len(symbols)}")
            found.add(names[symbols[number].name])
    return found


def _table(who: Identity, addresses: Iterable[int]) -> int:
    """Where slot 1 must be, without a history to tell."""
    listed = list(addresses)
    for offset in _TABLES:
        start = who.base + offset
        if listed and all(start <= at < start + who.slot_count * _SLOT_SIZE for at in listed):
            return start
    return 0


def _add_retired(
    history: History, functions: dict[str, FunctionFact], datas: dict[str, DataFact], slots: dict[int, str]
) -> None:
    for slot in history.slots:
        if slot.state is SlotState.RETIRED:
            address = history.table + (slot.number - 1) * _SLOT_SIZE
            functions.setdefault(slot.name, FunctionFact(slot.name, address, slot.number, retired=True))
            if slot.number in slots:
                slots[slot.number] = slots[slot.number] or slot.name
    for place in history.places:
        if place.state is PlaceState.RETIRED:
            datas.setdefault(place.name, DataFact(place.name, place.address, place.reserved, retired=True))

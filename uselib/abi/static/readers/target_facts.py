"""Facts of target libraries: slots, exported data, what they record of earlier releases, and types from DWARF.

Private symbols of the library are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from uselib.abi.static.model.facts import DataFact, Facts, FileKind, FunctionFact
from uselib.abi.static.readers.digests import CodeDigest
from uselib.abi.static.readers.elf_facts import SegmentBytes, contents_of, with_types
from uselib.abi.static.readers.releases import check_slots, former_names
from uselib.linker.errors import some
from uselib.linker.formats import elf, elf_image
from uselib.linker.formats.library_names import EMPTY_SUFFIX, POINTER_SUFFIX, RETIRED_SUFFIX, THUNK_SUFFIX
from uselib.linker.image import EXEC, WRITE, ExportKind, Identity, Image, LibraryHeader, Machine
from uselib.linker.library.releases.history import History, PlaceState, SlotState
from uselib.linker.library.releases.previous import history_of


def target_facts(data: bytes, path: str) -> Facts:
    """The facts of a target library. Raises FormatError if the file is not one or is damaged."""
    image = elf_image.read_image(data, path)
    header = image.library
    if header is None:
        raise elf.bad(
            path, "is a program, not a library", "give the library as OLD and NEW, and programs with --program"
        )
    file = elf.ElfFile(memoryview(data), path)
    history = history_of(file)
    who = header.identity
    check_slots(who.slot_count, header.slot_size, who.size, path)
    memory = SegmentBytes(data, header.segments)
    functions, datas = _functions(file, image, who, memory), _data(image, who, memory)
    slots = dict.fromkeys(range(1, who.slot_count + 1), "")
    for function in functions.values():
        slots[function.slot] = min(slots.get(function.slot) or function.name, function.name)
    _add_retired(functions, datas, slots, header, _retired(header, image, history))
    _add_former_names(functions, datas, slots, history)
    facts = Facts(
        path,
        FileKind.TARGET,
        image.machine,
        who,
        dependencies=header.dependencies,
        functions=functions,
        data=datas,
        slots=slots,
        text=memory.extent(EXEC),
        data_range=memory.extent(WRITE),
        unknown=_unnamed_slots(path, image, header, slots),
    )
    code_at = {f.name: (f.implementation, f.size) for f in functions.values() if not f.retired}
    data_at = {d.name: d.address for d in datas.values() if not d.retired}
    return with_types(facts, file, memory, code_at, data_at)


def _functions(file: elf.ElfFile, image: Image, who: Identity, memory: SegmentBytes) -> dict[str, FunctionFact]:
    """The exported functions, with digests of their code."""
    address_of = {symbol.name: symbol.address for symbol in image.symbols}
    names: dict[int, str] = {}
    for symbol in image.symbols:
        names.setdefault(symbol.address, symbol.name)
    others = [(other.base, other.end) for other in image.needs]
    codes = CodeDigest(who.base, who.end, names, rip=image.machine is Machine.X86_64, fixed=True, others=others)
    weak = _weak_names(file)
    functions = {}
    for export in image.exports:
        if export.kind is not ExportKind.FUNCTION:
            continue
        name, size = export.name, export.size if export.implementation else 0
        code = memory.read(export.implementation, size) if size else None
        functions[name] = FunctionFact(
            name,
            export.address,
            export.slot,
            export.implementation,
            size,
            interposable=name + THUNK_SUFFIX in address_of or name + POINTER_SUFFIX in address_of,
            weak=name in weak,
            code=codes.of(code, export.implementation) if code else b"",
            pointer=address_of.get(name + POINTER_SUFFIX, 0),
        )
    return functions


def _data(image: Image, who: Identity, memory: SegmentBytes) -> dict[str, DataFact]:
    """The exported data, with their contents."""
    datas = {}
    for export in image.exports:
        if export.kind is not ExportKind.FUNCTION:
            at, size = export.address, export.size
            contents = contents_of(memory, at, size, image.machine.word, who.base, who.end, ())
            datas[export.name] = DataFact(export.name, at, size, writable=memory.writable(at), contents=contents)
    return datas


def _unnamed_slots(path: str, image: Image, header: LibraryHeader, slots: Mapping[int, str]) -> tuple[str, ...]:
    """A sentence if the symbols do not name the function in each slot."""
    if not image.symbols:
        return (f"{path}: it has no symbols (stripped): which function is in which slot is not known",)
    symbols = {symbol.name: symbol for symbol in image.symbols}
    missing = [number for number, name in slots.items() if not name and not _empty(number, symbols, header)]
    return (f"{path}: {_numbers(missing)} no name: part of the symbols is missing",) if missing else ()


def _numbers(slots: list[int]) -> str:
    listed = some([str(slot) for slot in slots])
    return f"slot {listed} has" if len(slots) == 1 else f"slots {listed} have"


def _weak_names(file: elf.ElfFile) -> frozenset[str]:
    names: set[str] = set()
    for index, section in enumerate(file.sections):
        if section.type == elf.SHT_SYMTAB:
            table = file.strings(section.link)
            names.update(table[s[0]] for s in file.symbols(index) if s[1] >> 4 == elf.STB_WEAK and s[3])
    return frozenset(names)


def _empty(slot: int, symbols: Mapping[str, object], header: LibraryHeader) -> bool:
    """Whether a symbol says that this slot is empty."""
    if f"slot{slot}{EMPTY_SUFFIX}" in symbols:
        return True
    address = header.slot_address(slot)
    return any(name.endswith(EMPTY_SUFFIX) and getattr(s, "address", 0) == address for name, s in symbols.items())


_Retired = tuple[str, int, int, bool]  # name, address, size, is a function


def _retired(header: LibraryHeader, image: Image, history: History | None) -> list[_Retired]:
    """Slots that trap, and data that were withdrawn: from local symbols NAME$retired, and from the history, which `strip` leaves in place."""
    symbols = [s for s in image.symbols if s.name.endswith(RETIRED_SUFFIX)]
    rows = [(s.name.removesuffix(RETIRED_SUFFIX), s.address, s.size, s.function) for s in symbols]
    if history is not None:
        slots = [s for s in history.slots if s.state is SlotState.RETIRED]
        rows += [(s.name, header.slot_address(s.number), header.slot_size, True) for s in slots]
        rows += [(p.name, p.address, p.reserved, False) for p in history.places if p.state is PlaceState.RETIRED]
    return rows


def _add_retired(
    functions: dict[str, FunctionFact],
    datas: dict[str, DataFact],
    slots: dict[int, str],
    header: LibraryHeader,
    rows: Iterable[_Retired],
) -> None:
    table, size, count = header.jump_table, header.slot_size, header.identity.slot_count
    for name, address, length, function in rows:
        if not function:
            datas.setdefault(name, DataFact(name, address, length, retired=True))
        elif size and table <= address < table + count * size and not (address - table) % size:
            slot = (address - table) // size + 1
            functions.setdefault(name, FunctionFact(name, address, slot, retired=True))
            slots[slot] = slots.get(slot) or name


def _add_former_names(
    functions: dict[str, FunctionFact], datas: dict[str, DataFact], slots: dict[int, str], history: History | None
) -> None:
    """Declared renames: the new name has the old ones, and the slot has the new name."""
    for name, old in former_names(history).items():
        if name in functions:
            functions[name] = replace(functions[name], former_names=old)
            slots[functions[name].slot] = name
        elif name in datas:
            datas[name] = replace(datas[name], former_names=old)

"""Facts of target libraries: slots, exported data, what they remember of earlier releases, and types from DWARF.

What is private to the library is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from uselib.abi.static.model.facts import DataFact, Facts, FileKind, FunctionFact
from uselib.abi.static.readers.digests import CodeDigest
from uselib.abi.static.readers.elf_facts import Memory, contents_of, with_types
from uselib.abi.static.readers.past import check_slots, former_names
from uselib.linker.errors import some
from uselib.linker.formats import elf, elf_image
from uselib.linker.formats.library_names import EMPTY_SUFFIX, POINTER_SUFFIX, RETIRED_SUFFIX, THUNK_SUFFIX
from uselib.linker.image import EXEC, WRITE, ExportKind, Image, LibraryHeader, Machine
from uselib.linker.library.releases.history import History, PlaceState, SlotState
from uselib.linker.library.releases.previous import history_of


def target_facts(data: bytes, path: str) -> Facts:
    """The facts of a target library. Raises FormatError if the file is none or is damaged."""
    image = elf_image.read_image(data, path)
    header = image.library
    if header is None:
        raise elf.bad(
            path, "is a program, not a library", "give the library as OLD and NEW, and programs with --program"
        )
    file = elf.ElfFile(memoryview(data), path)
    past = history_of(file)
    unknown: tuple[str, ...] = ()
    memory = Memory(data, header.segments)
    who = header.identity
    check_slots(who.slot_count, header.slot_size, who.size, path)
    locals_ = {symbol.name: symbol for symbol in image.symbols}
    names: dict[int, str] = {}
    for symbol in image.symbols:
        names.setdefault(symbol.address, symbol.name)
    others = [(other.base, other.end) for other in image.needs]
    codes = CodeDigest(who.base, who.end, names, rip=image.machine is Machine.X86_64, fixed=True, others=others)
    weak = _weak_names(file)
    functions, datas = {}, {}
    for export in image.exports:
        if export.kind is ExportKind.FUNCTION:
            code = memory.read(export.implementation, export.size) if export.implementation and export.size else None
            functions[export.name] = FunctionFact(
                export.name,
                export.address,
                export.slot,
                export.implementation,
                export.size if export.implementation else 0,
                interposable=export.name + THUNK_SUFFIX in locals_ or export.name + POINTER_SUFFIX in locals_,
                weak=export.name in weak,
                code=codes.of(code, export.implementation) if code else b"",
                pointer=locals_[export.name + POINTER_SUFFIX].address if export.name + POINTER_SUFFIX in locals_ else 0,
            )
        else:
            datas[export.name] = DataFact(
                export.name, export.address, export.size, writable=memory.writable(export.address),
                contents=contents_of(memory, export.address, export.size, image.machine.word, who.base, who.end, ()),
            )  # fmt: skip
    slots = dict.fromkeys(range(1, who.slot_count + 1), "")
    for function in functions.values():
        slots[function.slot] = min(slots.get(function.slot) or function.name, function.name)
    _retired(functions, datas, slots, header, image, past)
    if past is not None:
        _renamed(functions, datas, slots, past)
    if not image.symbols:
        unknown += (f"{path}: it has no symbols (stripped): which function is in which slot is not known",)
    elif missing := [n for n, s in slots.items() if not s and not _empty(n, locals_, header)]:
        unknown += (f"{path}: {_numbers(missing)} no name: part of the symbols is missing",)
    facts = Facts(
        path, FileKind.TARGET, image.machine, who, "", image.library_path, True, header.dependencies, functions, datas, slots,
        text=memory.extent(EXEC), data_range=memory.extent(WRITE), unknown=unknown,
    )  # fmt: skip
    code_at = {f.name: (f.implementation, f.size) for f in functions.values() if not f.retired}
    data_at = {d.name: d.address for d in datas.values() if not d.retired}
    return with_types(facts, file, memory, code_at, data_at)


def _numbers(slots: list[int]) -> str:
    listed = some([str(slot) for slot in slots])
    return f"slot {listed} has" if len(slots) == 1 else f"slots {listed} have"


def _weak_names(file: elf.ElfFile) -> frozenset[str]:
    names: set[str] = set()
    for index, section in enumerate(file.sections):
        if section[1] == elf.SHT_SYMTAB:
            table = file.strings(section[6])
            names.update(table[s[0]] for s in file.symbols(index) if s[1] >> 4 == elf.STB_WEAK and s[3])
    return frozenset(names)


def _empty(slot: int, symbols: Mapping[str, object], header: LibraryHeader) -> bool:
    """Does a symbol say that this slot is empty?"""
    if f"slot{slot}{EMPTY_SUFFIX}" in symbols:
        return True
    address = header.slot_address(slot)
    return any(name.endswith(EMPTY_SUFFIX) and getattr(s, "address", 0) == address for name, s in symbols.items())


def _retired(
    functions: dict[str, FunctionFact], datas: dict[str, DataFact], slots: dict[int, str], header: LibraryHeader,
    image: Image, past: History | None,
) -> None:  # fmt: skip
    """Slots that trap and data that went away, by their local symbols NAME$retired; the history has them even if stripped."""
    table, size, count = header.jump_table, header.slot_size, header.identity.slot_count
    rows = [
        (s.name.removesuffix(RETIRED_SUFFIX), s.address, s.size, s.function)
        for s in image.symbols
        if s.name.endswith(RETIRED_SUFFIX)
    ]
    if past is not None:
        rows += [
            (s.name, header.slot_address(s.number), size, True) for s in past.slots if s.state is SlotState.RETIRED
        ]
        rows += [(p.name, p.address, p.reserved, False) for p in past.places if p.state is PlaceState.RETIRED]
    for name, address, length, function in rows:
        if not function:
            datas.setdefault(name, DataFact(name, address, length, retired=True))
        elif size and table <= address < table + count * size and not (address - table) % size:
            slot = (address - table) // size + 1
            functions.setdefault(name, FunctionFact(name, address, slot, retired=True))
            slots[slot] = slots.get(slot) or name


def _renamed(
    functions: dict[str, FunctionFact], datas: dict[str, DataFact], slots: dict[int, str], past: History
) -> None:
    """Declared renames: the new name knows its old ones, and is what the slot is called."""
    for name, old in former_names(past).items():
        if name in functions:
            functions[name] = replace(functions[name], former_names=old)
            slots[functions[name].slot] = name
        elif name in datas:
            datas[name] = replace(datas[name], former_names=old)

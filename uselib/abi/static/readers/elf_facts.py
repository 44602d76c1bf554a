"""Facts of ordinary ELF shared objects: what .dynsym defines, with contents, and types from DWARF; and what target libraries share
with them (target_facts.py).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from uselib.abi.static.model.facts import DataFact, Facts, FileKind, FunctionFact
from uselib.abi.static.readers import elf_dynamic
from uselib.abi.static.readers.digests import CodeDigest, without_addresses
from uselib.linker.dwarf import sections as debug_sections
from uselib.linker.dwarf.interface import Interface, WantedSymbol, read_interface
from uselib.linker.errors import some
from uselib.linker.formats import elf
from uselib.linker.image import EXEC, WRITE, Machine, Segment

_NAMED = frozenset((elf.STT_FUNC, elf.STT_OBJECT))
CONTENTS_LIMIT = 64 << 10  # bytes of a datum that are kept


@dataclass(frozen=True)
class SegmentBytes:
    """The bytes of a file at their addresses."""

    data: bytes | memoryview
    segments: tuple[Segment, ...]
    relro: tuple[int, int] = (0, 0)  # becomes read-only before the program starts

    def segment(self, address: int) -> Segment | None:
        return next((s for s in self.segments if s.address <= address < s.end), None)

    def read(self, address: int, size: int) -> bytes | None:
        """`size` bytes, zeroes where the file has none; None if that is not in one segment, or has more than CONTENTS_LIMIT zeroes."""
        found = self.segment(address)
        if found is None or address + size > found.end:
            return None
        start = address - found.address
        inside = max(0, min(size, found.file_size - start))
        if size - inside > CONTENTS_LIMIT:
            return None
        at = found.offset + start
        return bytes(self.data[at : at + inside]).ljust(size, b"\0")

    def writable(self, address: int) -> bool | None:
        found = self.segment(address)
        if found is None:
            return None
        return bool(found.flags & WRITE) and not self.relro[0] <= address < self.relro[1]

    def extent(self, flag: int) -> tuple[int, int]:
        """From the first to the last byte of the segments with (flag > 0) or without a permission."""
        chosen = [s for s in self.segments if s.flags & flag]
        return (chosen[0].address, chosen[-1].end) if chosen else (0, 0)


def contents_of(
    memory: SegmentBytes, address: int, size: int, word: int, low: int, high: int, relocated: Iterable[int]
) -> bytes | None:
    if size > CONTENTS_LIMIT:
        return None
    raw = memory.read(address, size)
    return None if raw is None else without_addresses(raw, address, word, low, high, relocated)


# -- shared objects ----------------------------------------------------------------------------------------------------


def shared_object_facts(data: bytes, path: str) -> Facts:
    """The facts of an ordinary ELF shared object. Raises FormatError if the file is not one or is damaged."""
    file = elf.ElfFile(memoryview(data), path)
    dynamic = elf_dynamic.read(file)
    memory = SegmentBytes(data, dynamic.segments, dynamic.relro)
    low = min((s.address for s in dynamic.segments), default=0)
    high = max((s.end for s in dynamic.segments), default=0)
    wide = file.machine is Machine.X86_64
    codes = CodeDigest(low, high, _names(file) if wide else {}, rip=True, fixed=False)
    functions: dict[str, FunctionFact] = {}
    datas: dict[str, DataFact] = {}
    code_at: dict[str, tuple[int, int]] = {}
    data_at: dict[str, int] = {}
    for symbol in sorted(dynamic.exports, key=lambda s: (s.name, s.version)):
        key = symbol.name if symbol.default else f"{symbol.name}@{symbol.version}"
        if symbol.function:
            code = memory.read(symbol.address, symbol.size) if wide and symbol.size and not symbol.indirect else None
            functions[key] = FunctionFact(
                symbol.name,
                implementation=symbol.address,
                size=symbol.size,
                weak=symbol.weak,
                symbol_version=symbol.version,
                default_version=symbol.default,
                code=codes.of(code, symbol.address) if code else b"",
            )
            code_at[key] = (0, 0) if symbol.indirect else (symbol.address, symbol.size)
        else:
            datas[key] = _datum(symbol, memory, file.machine.word, high, dynamic.relocated)
            data_at[key] = 0 if symbol.thread_local else symbol.address
    facts = Facts(
        path,
        FileKind.SHARED_OBJECT,
        file.machine,
        soname=dynamic.soname,
        fixed=False,
        dependencies=dynamic.needed,
        functions=functions,
        data=datas,
        symbol_versions=dynamic.versions,
        text=memory.extent(EXEC),
        data_range=memory.extent(WRITE),
    )
    return with_types(facts, file, memory, code_at, data_at)


def _datum(
    symbol: elf_dynamic.DynamicSymbol, memory: SegmentBytes, word: int, high: int, relocated: list[int]
) -> DataFact:
    """An exported variable. high: end of the file's addresses; relocated: addresses of words that relocations fill, ascending."""
    fact = DataFact(symbol.name, size=symbol.size, symbol_version=symbol.version, default_version=symbol.default)
    if symbol.thread_local:
        return fact
    first, end = bisect_left(relocated, symbol.address), bisect_left(relocated, symbol.address + symbol.size)
    contents = contents_of(memory, symbol.address, symbol.size, word, 0, high, relocated[first:end])
    return replace(fact, writable=memory.writable(symbol.address), contents=contents)


def _names(file: elf.ElfFile) -> dict[int, str]:
    """Symbols by address, for the digests of code: of .symtab if it was not stripped."""
    names: dict[int, str] = {}
    for kind in (elf.SHT_SYMTAB, elf.SHT_DYNSYM):
        for index, section in enumerate(file.sections):
            if section.type == kind:
                table = file.strings(section.link)
                for name_at, info, _, shndx, value, _ in file.symbols(index):
                    if shndx and info & 15 in _NAMED and name_at:
                        names.setdefault(value, table[name_at])
                return names
    return names


# -- types -------------------------------------------------------------------------------------------------------------


def with_types(
    facts: Facts,
    file: elf.ElfFile,
    memory: SegmentBytes,
    code_at: Mapping[str, tuple[int, int]],
    data_at: Mapping[str, int],
) -> Facts:
    """The facts with what debug information tells; `unknown` says what it does not.

    code_at: address and size of each function's code, data_at: where each datum lies, by the keys of `facts` (0: find it by name only).
    """
    found = debug_sections.find(file, facts.path)
    if found is None or not (found.info or found.types):
        said = (
            found.problems
            if found is not None
            else (f"{facts.path}: it has no debug information: types are not compared",)
        )
        return replace(facts, unknown=facts.unknown + said)

    def code(at: int, size: int) -> bytes:
        # only i386 code tells the calling convention: see linker/dwarf/conventions.py
        wanted = at and size and facts.machine is Machine.I386
        return memory.read(at, size) or b"" if wanted else b""

    interface = read_interface(
        found,
        facts.machine.word,
        _wanted((key, facts.functions[key].name, at, code(at, size)) for key, (at, size) in code_at.items()),
        _wanted((key, facts.data[key].name, at, b"") for key, at in data_at.items()),
    )
    functions, datas = dict(facts.functions), dict(facts.data)
    for key, typed in interface.functions.items():
        functions[key] = replace(functions[key], type=typed.type, place=typed.place)
    for key, typed in interface.data.items():
        datas[key] = replace(datas[key], type=typed.type, place=typed.place)
    said = (*facts.unknown, *interface.unknown, *untyped(facts, interface, functions, datas))
    return replace(
        facts,
        functions=functions,
        data=datas,
        types=interface.types,
        typed=interface.typed,
        producer=interface.producer,
        unknown=said,
    )


def _wanted(rows: Iterable[tuple[str, str, int, bytes]]) -> dict[str, WantedSymbol]:
    listed = list(rows)
    times = Counter(name for _, name, _, _ in listed)
    return {key: WantedSymbol(name, at, times[name] > 1, code) for key, name, at, code in listed}


# Virtual tables and type descriptions of C++: data that no source declares.
_MADE_BY_COMPILERS = ("_ZTV", "_ZTI", "_ZTS", "_ZTT")


def untyped(
    facts: Facts, interface: Interface, functions: Mapping[str, FunctionFact], datas: Mapping[str, DataFact]
) -> Iterable[str]:
    """Which exports the debug information does not know."""
    if not interface.typed:
        yield f"{facts.path}: its debug information has no types: types are not compared"
        return
    for kind, rows in (("functions", functions.values()), ("data", datas.values())):
        missing = [
            row.name
            for row in rows
            if row.type is None and not row.retired and not row.name.startswith(_MADE_BY_COMPILERS)
        ]
        if missing:
            yield f"{facts.path}: no type information for {len(missing)} of {len(rows)} {kind}: {some(missing)}"

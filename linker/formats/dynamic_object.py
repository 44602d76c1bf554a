"""What a dynamic linker sees of a program or shared object: its dynamic section, by program headers alone; section headers may be gone.

Source: gABI, chapter 5 ("Dynamic Section", "Hash Table"); LSB core, "Symbol Versioning"; psABI supplements for the relocation types.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import Enum
from functools import cached_property

from uselib.linker.formats import elf
from uselib.linker.formats.elf import RelocationTable, SymbolTable
from uselib.linker.formats.shared_object import VERSYM_HIDDEN
from uselib.linker.formats.string_table import StringTable
from uselib.linker.image import Machine
from uselib.linker.quick_dataclass import NamedTuple, dataclass

_NULL, _NEEDED, _PLTRELSZ, _HASH, _STRTAB, _SYMTAB, _RELA, _RELASZ = 0, 1, 2, 4, 5, 6, 7, 8
_STRSZ, _SONAME, _SYMBOLIC, _REL, _RELSZ, _PLTREL, _JMPREL = 10, 14, 16, 17, 18, 20, 23
_FLAGS, _GNU_HASH, _VERSYM = 30, 0x6FFFFEF5, 0x6FFFFFF0
_VERDEF_TAG, _VERDEFNUM, _VERNEED, _VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_DF_SYMBOLIC = 2
_VERDEF, _VERDAUX = struct.Struct("<HHHHIII"), struct.Struct("<II")
_VERNEED_ROW, _VERNAUX = struct.Struct("<HHIII"), struct.Struct("<IHHII")
_INDEX = VERSYM_HIDDEN - 1  # of a version index


class RelocatedTo(Enum):
    """What a relocation makes of the symbol it names."""

    ADDRESS = "address"  # S + A in a word
    SLOT = "slot"  # S in a word of the PLT's: may be left to the first call
    RELATIVE = "relative"  # S + A - P
    COPY = "copy"  # the symbol's bytes
    TLS = "tls"  # a module, an offset, a descriptor


class RelocationUse(NamedTuple):
    """size: of the field; addend: whether it counts."""

    name: str
    use: RelocatedTo
    size: int
    addend: bool = True


_USES = {
    Machine.X86_64: {
        1: RelocationUse("R_X86_64_64", RelocatedTo.ADDRESS, 8),
        2: RelocationUse("R_X86_64_PC32", RelocatedTo.RELATIVE, 4),
        5: RelocationUse("R_X86_64_COPY", RelocatedTo.COPY, 0),
        6: RelocationUse("R_X86_64_GLOB_DAT", RelocatedTo.ADDRESS, 8, False),
        7: RelocationUse("R_X86_64_JUMP_SLOT", RelocatedTo.SLOT, 8, False),
        10: RelocationUse("R_X86_64_32", RelocatedTo.ADDRESS, 4),
        16: RelocationUse("R_X86_64_DTPMOD64", RelocatedTo.TLS, 8),
        17: RelocationUse("R_X86_64_DTPOFF64", RelocatedTo.TLS, 8),
        18: RelocationUse("R_X86_64_TPOFF64", RelocatedTo.TLS, 8),
        36: RelocationUse("R_X86_64_TLSDESC", RelocatedTo.TLS, 8),
    },
    Machine.I386: {
        1: RelocationUse("R_386_32", RelocatedTo.ADDRESS, 4),
        2: RelocationUse("R_386_PC32", RelocatedTo.RELATIVE, 4),
        5: RelocationUse("R_386_COPY", RelocatedTo.COPY, 0),
        6: RelocationUse("R_386_GLOB_DAT", RelocatedTo.ADDRESS, 4, False),
        7: RelocationUse("R_386_JUMP_SLOT", RelocatedTo.SLOT, 4, False),
        14: RelocationUse("R_386_TLS_TPOFF", RelocatedTo.TLS, 4),
        35: RelocationUse("R_386_TLS_DTPMOD32", RelocatedTo.TLS, 4),
        36: RelocationUse("R_386_TLS_DTPOFF32", RelocatedTo.TLS, 4),
        37: RelocationUse("R_386_TLS_TPOFF32", RelocatedTo.TLS, 4),
        41: RelocationUse("R_386_TLS_DESC", RelocatedTo.TLS, 4),
    },
}
_IRELATIVE = {Machine.X86_64: 37, Machine.I386: 42}


class DynamicRow(NamedTuple):
    """A row of the dynamic symbol table. version: what it defines, or what a reference asks for; hidden: not the default version, or a
    reference to one. value: as in the file."""

    name: str
    version: str
    hidden: bool
    defined: bool
    type: int
    binding: int
    visibility: int
    value: int
    size: int
    absolute: bool
    version_index: int  # in .gnu.version, without the bit for hidden

    @property
    def label(self) -> str:
        """`malloc@GLIBC_2.2.5`."""
        return f"{self.name}@{self.version}" if self.version else self.name


class SymbolicRelocation(NamedTuple):
    """place: address as in the file; symbol: number in the table; addend: also of SHT_REL, from the field; slot: of RelocatedTo.SLOT, what the
    field holds in the file: where in the PLT a first call goes on."""

    place: int
    use: RelocationUse
    symbol: int
    addend: int
    slot: int


class Indirect(NamedTuple):
    """R_*_IRELATIVE: the word at `place` becomes what the function at `resolver` returns."""

    place: int
    resolver: int


@dataclass(frozen=True, eq=False)
class DynamicObject:
    """symbols: all rows of .dynsym; hashed: numbers of those that a look-up finds, by name. symbolic: its own definitions go first.
    relro: [start, end) of PT_GNU_RELRO. relocations, indirect: in the order in which they are processed."""

    machine: Machine
    soname: str
    needed: tuple[str, ...]
    symbolic: bool
    versioned: bool
    symbols: tuple[DynamicRow, ...]
    hashed: dict[str, list[int]]
    relocations: tuple[SymbolicRelocation, ...]
    indirect: tuple[Indirect, ...]
    relro: tuple[int, int]
    thread_local: int  # address of PT_TLS, 0: none


def read_dynamic_object(data: bytes, where: str) -> DynamicObject | None:
    """None for a file without dynamic section. Raises FormatError where it is damaged."""
    reader = _DynamicReader(data, where)
    if not reader.tags:
        return None
    try:
        return reader.read()
    except (struct.error, IndexError, ValueError):
        raise elf.bad(where, "damaged dynamic section") from None


class _DynamicReader:
    """One file."""

    def __init__(self, data: bytes, where: str) -> None:
        self._where = where
        self._data = memoryview(data)
        self._machine, self._class = elf.identify(data, where)
        fields = self._class.header.unpack_from(data)
        at, count = fields[5], fields[10]
        size = self._class.segment.size
        if at + count * size > len(data):
            raise elf.bad(where, "truncated: the program headers lie beyond the end of the file")
        headers = self._class.segments(data[at : at + count * size])
        self._loads = [h for h in headers if h.type == elf.PT_LOAD]
        self._relro = next(
            ((h.address, h.address + h.memory_size) for h in headers if h.type == elf.PT_GNU_RELRO), (0, 0)
        )
        self._tls = next((h.address for h in headers if h.type == elf.PT_TLS), 0)
        self.tags = self._tags(next((h for h in headers if h.type == elf.PT_DYNAMIC), None))
        self._first = dict(reversed(self.tags))

    def _tags(self, header: elf.ProgramHeader | None) -> list[tuple[int, int]]:
        if header is None:
            return []
        entry = struct.Struct("<QQ" if self._class.word == 8 else "<II")
        data = self._data[header.offset : header.offset + header.file_size // entry.size * entry.size]
        found = []
        for tag, value in entry.iter_unpack(data):
            if tag == _NULL:
                break
            found.append((tag, value))
        return found

    def _at(self, address: int, size: int | None = None) -> memoryview:
        """Bytes of the file that lie at an address; size None: to the end of the segment's part in the file."""
        for load in self._loads:
            offset = address - load.address
            if 0 <= offset < load.file_size and (size is None or offset + size <= load.file_size):
                end = load.file_size if size is None else offset + size
                return self._data[load.offset + offset : load.offset + end]
        raise ValueError(address)

    def _word(self, address: int, size: int) -> int:
        """Of a field that a relocation changes; 0 behind what is in the file."""
        try:
            return int.from_bytes(self._at(address, size), "little")
        except ValueError:
            return 0

    @cached_property
    def _strings(self) -> StringTable:
        return StringTable(bytes(self._at(self._first[_STRTAB], self._first[_STRSZ])), self._where)

    def read(self) -> DynamicObject:
        first = self._first
        if _STRTAB not in first or _SYMTAB not in first:
            raise ValueError
        relocations = list(self._relocations())
        most = max((row[2] for row in relocations), default=0)
        low, chains = self._hash_tables(most)
        symbols = self._symbols(max(most + 1, chains))
        hashed: dict[str, list[int]] = {}
        for number in range(max(low, 1), chains):
            hashed.setdefault(symbols[number].name, []).append(number)
        uses, indirect = _USES[self._machine], _IRELATIVE[self._machine]
        symbolic, resolved = [], []
        for place, kind, symbol, addend in relocations:
            if kind == indirect:
                size = self._class.word
                resolved.append(Indirect(place, self._word(place, size) if addend is None else addend))
            elif kind in uses and symbol:
                use = uses[kind]
                field = (
                    self._word(place, use.size) if use.size and (addend is None or use.use is RelocatedTo.SLOT) else 0
                )
                slot = field if use.use is RelocatedTo.SLOT else 0
                constant = field if addend is None else addend
                symbolic.append(SymbolicRelocation(place, use, symbol, constant if use.addend else 0, slot))
        return DynamicObject(
            self._machine,
            self._strings[first[_SONAME]] if _SONAME in first else "",
            tuple(self._strings[value] for tag, value in self.tags if tag == _NEEDED),
            _SYMBOLIC in first or bool(first.get(_FLAGS, 0) & _DF_SYMBOLIC),
            _VERSYM in first,
            symbols,
            hashed,
            tuple(symbolic),
            tuple(resolved),
            self._relro,
            self._tls,
        )

    def _relocations(self) -> Iterator[tuple[int, int, int, int | None]]:
        first = self._first
        rela = _RELA in first
        tables = [(first.get(_RELA if rela else _REL, 0), first.get(_RELASZ if rela else _RELSZ, 0), rela)]
        tables.append((first.get(_JMPREL, 0), first.get(_PLTRELSZ, 0), first.get(_PLTREL) == _RELA))
        for address, size, with_addend in tables:
            if size:
                record = self._class.rela.size if with_addend else self._class.rel.size
                table = self._at(address, size // record * record)
                yield from RelocationTable(table, self._class, with_addend).rows()

    def _hash_tables(self, most: int) -> tuple[int, int]:
        """Symbols of these numbers are found by name: [first, end)."""
        if _GNU_HASH in self._first:
            table = self._at(self._first[_GNU_HASH])
            buckets, low, masks, _ = struct.unpack_from("<IIII", table)
            at = 16 + masks * self._class.word
            last = max(struct.unpack_from(f"<{buckets}I", table, at), default=0)
            if last < low:
                return low, low
            chain = at + 4 * buckets
            while not struct.unpack_from("<I", table, chain + 4 * (last - low))[0] & 1:
                last += 1
            return low, last + 1
        if _HASH in self._first:
            return 1, struct.unpack_from("<II", self._at(self._first[_HASH]))[1]
        return most + 1, most + 1  # nothing is found

    def _symbols(self, count: int) -> tuple[DynamicRow, ...]:
        size = self._class.symbol.size
        table = SymbolTable(self._at(self._first[_SYMTAB], count * size), self._class)
        indexes: tuple[int, ...] = (1,) * count
        if _VERSYM in self._first:
            indexes = struct.unpack_from(f"<{count}H", self._at(self._first[_VERSYM], 2 * count))
        versions = dict(self._defined_versions()) | dict(self._needed_versions())
        rows = []
        for (name, info, other, section, value, length), index in zip(table.rows(), indexes, strict=True):
            rows.append(
                DynamicRow(
                    self._strings[name],
                    versions.get(index & _INDEX, ""),
                    bool(index & VERSYM_HIDDEN),
                    section != elf.SHN_UNDEF,
                    info & 15,
                    info >> 4,
                    other & 3,
                    value,
                    length,
                    section == elf.SHN_ABS,
                    index & _INDEX,
                )
            )
        return tuple(rows)

    def _defined_versions(self) -> Iterator[tuple[int, str]]:
        if _VERDEF_TAG not in self._first:
            return
        table, at = self._at(self._first[_VERDEF_TAG]), 0
        for _ in range(self._first.get(_VERDEFNUM, 0)):
            _, flags, index, _, _, names, following = _VERDEF.unpack_from(table, at)
            if not flags & 1:  # VER_FLG_BASE: the file itself
                yield index, self._strings[_VERDAUX.unpack_from(table, at + names)[0]]
            at += following

    def _needed_versions(self) -> Iterator[tuple[int, str]]:
        if _VERNEED not in self._first:
            return
        table, at = self._at(self._first[_VERNEED]), 0
        for _ in range(self._first.get(_VERNEEDNUM, 0)):
            _, count, _, names, following = _VERNEED_ROW.unpack_from(table, at)
            place = at + names
            for _ in range(count):
                _, _, index, name, after = _VERNAUX.unpack_from(table, place)
                yield index & _INDEX, self._strings[name]
                place += after
            at += following

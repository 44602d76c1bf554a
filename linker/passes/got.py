"""The GOT, and the entries for functions that are resolved at start-up (STT_GNU_IFUNC): .got, .plt, .rela.plt or .rel.plt.

.got has, in this order, the words of `Needs`: addresses, offsets from TP, offsets to TP, and one word for each function
that is resolved at start-up. The entry of such a function in .plt jumps through its word; an IRELATIVE relocation, which
start-up code applies, names word and resolver.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from uselib.linker.formats.elf import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_PROGBITS, SHT_REL, SHT_RELA
from uselib.linker.passes.model import InputSection, Symbol
from uselib.linker.passes.relocations import IPLT_SIZE, Applying, MachineRelocations, Needs, SymbolKey
from uselib.linker.quick_dataclass import dataclass, field


@dataclass
class Tables:
    """The tables of a link, each None if it needs none. `resolvers` are known once addresses are final (settle_ifuncs)."""

    machine: MachineRelocations
    needs: Needs
    got: InputSection | None
    iplt: InputSection | None
    irelative: InputSection | None
    resolvers: list[int] = field(default_factory=list)

    @property
    def sections(self) -> list[InputSection]:
        """What goes to the layout."""
        return [section for section in (self.got, self.iplt, self.irelative) if section is not None]

    @property
    def got_address(self) -> int:
        return self.got.address if self.got is not None else 0

    def _entries(self, keys: Mapping[SymbolKey, object], skip: int) -> dict[SymbolKey, int]:
        word = self.machine.word
        return {key: self.got_address + (skip + n) * word for n, key in enumerate(keys)}

    def got_entries(self) -> dict[SymbolKey, int]:
        return self._entries(self.needs.got, 0)

    def got_tp_entries(self) -> dict[SymbolKey, int]:
        return self._entries(self.needs.got_tp, len(self.needs.got))

    def got_tp_positive_entries(self) -> dict[SymbolKey, int]:
        return self._entries(self.needs.got_tp_positive, len(self.needs.got) + len(self.needs.got_tp))

    def ifunc_slots(self) -> list[int]:
        """Addresses of the GOT words that IRELATIVE fills in."""
        needs = self.needs
        first = len(needs.got) + len(needs.got_tp) + len(needs.got_tp_positive)
        return [self.got_address + (first + n) * self.machine.word for n in range(len(needs.ifuncs))]

    def iplt_address(self, number: int) -> int:
        assert self.iplt is not None
        return self.iplt.address + number * IPLT_SIZE


def make_tables(needs: Needs, machine: MachineRelocations) -> Tables:
    """The tables that the scan found to be needed, with their sizes."""
    word, functions = machine.word, len(needs.ifuncs)
    count = len(needs.got) + len(needs.got_tp) + len(needs.got_tp_positive) + functions
    got = iplt = irelative = None
    if count or needs.uses_got:
        got = InputSection(None, 0, ".got", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, max(count, 1) * word, word, word)
    if functions:
        iplt = InputSection(None, 0, ".plt", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, functions * IPLT_SIZE, 16)
        name, kind, size = (".rela.plt", SHT_RELA, 24) if word == 8 else (".rel.plt", SHT_REL, 8)
        irelative = InputSection(None, 0, name, kind, SHF_ALLOC, functions * size, word, size)
    return Tables(machine, needs, got, iplt, irelative)


def settle_ifuncs(tables: Tables) -> dict[tuple[int, int], int]:
    """References to functions resolved at start-up get their .plt entry, `resolvers` their own addresses.

    Result: the new addresses of local symbols, by (id of the file, index)."""
    overrides: dict[tuple[int, int], int] = {}
    for position, (key, (file, index)) in enumerate(tables.needs.ifuncs.items()):
        entry = tables.iplt_address(position)
        if isinstance(key, Symbol):
            tables.resolvers.append(key.address)
            key.address = entry
        else:
            section = file.section_of(index)
            start = section.address if section is not None else 0
            tables.resolvers.append(start + file.symbols[index].value)
            overrides[key] = entry
    return overrides


def fill_tables(tables: Tables, run: Applying) -> None:
    """Gives the tables their contents, from final addresses."""
    if tables.got is not None:
        tables.got.content = _got_content(tables, run).ljust(tables.got.size, b"\0")
    if tables.iplt is not None and tables.irelative is not None:
        slots = tables.ifunc_slots()
        entry = tables.machine.iplt_entry
        tables.iplt.content = b"".join(entry(tables.iplt_address(n), slot) for n, slot in enumerate(slots))
        tables.irelative.content = _irelative_content(tables, slots)


def _got_content(tables: Tables, run: Applying) -> bytes:
    needs, word = tables.needs, tables.machine.word
    values = [run.values(file).references[index] or 0 for file, index in needs.got.values()]
    for sign, rows in ((1, needs.got_tp), (-1, needs.got_tp_positive)):
        for file, index in rows.values():
            values.append(sign * ((run.values(file).references[index] or 0) - run.thread_pointer))
    # SHT_REL keeps the addend, the resolver, in the word itself
    values += tables.resolvers if word == 4 else [tables.iplt_address(n) for n in range(len(needs.ifuncs))]
    mask = (1 << 8 * word) - 1
    return b"".join((value & mask).to_bytes(word, "little") for value in values)


def _irelative_content(tables: Tables, slots: list[int]) -> bytes:
    kind = tables.machine.irelative
    if tables.machine.word == 8:  # Elf64_Rela: r_offset, r_info, r_addend = resolver
        rows = zip(slots, tables.resolvers, strict=True)
        return b"".join(struct.pack("<QQQ", slot, kind, resolver) for slot, resolver in rows)
    return b"".join(struct.pack("<II", slot, kind) for slot in slots)  # Elf32_Rel

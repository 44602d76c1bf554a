"""Relocations: the two machines' tables in one vocabulary, the scan that finds what they need, and their application.

Letters as in the psABI supplements: S the symbol's value, A the addend, P the place being relocated, G the address of the
symbol's GOT entry (relative to GOT where the ABI says so), GOT the address of _GLOBAL_OFFSET_TABLE_, TP the thread pointer.

Most kinds are linear: value = s*S + A - p*P + g*GOT. A machine's table gives (s, p, g), the field's size and the range
that the value must be in. The few others (GOT entries, thread-local storage, sizes), and those that rewrite an
instruction, are functions in i386.py and x86_64.py: a `scan` that says what is needed before addresses are known, and an
`apply`. Both decide by the same pure function whether an instruction can be relaxed, so they agree.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from uselib.linker.errors import Diagnostic
from uselib.linker.formats import elf
from uselib.linker.passes.inputs import InputSection, ObjectFile, Symbol, local_values

SymbolKey = Symbol | tuple[int, int]
"""Identity of a symbol within a link: the global one, or (id of the file, index) for a local one."""


class LinearRelocation(NamedTuple):
    """A linear relocation: value = s*S + A - p*P + g*GOT, in `size` bytes; low <= value <= high unless both are 0."""

    name: str
    size: int
    s: int
    p: int
    g: int
    low: int = 0
    high: int = 0
    branch: bool = False  # always a call or jump (PLT32)


class SpecialRelocation(NamedTuple):
    """Any other relocation."""

    name: str
    scan: Callable[[Needs, Site], None] | None
    apply: Callable[[Applying, Site], None]


class MachineRelocations(NamedTuple):
    """A machine's tables by relocation type."""

    linear: Mapping[int, LinearRelocation]
    special: Mapping[int, SpecialRelocation]
    none: frozenset[int]  # types that change nothing
    branch_like: frozenset[int]  # PC-relative 32-bit: a branch if the opcode before the field says so
    got_based: frozenset[int]  # linear kinds with g != 0
    mask: int  # of an address
    tls_call: frozenset[str]  # __tls_get_addr's names, called behind GD and LD sequences
    tls_sequences: frozenset[int]  # those sequences: the call's relocation is consumed


class SymbolPolicy(Protocol):
    """What a reference to a global symbol gets: the place where target libraries differ from programs."""

    def reference(self, symbol: Symbol) -> int:
        """The address that all but branches get."""

    def branch(self, symbol: Symbol) -> int:
        """The address that calls and jumps get."""

    @property
    def distinguishes_branches(self) -> bool:
        """False if the two are always the same."""


class PlainSymbols:
    """Programs: a symbol has one address."""

    distinguishes_branches = False

    def reference(self, symbol: Symbol) -> int:
        return symbol.address

    branch = reference


class Site:
    """A relocation that is not linear, while it is scanned or applied."""

    __slots__ = ("addend", "file", "following", "index", "offset", "section", "type")

    def __init__(
        self, section: InputSection, file: ObjectFile, offset: int, kind: int, index: int, addend: int | None,
        following: elf.ElfRelocation | None,
    ) -> None:  # fmt: skip
        self.section = section
        self.file = file
        self.offset = offset
        self.type = kind
        self.index = index
        self.addend = addend
        self.following = following

    @property
    def key(self) -> SymbolKey:
        return self.file.global_symbol(self.index) or (id(self.file), self.index)

    @property
    def symbol_type(self) -> int:
        symbol = self.file.global_symbol(self.index)
        return symbol.type if symbol is not None else self.file.symbols[self.index].type

    def before(self, count: int) -> bytes:
        """The `count` bytes before the field, in the input (fewer at the section's start)."""
        return bytes(self.section.content[max(0, self.offset - count) : self.offset])

    def after(self, count: int) -> bytes:
        """The `count` bytes behind the 4-byte field."""
        return bytes(self.section.content[self.offset + 4 : self.offset + 4 + count])

    def calls_tls(self, names: frozenset[str]) -> bool:
        """Whether the next relocation is the call of __tls_get_addr that belongs to this one."""
        if self.following is None or not self.offset < self.following.offset <= self.offset + 12:
            return False
        symbol = self.file.global_symbol(self.following.symbol)
        return symbol is not None and symbol.name in names


@dataclass
class Needs:
    """What the scan found: GOT entries by kind, functions resolved at start-up. Insertion order is slot order."""

    got: dict[SymbolKey, tuple[ObjectFile, int]] = field(default_factory=dict)
    got_tp: dict[SymbolKey, tuple[ObjectFile, int]] = field(default_factory=dict)  # offset from TP
    got_tp_positive: dict[SymbolKey, tuple[ObjectFile, int]] = field(default_factory=dict)  # TP - S (i386, Sun's way)
    ifuncs: dict[SymbolKey, tuple[ObjectFile, int]] = field(default_factory=dict)
    uses_got: bool = False  # _GLOBAL_OFFSET_TABLE_ is referred to
    problems: list[Diagnostic] = field(default_factory=list)

    def add_got(self, site: Site) -> None:
        self.uses_got = True
        self.got.setdefault(site.key, (site.file, site.index))

    def add_got_tp(self, site: Site) -> None:
        self.uses_got = True
        self.got_tp.setdefault(site.key, (site.file, site.index))

    def add_got_tp_positive(self, site: Site) -> None:
        self.uses_got = True
        self.got_tp_positive.setdefault(site.key, (site.file, site.index))


def scan(machine: MachineRelocations, sections: list[InputSection], has_ifunc: bool) -> Needs:
    """Looks at every relocation of the given (live, allocated) sections. After it there are no more symbols."""
    needs = Needs()
    linear, special, none, got_based = machine.linear, machine.special, machine.none, machine.got_based
    for section in sections:
        if not section.relocated_by and section.records is None:
            continue
        file = section.file
        if file is None:
            continue
        records = section.relocations()
        count, size = len(file.symbols), section.size
        for number, (offset, kind, index, addend) in enumerate(records):
            if index >= count:
                needs.problems.append(
                    Diagnostic(section.where, f"damaged: a relocation refers to symbol {index} of {count}")
                )
                break
            if offset >= size and kind not in none:
                needs.problems.append(
                    Diagnostic(section.where, f"damaged: a relocation lies at {offset:#x}, beyond the section's end")
                )
                break
            if kind in linear:
                if kind in got_based:
                    needs.uses_got = True
            elif kind in special:
                following = records[number + 1] if number + 1 < len(records) else None
                prepare = special[kind].scan
                if prepare is not None:
                    prepare(needs, Site(section, file, offset, kind, index, addend, following))
            elif kind not in none:
                needs.problems.append(
                    Diagnostic(section.where, f"relocation type {kind} is not known", file.symbol_name(index))
                )
            if has_ifunc:
                site = Site(section, file, offset, kind, index, addend, None)
                if site.symbol_type == elf.STT_GNU_IFUNC:
                    symbol = file.global_symbol(index)
                    if symbol is None or (symbol.rank and symbol.section is not None):
                        needs.ifuncs.setdefault(site.key, (file, index))
    return needs


class SymbolValues:
    """The values of every symbol index of a file: as referred to, and as branched to."""

    __slots__ = ("branches", "references")

    def __init__(
        self, file: ObjectFile, policy: SymbolPolicy, overrides: Mapping[tuple[int, int], int] | None = None
    ) -> None:
        local = local_values(file)
        if overrides:
            for (owner, index), address in overrides.items():
                if owner == id(file):
                    local[index] = address
        self.references: list[int | None] = local + [policy.reference(symbol) for symbol in file.globals]
        self.branches = (
            local + [policy.branch(symbol) for symbol in file.globals]
            if policy.distinguishes_branches
            else self.references
        )


_PACK = {1: struct.Struct("<B"), 2: struct.Struct("<H"), 4: struct.Struct("<I"), 8: struct.Struct("<Q")}
_JCC = frozenset(range(0x80, 0x90))


def is_branch(content: bytes | memoryview, offset: int) -> bool:
    """Whether the field at `offset` is the rel32 of `E8 call`, `E9 jmp` or `0F 80..8F jcc`."""
    if offset < 1:
        return False
    opcode = content[offset - 1]
    return opcode in (0xE8, 0xE9) or (opcode in _JCC and offset >= 2 and content[offset - 2] == 0x0F)


class Applying:
    """Applies relocations to the output. Everything it reads is final: addresses, GOT slots, thread pointer."""

    def __init__(
        self,
        machine: MachineRelocations,
        policy: SymbolPolicy,
        *,
        got: int,
        tls_start: int,
        thread_pointer: int,
        got_entries: Mapping[SymbolKey, int],
        got_tp_entries: Mapping[SymbolKey, int],
        got_tp_positive_entries: Mapping[SymbolKey, int],
        local_overrides: Mapping[tuple[int, int], int],
    ) -> None:
        self.machine = machine
        self.policy = policy
        self.got = got
        self.tls_start = tls_start
        self.thread_pointer = thread_pointer
        self.got_entries = got_entries
        self.got_tp_entries = got_tp_entries
        self.got_tp_positive_entries = got_tp_positive_entries
        self.local_overrides = local_overrides
        self.problems: list[Diagnostic] = []
        self.out = bytearray()
        self._values: dict[int, SymbolValues] = {}
        self.at = 0  # of the section being relocated, in out
        self.place = 0  # its address

    def values(self, file: ObjectFile) -> SymbolValues:
        found = self._values.get(id(file))
        if found is None:
            found = self._values[id(file)] = SymbolValues(file, self.policy, self.local_overrides)
        return found

    # -- used by the machines' special relocations -----------------------------------------------------------------

    def addend(self, site: Site, size: int = 4) -> int:
        if site.addend is not None:
            return site.addend
        at = self.at + site.offset
        return int.from_bytes(self.out[at : at + size], "little", signed=True)

    def symbol(self, site: Site, branch: bool = False, addend: int = 0) -> int:
        """S + A of the site's symbol."""
        values = self.values(site.file)
        value = (values.branches if branch else values.references)[site.index]
        if value is None:
            value, addend = self.cut(site.section, site.file, site.offset, site.index, addend)
        return value + addend

    def put(self, site: Site, value: int, size: int = 4, *, low: int = 0, high: int = 0, offset: int = 0) -> None:
        """Writes a field; with low/high, checks its range."""
        if low != high and not low <= value <= high:
            self.overflow(site.section, site.file, site.offset, site.index, self.name(site.type), value, low, high)
        _PACK[size].pack_into(self.out, self.at + site.offset + offset, value & ((1 << 8 * size) - 1))

    def patch(self, site: Site, offset: int, code: bytes) -> None:
        """Replaces code at `offset` from the field."""
        start = site.offset + offset
        if start < 0 or start + len(code) > site.section.size:
            self.problem(site, "the instructions around it are not what the relocation asks for")
            return
        self.out[self.at + start : self.at + start + len(code)] = code

    def problem(self, site: Site, message: str, remedy: str = "") -> None:
        self.problems.append(
            Diagnostic(
                site.file.place(site.section, site.offset),
                f"{self.name(site.type)}: {message}",
                site.file.symbol_name(site.index),
                remedy,
            )
        )

    # -- application -----------------------------------------------------------------------------------------------

    def name(self, kind: int) -> str:
        if kind in self.machine.linear:
            return self.machine.linear[kind].name
        return self.machine.special[kind].name if kind in self.machine.special else f"relocation type {kind}"

    def overflow(
        self,
        section: InputSection,
        file: ObjectFile,
        offset: int,
        index: int,
        name: str,
        value: int,
        low: int,
        high: int,
    ) -> None:
        self.problems.append(
            Diagnostic(
                file.place(section, offset),
                f"{name} out of range: {value:#x} is not between {low:#x} and {high:#x}",
                file.symbol_name(index),
                "link at a lower address or nearer to it, or compile with -fPIC or -mcmodel=large",
            )
        )

    def cut(self, section: InputSection, file: ObjectFile, offset: int, index: int, addend: int) -> tuple[int, int]:
        """(S, A) where the symbol's section was cut into pieces, merged or discarded. Section symbols move with A."""
        target = file.section_of(index)
        record = file.symbols[index]
        if target is not None and target.live:
            if target.pieces is None:
                return target.address + record.value, addend
            if record.type == elf.STT_SECTION:
                return target.pieces.address(record.value + addend), 0
            return target.pieces.address(record.value), addend
        if section.flags & elf.SHF_ALLOC and section.name not in (".eh_frame", ".gcc_except_table"):
            self.problems.append(
                Diagnostic(
                    file.place(section, offset),
                    "refers to a discarded section",
                    file.symbol_name(index),
                    "the COMDAT groups of these objects do not agree: compile both with the same compiler",
                )
            )
        # debug information of discarded code: 0, but 1 where a 0 would end a list (as GNU ld and lld do)
        return (1 if section.name in (".debug_ranges", ".debug_loc") else 0), 0

    def section(self, section: InputSection, at: int) -> None:
        """Relocates a section whose content was copied to `at` in the output."""
        file = section.file
        if file is None or (not section.relocated_by and not section.records):
            return
        records = section.relocations()
        values = self.values(file)
        references, branches = values.references, values.branches
        # only code has branches: a relative pointer in data takes an address, whatever byte stands before it
        distinguish = branches is not references and bool(section.flags & elf.SHF_EXECINSTR)
        linear, special, none = self.machine.linear, self.machine.special, self.machine.none
        branch_like, got = self.machine.branch_like, self.got
        out, base, size, content = self.out, section.address, section.size, section.content
        self.at, self.place = at, base
        tls_calls, tls_sequences = self.machine.tls_call, self.machine.tls_sequences
        skip = -1
        for number, (offset, kind, index, addend) in enumerate(records):
            row = linear.get(kind)
            if row is None:
                if kind in none or number == skip:
                    continue
                entry = special.get(kind)
                if entry is None or offset + 4 > size:
                    self._damaged(section, file, offset, kind, index)
                    continue
                site = Site(section, file, offset, kind, index, addend, None)
                site.following = records[number + 1] if number + 1 < len(records) else None
                if kind in tls_sequences and site.calls_tls(tls_calls):
                    skip = number + 1
                try:
                    entry.apply(self, site)
                except IndexError:
                    self._damaged(section, file, offset, kind, index)
                continue
            if number == skip:
                continue
            _, width, s, p, g, low, high, branch = row
            if offset + width > size or index >= len(references):
                self._damaged(section, file, offset, kind, index)
                continue
            place = at + offset
            if addend is None:
                addend = int.from_bytes(out[place : place + width], "little", signed=True)
            value = (
                branches[index]
                if distinguish and (branch or (kind in branch_like and is_branch(content, offset)))
                else references[index]
            )
            if value is None:
                value, addend = self.cut(section, file, offset, index, addend)
            value = s * value + addend - p * (base + offset) + g * got
            if low != high and not low <= value <= high:
                self.overflow(section, file, offset, index, row.name, value, low, high)
                continue
            if width == 4:
                out[place : place + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")
            else:
                out[place : place + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")

    def _damaged(self, section: InputSection, file: ObjectFile, offset: int, kind: int, index: int) -> None:
        self.problems.append(
            Diagnostic(
                section.where,
                f"damaged or unknown: {self.name(kind)} at offset {offset:#x} of {section.size:#x}",
                file.symbol_name(index),
            )
        )

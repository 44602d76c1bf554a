"""Relocations: the two machines' tables in one vocabulary, and what their functions for single kinds are given.

Letters as in the psABI supplements: S the symbol's value, A the addend, P the place being relocated, G the address of the
symbol's GOT entry (relative to GOT where the ABI says so), GOT the address of _GLOBAL_OFFSET_TABLE_, TP the thread pointer.

Most kinds are linear: value = s*S + A - p*P + g*GOT. A machine's table gives (s, p, g), the field's size and the range
that the value must be in. The few others (GOT entries, thread-local storage, sizes), and those that rewrite an
instruction, are functions in i386.py and x86_64.py: a `scan` that says what is needed before addresses are known, and an
`apply`. Both decide by the same pure function whether an instruction can be relaxed, so they agree. machines.py lists the
tables; scan.py and apply.py go through the relocations of an input.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from uselib.linker.errors import Diagnostic
from uselib.linker.formats.elf import SHF_ALLOC, STT_SECTION, ElfRelocation
from uselib.linker.passes.model import InputSection, ObjectFile, Symbol
from uselib.linker.passes.symbol_values import SymbolPolicy, SymbolValues, symbol_values
from uselib.linker.quick_dataclass import NamedTuple, dataclass, field

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

    word: int  # bytes in a pointer
    linear: Mapping[int, LinearRelocation]
    special: Mapping[int, SpecialRelocation]
    none: frozenset[int]  # types that change nothing
    branch_like: frozenset[int]  # PC-relative 32-bit: a branch if the opcode before the field says so
    got_based: frozenset[int]  # linear kinds with g != 0
    tls_call: frozenset[str]  # __tls_get_addr's names, called behind GD and LD sequences
    tls_sequences: frozenset[int]  # those sequences: the call's relocation is consumed
    irelative: int  # the type that start-up code resolves: a word gets the value of a function called then
    iplt_entry: Callable[[int, int], bytes]  # code at an address that jumps through a GOT slot; IPLT_SIZE bytes
    scan_linear: Callable[[Needs, Site, LinearRelocation, bool], None] | None = (
        None  # dynamic outputs look at these too
    )


IPLT_SIZE = 16  # bytes of an entry for a function that is resolved at start-up


class Site:
    """A relocation that is not linear, while it is scanned or applied."""

    __slots__ = ("addend", "file", "following", "index", "offset", "section", "type")

    def __init__(
        self,
        section: InputSection,
        file: ObjectFile,
        record: ElfRelocation,
        following: ElfRelocation | None = None,
    ) -> None:
        self.section = section
        self.file = file
        self.offset, self.type, self.index, self.addend = record
        self.following = following

    @property
    def key(self) -> SymbolKey:
        return self.file.global_symbol(self.index) or (id(self.file), self.index)

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

    def add_got(self, site: Site) -> None:
        self.uses_got = True
        self.got.setdefault(site.key, (site.file, site.index))

    def add_got_tp(self, site: Site) -> None:
        self.uses_got = True
        self.got_tp.setdefault(site.key, (site.file, site.index))

    def add_got_tp_positive(self, site: Site) -> None:
        self.uses_got = True
        self.got_tp_positive.setdefault(site.key, (site.file, site.index))


def value_of_discarded(section: InputSection) -> int:
    """What a relocation of the section gets for a symbol of a section that was discarded: in debug information of discarded code 0, but 1
    where a 0 would end a list (as GNU ld and lld do). -1: it is an error."""
    if section.flags & SHF_ALLOC and section.name not in (".eh_frame", ".gcc_except_table"):
        return -1
    return 1 if section.name in (".debug_ranges", ".debug_loc") else 0


_PACK = {1: struct.Struct("<B"), 2: struct.Struct("<H"), 4: struct.Struct("<I"), 8: struct.Struct("<Q")}


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
        shared: bool = False,
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
        self.shared = shared  # the output is a shared object; these are empty in static programs:
        self.tls_gd_entries: Mapping[SymbolKey, int] = {}
        self.tls_desc_entries: Mapping[SymbolKey, int] = {}
        self.tls_ld_entry = 0
        self.problems: list[Diagnostic] = []
        # plain tuples: they are unpacked for each relocation, and a named tuple takes four times as long
        self.linear: dict[int, tuple[str, int, int, int, int, int, int, bool]] = {
            kind: (*row,) for kind, row in machine.linear.items()
        }
        self.out = bytearray()
        self._values: dict[int, SymbolValues] = {}
        self.at = 0  # of the section being relocated, in out
        self.place = 0  # its address

    def values(self, file: ObjectFile) -> SymbolValues:
        found = self._values.get(id(file))
        if found is None:
            found = self._values[id(file)] = symbol_values(file, self.policy, self.local_overrides)
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
            if record.type == STT_SECTION:
                return target.pieces.address(record.value + addend), 0
            return target.pieces.address(record.value), addend
        value = value_of_discarded(section)
        if value < 0:
            self.problems.append(
                Diagnostic(
                    file.place(section, offset),
                    "refers to a discarded section",
                    file.symbol_name(index),
                    "the COMDAT groups of these objects do not agree: compile both with the same compiler",
                )
            )
        return max(value, 0), 0

    def damaged(self, section: InputSection, file: ObjectFile, record: ElfRelocation) -> None:
        """A relocation that is not in its section, or of a type that no table has."""
        self.problems.append(
            Diagnostic(
                section.where,
                f"damaged or unknown: {self.name(record.type)} at offset {record.offset:#x} of {section.size:#x}",
                file.symbol_name(record.symbol),
            )
        )

"""The first look at relocations of a dynamic output: PLT and GOT entries, copies, and what is left to the dynamic linker.

    reference                  to a symbol that is not preemptible      to a preemptible one
    call, jump                 direct                                   PLT entry
    address, word in data      PIC: RELATIVE; else final                symbolic relocation
    address in code, program   final                                    function: its PLT entry is its address (canonical); variable: copy
    address in code, PIC       must be PC-relative                      shared object: error, compile with -fPIC
    GOT                        relaxed, or PIC: RELATIVE                GLOB_DAT

The machines' numbers are in x86_64_dynamic.py and i386_dynamic.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from uselib.linker.errors import Diagnostic
from uselib.linker.formats.elf import SHF_WRITE, SHN_ABS, STT_GNU_IFUNC, STT_OBJECT, STV_PROTECTED
from uselib.linker.passes.apply import is_branch
from uselib.linker.passes.dynamic_symbols import FUNCTIONS, DynamicPlan
from uselib.linker.passes.dynamic_words import DynamicWords
from uselib.linker.passes.layout import default_place
from uselib.linker.passes.model import UNDEFINED, InputSection, ObjectFile, Symbol
from uselib.linker.passes.relocations import (
    LinearRelocation,
    MachineRelocations,
    Needs,
    Site,
    SpecialRelocation,
    SymbolKey,
)
from uselib.linker.quick_dataclass import NamedTuple, dataclass, field


class DynamicTypes(NamedTuple):
    """A machine's relocation types for the dynamic linker."""

    word: int  # S + A
    relative: int
    chosen: int  # a word with the address of a function chosen at start-up: RELATIVE of its entry in .plt.ifunc, or IRELATIVE
    glob_dat: int
    jump_slot: int
    copy: int
    tpoff: int
    tpoff_positive: int  # TP - S (i386), or 0
    dtpmod: int
    dtpoff: int
    tlsdesc: int


@dataclass
class DynamicNeeds(Needs):
    """What the scan found for a dynamic output. Insertion order is the order of entries."""

    plan: DynamicPlan | None = None
    types: DynamicTypes | None = None
    copy_relocations: bool = True
    plt: list[Symbol] = field(default_factory=list)
    plt_got: list[Symbol] = field(default_factory=list)  # those of them that have a GOT entry as well (settle_plt)
    copies: list[Symbol] = field(default_factory=list)
    words: DynamicWords = field(default_factory=lambda: DynamicWords(0))  # left to the dynamic linker
    imports: dict[Symbol, None] = field(default_factory=dict)  # what they refer to and the output does not export
    tls_gd: dict[SymbolKey, tuple[ObjectFile, int]] = field(default_factory=dict)  # module and offset
    tls_ld: bool = False  # the output's own module
    tls_desc: dict[SymbolKey, tuple[ObjectFile, int]] = field(default_factory=dict)
    static_tls: bool = False  # DF_STATIC_TLS: initial-exec code in a shared object
    text_relocations: list[tuple[Site, str]] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)

    def add_plt(self, symbol: Symbol) -> None:
        dynamic = symbol.dynamic
        assert dynamic is not None
        if dynamic.plt < 0:
            dynamic.plt = len(self.plt)
            self.plt.append(symbol)

    def problem(self, site: Site, name: str, message: str, remedy: str = "compile with -fPIC") -> None:
        where = site.file.place(site.section, site.offset)
        self.problems.append(Diagnostic(where, f"{name}: {message}", site.file.symbol_name(site.index), remedy))


def preemptible(site: Site) -> bool:
    """Whether what the site's symbol is bound to is decided at start-up."""
    symbol = site.file.global_symbol(site.index)
    return symbol is not None and symbol.dynamic is not None and symbol.dynamic.preemptible


def constant(site: Site) -> bool:
    """Whether the symbol's value is a number that does not move with the output: absolute, or undefined and weak (0)."""
    symbol = site.file.global_symbol(site.index)
    if symbol is not None:
        return symbol.section is None and not symbol.provided
    return site.file.symbols[site.index].section in (0, SHN_ABS)


def is_chosen(site: Site) -> bool:
    """Whether the symbol is a function of the output that is chosen at start-up (STT_GNU_IFUNC)."""
    symbol = site.file.global_symbol(site.index)
    if symbol is not None:
        return symbol.type == STT_GNU_IFUNC and symbol.section is not None and not preemptible(site)
    return site.file.symbols[site.index].type == STT_GNU_IFUNC


def dynamic_machine(machine: MachineRelocations, special: MachineRelocations, plan: DynamicPlan) -> MachineRelocations:
    """The machine's tables for a dynamic output. In a shared object the calls behind TLS sequences stay."""
    return special._replace(
        scan_linear=scan_linear, tls_sequences=frozenset() if plan.shared else machine.tls_sequences
    )


class OddOfDynamic:
    """The OddRelocations of dynamic outputs: those of preemptible symbols, words that move with the output, and all that are not linear."""

    def __init__(self, machine: MachineRelocations, plan: DynamicPlan) -> None:
        linear = machine.linear
        moving = {kind for kind, row in linear.items() if row.s and not row.p and not row.g} if plan.pic else set()
        self._quiet = linear.keys() - moving - machine.got_based

    def __call__(self, sections: Iterable[InputSection], _plain: set[int]) -> Iterator[tuple[InputSection, list[int]]]:
        loud: dict[int, list[bool]] = {}
        quiet = self._quiet
        for section in sections:
            file = section.file
            assert file is not None
            flags = loud.get(id(file))
            if flags is None:
                flags = [False] * file.first_global
                flags += [s.dynamic is not None and s.dynamic.preemptible for s in file.globals]
                loud[id(file)] = flags
            count, size = len(flags), section.size
            numbers = [
                number
                for number, (offset, kind, index, _) in enumerate(section.relocation_rows())
                if kind not in quiet or index >= count or offset >= size or flags[index]
            ]
            if numbers:
                yield section, numbers


def scan_linear(needs: Needs, site: Site, row: LinearRelocation, branch_like: bool) -> None:
    """A linear relocation: value = s*S + A - p*P + g*GOT."""
    assert isinstance(needs, DynamicNeeds) and needs.plan is not None
    symbol = site.file.global_symbol(site.index)
    bound_late = preemptible(site)
    if not row.s:
        return
    if row.branch or (branch_like and is_branch(site.section.content, site.offset)):
        if bound_late and symbol is not None:
            needs.add_plt(symbol)
        return
    if row.p or row.g:
        if bound_late:
            _direct(needs, site, row.name)
        elif row.g and _by_word(needs, site):
            text = "cannot be used for a function that is chosen at start-up (IFUNC): its entry needs %ebx"
            needs.problem(site, row.name, text, "take its address from data, or call it")
        return
    _scan_value(needs, site, row, symbol if bound_late else None)


def _scan_value(needs: DynamicNeeds, site: Site, row: LinearRelocation, late: Symbol | None) -> None:
    """The symbol's value itself. late: the symbol, if it is bound at start-up."""
    assert needs.plan is not None
    word = needs.types is not None and site.type == needs.types.word
    if late is not None:
        if word and (needs.plan.shared or site.section.flags & SHF_WRITE):
            _leave(needs, site, row.name, late)
        else:
            _direct(needs, site, row.name)
    elif needs.plan.pic and not constant(site):
        if word:
            _leave(needs, site, row.name)
        else:
            needs.problem(
                site,
                row.name,
                f"cannot be used in a {_kind(needs.plan)}: its field is too small for an address that moves",
            )


def chosen_by_word(types: DynamicTypes, plan: DynamicPlan) -> bool:
    """Whether words with the address of a function chosen at start-up get it by IRELATIVE: its entry in .plt.ifunc is for calls only, as on
    i386, where it needs %ebx of the output."""
    return plan.pic and types.chosen != types.relative


def _by_word(needs: DynamicNeeds, site: Site) -> bool:
    """Whether the symbol is such a function."""
    return (
        needs.types is not None
        and needs.plan is not None
        and chosen_by_word(needs.types, needs.plan)
        and is_chosen(site)
    )


def _kind(plan: DynamicPlan) -> str:
    return "shared object" if plan.shared else "position-independent program"


def _leave(needs: DynamicNeeds, site: Site, name: str, symbol: Symbol | None = None) -> None:
    """Leaves a word to the dynamic linker."""
    assert needs.types is not None
    if not site.section.flags & SHF_WRITE:
        needs.text_relocations.append((site, site.file.symbol_name(site.index)))
    if symbol is not None:
        assert symbol.dynamic is not None
        if not symbol.dynamic.exported:
            needs.imports.setdefault(symbol)
        needs.words.add(site.section, site.offset, needs.types.word, site.index, _addend(site))
        return
    kind = needs.types.relative
    if _by_word(needs, site):
        kind = needs.types.chosen
        if addend := _addend(site):
            text = f"an addend of {addend} to a function that is chosen at start-up (IFUNC)"
            needs.problem(site, name, text, "use its address alone")
    needs.words.add(site.section, site.offset, kind)


def _addend(site: Site) -> int:
    """Of a word; on i386 it is in the field."""
    if site.addend is not None:
        return site.addend
    at = site.offset
    return int.from_bytes(bytes(site.section.content[at : at + 4]).ljust(4, b"\0"), "little", signed=True)


def _direct(needs: DynamicNeeds, site: Site, name: str) -> None:
    """A direct reference to a preemptible symbol, which a program makes its own: a function by its PLT entry, a variable by a copy."""
    symbol = site.file.global_symbol(site.index)
    assert symbol is not None and symbol.dynamic is not None and needs.plan is not None
    definition = symbol.dynamic.definition
    if needs.plan.shared:
        what = "undefined symbol" if symbol.rank == UNDEFINED else "symbol that another object may define"
        needs.problem(
            site,
            name,
            f"cannot be used in a shared object: direct reference to an {what}".replace("an symbol", "a symbol"),
        )
    elif definition is None:
        return  # weak and undefined: 0
    elif definition.visibility == STV_PROTECTED:
        what = "non-canonical reference to" if definition.type in FUNCTIONS else "copy relocation against"
        text = f"{what} a protected symbol of a shared object, which keeps its own"
        needs.problem(site, name, text, "compile with -fPIC, so that it is accessed by the GOT")
    elif definition.type in FUNCTIONS:
        symbol.dynamic.canonical = True
        needs.add_plt(symbol)
    elif not needs.copy_relocations:
        needs.problem(site, name, "needs a copy relocation, and -z nocopyreloc forbids it")
    elif not symbol.dynamic.copied:
        symbol.dynamic.copied = True
        symbol.type = definition.type or STT_OBJECT
        needs.copies.append(symbol)


def drop_writable(needs: DynamicNeeds, names: set[str]) -> None:
    """A relocation is no text relocation if its output section, one of these names, is writable by other inputs."""
    needs.text_relocations = [
        (site, name)
        for site, name in needs.text_relocations
        if (place := default_place(site.section.name)) is None or place.name not in names
    ]


def settle_plt(needs: DynamicNeeds) -> None:
    """After the scan: functions that have a GOT entry, which is bound at start-up, need no lazily bound one besides."""
    wanted, needs.plt = needs.plt, []
    for symbol in wanted:
        dynamic = symbol.dynamic
        assert dynamic is not None
        dynamic.through_got = symbol in needs.got and not dynamic.canonical
        rows = needs.plt_got if dynamic.through_got else needs.plt
        dynamic.plt = len(rows)
        rows.append(symbol)


def settle_words(needs: DynamicNeeds) -> None:
    """After the scan: words that refer to what the program has made its own (copies, canonical PLT entries) are final, or move with it."""
    assert needs.plan is not None and needs.types is not None
    if needs.copies or any(symbol.dynamic is not None and symbol.dynamic.canonical for symbol in needs.plt):
        needs.words.settle(needs.types.relative if needs.plan.pic else None)


# -- thread-local data, for both machines' tables -----------------------------------------------------------------------


def dynamic_needs(needs: Needs) -> DynamicNeeds:
    assert isinstance(needs, DynamicNeeds)
    return needs


def makes_shared(needs: Needs) -> bool:
    """Whether the output is a shared object."""
    plan = dynamic_needs(needs).plan
    return plan is not None and plan.shared


def scan_general_dynamic(needs: Needs, site: Site) -> None:
    """A pair (module, offset) in a shared object; in a program initial-exec if the symbol is preemptible, else local-exec."""
    _thread_entry(needs, site, dynamic_needs(needs).tls_gd)


def scan_descriptor(needs: Needs, site: Site) -> None:
    """A descriptor in a shared object; in a program as `scan_general_dynamic`."""
    _thread_entry(needs, site, dynamic_needs(needs).tls_desc)


def _thread_entry(needs: Needs, site: Site, entries: dict[SymbolKey, tuple[ObjectFile, int]]) -> None:
    if makes_shared(needs):
        needs.uses_got = True
        entries.setdefault(site.key, (site.file, site.index))
    elif preemptible(site):
        needs.add_got_tp(site)


def scan_local_dynamic(needs: Needs, _site: Site) -> None:
    """The output's own module, in a shared object."""
    if makes_shared(needs):
        needs.uses_got = dynamic_needs(needs).tls_ld = True


def local_exec(row: SpecialRelocation) -> SpecialRelocation:
    """An offset from TP that is known at link time: in programs only."""

    def scan(needs: Needs, site: Site) -> None:
        if makes_shared(needs):
            text = "local-exec code for thread-local data cannot be used in a shared object"
            dynamic_needs(needs).problem(site, row.name, text)

    return SpecialRelocation(row.name, scan, row.apply)

"""The first look at relocations: which GOT entries and functions resolved at start-up they need. Addresses are not known yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from uselib.linker.errors import Diagnostic, LinkError
from uselib.linker.formats.elf import STT_GNU_IFUNC, ElfRelocation
from uselib.linker.passes.model import InputSection, ObjectFile, Symbol
from uselib.linker.passes.relocations import MachineRelocations, Needs, Site
from uselib.linker.passes.resolution import Resolution

OddRelocations = Callable[[Iterable[InputSection], set[int]], Iterable[tuple[InputSection, list[int]]]]
"""What finds the relocations that are damaged, or of another type than these: sections, and the numbers of these in them."""


def scan(machine: MachineRelocations, resolution: Resolution, odd: OddRelocations, needs: Needs) -> None:
    """Looks at every relocation of the live allocated sections, and fills `needs`. After it there are no more symbols. Raises LinkError."""
    problems: list[Diagnostic] = []
    plain = machine.linear.keys() - machine.got_based  # types that need nothing: nearly all relocations
    sections = [s for s in resolution.allocated() if s.relocated_by or s.records]
    for section, numbers in odd(sections, plain):
        _scan_section(machine, section, numbers, needs, problems)
    _find_ifuncs(resolution, sections, needs)
    if problems:
        raise LinkError(*dict.fromkeys(problems))


def odd_relocations(sections: Iterable[InputSection], plain: set[int]) -> Iterator[tuple[InputSection, list[int]]]:
    """The OddRelocations of links that are not large."""
    return ((section, _odd(section, plain)) for section in sections)


def _odd(section: InputSection, plain: set[int]) -> list[int]:
    assert section.file is not None
    count, size = len(section.file.symbols), section.size
    return [
        number
        for number, (offset, kind, index, _) in enumerate(section.relocation_rows())
        if kind not in plain or index >= count or offset >= size
    ]


def _scan_section(
    machine: MachineRelocations,
    section: InputSection,
    numbers: Iterable[int],
    needs: Needs,
    problems: list[Diagnostic],
) -> None:
    linear, special, none, got_based = machine.linear, machine.special, machine.none, machine.got_based
    records, file = section.relocations(), section.file
    assert file is not None
    count, size = len(file.symbols), section.size
    scan_linear, branch_like, skip = machine.scan_linear, machine.branch_like, -1
    for number in numbers:
        if number == skip:  # the call behind a TLS sequence, which goes with it
            continue
        offset, kind, index, _ = records[number]
        if index >= count:
            problems.append(Diagnostic(section.where, f"damaged: a relocation refers to symbol {index} of {count}"))
            break
        if offset >= size and kind not in none:
            text = f"damaged: a relocation lies at {offset:#x}, beyond the section's end"
            problems.append(Diagnostic(section.where, text))
            break
        if kind in linear:
            if kind in got_based:
                needs.uses_got = True
            if scan_linear is not None:
                scan_linear(needs, Site(section, file, records[number]), linear[kind], kind in branch_like)
        elif kind in special:
            prepare, site = special[kind].scan, Site(section, file, records[number], following(records, number))
            if prepare is not None:
                prepare(needs, site)
            if scan_linear is not None and kind in machine.tls_sequences and site.calls_tls(machine.tls_call):
                skip = number + 1
        elif kind not in none:
            text = f"relocation type {kind} is not known"
            problems.append(Diagnostic(section.where, text, file.symbol_name(index)))


def following(records: Sequence[ElfRelocation], number: int) -> ElfRelocation | None:
    """The relocation behind record `number`."""
    return records[number + 1] if number + 1 < len(records) else None


def _find_ifuncs(resolution: Resolution, sections: Iterable[InputSection], needs: Needs) -> None:
    """Functions that are resolved at start-up, by the references to them."""
    shared = any(symbol.type == STT_GNU_IFUNC for symbol in resolution.symbols.values())
    of_file: dict[int, set[int]] = {id(file): _ifuncs(file, shared) for file in resolution.files}
    for section in sections:
        file = section.file
        wanted = of_file[id(file)]
        if not wanted or file is None:
            continue
        for _, _, index, _ in section.relocation_rows():
            if index in wanted:
                needs.ifuncs.setdefault(file.global_symbol(index) or (id(file), index), (file, index))


def _late(symbol: Symbol) -> bool:
    """Whether the dynamic linker binds it, and calls the resolver of whoever defines it."""
    return not symbol.rank or (symbol.dynamic is not None and symbol.dynamic.preemptible)


def _ifuncs(file: ObjectFile, shared: bool) -> set[int]:
    """The file's symbol indices that stand for functions resolved at start-up. shared: there are global ones."""
    first = file.first_global
    found = {index for index, info in enumerate(file.infos(0, first)) if info & 15 == STT_GNU_IFUNC}
    if shared:
        rows = enumerate(file.globals, first)
        found.update(i for i, s in rows if s.type == STT_GNU_IFUNC and s.section is not None and not _late(s))
    return found

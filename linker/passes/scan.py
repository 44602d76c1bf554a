"""The first look at relocations: which GOT entries and functions resolved at start-up they need. Addresses are not known yet."""

from __future__ import annotations

from uselib.linker.errors import Diagnostic, LinkError
from uselib.linker.formats.elf import STT_GNU_IFUNC, ElfRelocation
from uselib.linker.passes.model import InputSection, ObjectFile
from uselib.linker.passes.relocations import MachineRelocations, Needs, Site
from uselib.linker.passes.resolve import Resolution


def scan(machine: MachineRelocations, resolution: Resolution) -> Needs:
    """Looks at every relocation of the live allocated sections. After it there are no more symbols. Raises LinkError."""
    needs = Needs()
    problems: list[Diagnostic] = []
    plain = machine.linear.keys() - machine.got_based  # types that need nothing: nearly all relocations
    for section in resolution.allocated():
        file = section.file
        if file is not None and (section.relocated_by or section.records is not None):
            _scan_section(machine, plain, section, file, needs, problems)
    if _has_ifunc(resolution):
        for section in resolution.allocated():
            _find_ifuncs(section, needs)
    if problems:
        raise LinkError(*dict.fromkeys(problems))
    return needs


def _scan_section(
    machine: MachineRelocations,
    plain: set[int],
    section: InputSection,
    file: ObjectFile,
    needs: Needs,
    problems: list[Diagnostic],
) -> None:
    linear, special, none, got_based = machine.linear, machine.special, machine.none, machine.got_based
    records = section.relocations()
    count, size = len(file.symbols), section.size
    for number, (offset, kind, index, _) in enumerate(records):
        if kind in plain and index < count and offset < size:
            continue
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
        elif kind in special:
            prepare = special[kind].scan
            if prepare is not None:
                prepare(needs, Site(section, file, records[number], following(records, number)))
        elif kind not in none:
            text = f"relocation type {kind} is not known"
            problems.append(Diagnostic(section.where, text, file.symbol_name(index)))


def following(records: list[ElfRelocation], number: int) -> ElfRelocation | None:
    """The relocation behind record `number`."""
    return records[number + 1] if number + 1 < len(records) else None


def _has_ifunc(resolution: Resolution) -> bool:
    if any(symbol.type == STT_GNU_IFUNC for symbol in resolution.symbols.values()):
        return True
    return any(s.info & 15 == STT_GNU_IFUNC for f in resolution.files for s in f.symbols[: f.first_global])


def _find_ifuncs(section: InputSection, needs: Needs) -> None:
    """Functions that are resolved at start-up, by the references to them."""
    file = section.file
    if file is None:
        return
    for record in section.relocations():
        if record.symbol >= len(file.symbols):
            return  # reported already
        site = Site(section, file, record)
        if site.symbol_type == STT_GNU_IFUNC:
            symbol = file.global_symbol(record.symbol)
            if symbol is None or (symbol.rank and symbol.section is not None):
                needs.ifuncs.setdefault(site.key, (file, record.symbol))

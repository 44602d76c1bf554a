"""--gc-sections: removes sections that are not reachable from the entry point and the kept sections."""

from __future__ import annotations

from collections.abc import Iterable

from uselib.linker.formats.elf import (
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_GNU_RETAIN,
    SHF_LINK_ORDER,
    SHT_FINI_ARRAY,
    SHT_INIT_ARRAY,
    SHT_NOTE,
    SHT_PREINIT_ARRAY,
)
from uselib.linker.passes.model import InputSection, Symbol
from uselib.linker.passes.resolution import Resolution

_KEPT_TYPES = frozenset((SHT_INIT_ARRAY, SHT_FINI_ARRAY, SHT_PREINIT_ARRAY, SHT_NOTE))
_KEPT_NAMES = (".init", ".fini", ".ctors", ".dtors", ".jcr", ".lib", ".init_array", ".fini_array", ".preinit_array")


def kept(section: InputSection) -> bool:
    """Sections that are kept without a reference to them (KEEP in GNU ld's script)."""
    if section.flags & SHF_GNU_RETAIN or section.type in _KEPT_TYPES:
        return True
    name = section.name
    return name in _KEPT_NAMES or name.startswith((".ctors.", ".dtors.", ".init_array.", ".fini_array."))


def collect(resolution: Resolution, roots: Iterable[Symbol]) -> list[InputSection]:
    """Sets `live` of every allocated section; returns those that are left out."""
    sections = [s for file in resolution.files for s in file.sections if s is not None and s.flags & SHF_ALLOC]
    by_name: dict[str, list[InputSection]] = {}
    frames = []
    linked: dict[tuple[int, int], list[InputSection]] = {}
    for section in sections:
        section.live = False
        if section.name.isidentifier():
            by_name.setdefault(section.name, []).append(section)
        if section.name == ".eh_frame":
            frames.append(section)
        if (
            section.flags & SHF_LINK_ORDER and section.file is not None
        ):  # kept exactly when the section that it is about is kept
            about = section.file.elf.sections[section.index][6]
            linked.setdefault((id(section.file), about), []).append(section)
    pending = [section for section in sections if kept(section)]
    pending += [symbol.section for symbol in roots if symbol.section is not None]
    seen: set[int] = set()

    def follow(section: InputSection, *, data_only: bool) -> None:
        file = section.file
        if file is None:
            return
        for _, _, index, _ in section.relocation_rows():
            if index >= len(file.symbols):
                continue  # reported by the scan
            target = file.section_of(index)
            symbol = file.global_symbol(index)
            if target is None and symbol is not None and symbol.name.startswith(("__start_", "__stop_")):
                pending.extend(by_name.pop(symbol.name.partition("_")[2].partition("_")[2].partition("_")[2], ()))
            if target is not None and not (data_only and target.flags & SHF_EXECINSTR):
                pending.append(target)

    for frame in frames:  # FDEs keep no code, but the personalities and LSDAs of kept code must be there
        frame.live = True
        follow(frame, data_only=True)
    while pending:
        section = pending.pop()
        if id(section) in seen:
            continue
        seen.add(id(section))
        section.live = True
        pending += linked.get((id(section.file), section.index), ())
        if section.name != ".eh_frame":
            follow(section, data_only=False)
    return [section for section in sections if not section.live]

"""-Map: the addresses of sections and symbols, in a form close to GNU ld's."""

from __future__ import annotations

import sys

from uselib.linker.formats.elf import SHF_ALLOC
from uselib.linker.options import Options
from uselib.linker.passes.model import InputSection, Symbol
from uselib.linker.quick_typing import TYPE_CHECKING
from uselib.linker.writing import write_atomically

if TYPE_CHECKING:
    from uselib.linker.link import Linked


def _row(name: str, address: int, size: int, rest: str = "") -> str:
    head = f" {name:<15}" if len(name) <= 15 else f" {name}\n                "
    return f"{head} {address:#018x} {size:#10x} {rest}".rstrip()


def _owner(section: InputSection) -> str:
    return section.file.where if section.file is not None else "linker"


def discarded_lines(result: Linked) -> str:
    """One line for each section that --gc-sections left out."""
    return "\n".join(f"removing unused section '{s.name}' in file '{_owner(s)}'" for s in result.discarded if s.size)


def map_text(result: Linked) -> str:
    """The whole map."""
    lines = []
    if result.discarded:
        lines.append("Discarded input sections\n")
        lines += [_row(s.name, 0, s.size, _owner(s)) for s in result.discarded]
        lines.append("")
    lines.append("Linker script and memory map\n")
    lines += [f"LOAD {file.where}" for file in result.resolution.files]
    by_section: dict[int, list[Symbol]] = {}
    for symbol in result.resolution.symbols.values():
        if symbol.section is not None:
            by_section.setdefault(id(symbol.section), []).append(symbol)
    for output in result.layout.sections:
        address = output.address if output.flags & SHF_ALLOC else 0
        lines.append("\n" + _row(output.name, address, output.size)[1:])
        for section in output.inputs:
            if not section.size and id(section) not in by_section:
                continue
            lines.append(_row(section.name, section.address, section.size, _owner(section)))
            for symbol in sorted(by_section.get(id(section), ()), key=lambda s: (s.address, s.name)):
                lines.append(f"                {symbol.address:#018x}                {symbol.name}")
    absolute = [s for s in result.resolution.symbols.values() if s.section is None and (s.rank or s.provided)]
    if absolute:
        lines.append("\nAbsolute symbols\n")
        for symbol in sorted(absolute, key=lambda s: (s.address, s.name)):
            library = symbol.file.where if symbol.file is not None else "linker"
            lines.append(f"                {symbol.address:#018x}                {symbol.name} {library}")
    return "\n".join(lines) + "\n"


def write_map(result: Linked, options: Options) -> None:
    """Writes -Map's file, or for -M and `-Map -` to stdout."""
    text = map_text(result)
    if options.print_map or options.map_file == "-":
        sys.stdout.write(text)
    if options.map_file and options.map_file != "-":
        write_atomically(options.map_file, text.encode("utf-8", "surrogateescape"), 0o666)

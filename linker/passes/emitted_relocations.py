"""--emit-relocs: the relocations that were applied, for tools that rewrite programs.

Where an instruction was rewritten, its relocation is as in GNU ld: a relaxed access to a GOT entry becomes a direct one; the types of
rewritten TLS sequences stay."""

from __future__ import annotations

from collections.abc import Iterator

from uselib.linker.formats.elf import ElfRelocation
from uselib.linker.image import Machine
from uselib.linker.options import Options
from uselib.linker.passes import i386, x86_64
from uselib.linker.passes.kept_relocations import Changed, KeptRelocations, NumberedRow, number_symbols
from uselib.linker.passes.layout import Layout
from uselib.linker.passes.model import InputSection
from uselib.linker.passes.output_symbols import SymbolList, SymbolRows, global_row
from uselib.linker.passes.relocations import Applying, Site
from uselib.linker.passes.resolution import Resolution

_X86_64_PC32, _X86_64_32S, _X86_64_GOTPCRELX = 2, 11, (41, 42)
_386_32, _386_PC32, _386_GOTOFF, _386_GOT32X = 1, 2, 9, 43


def emit_relocations(
    kept: KeptRelocations,
    image: bytearray,
    layout: Layout,
    resolution: Resolution,
    options: Options,
    own: SymbolRows,
    run: Applying,
) -> SymbolList:
    """Fills the sections of relocations in. Result: the output's symbols. own: the rows of the kind of output for a global symbol."""
    made = set(map(id, kept.sections))
    outputs = [section for section in layout.sections if id(section) not in made]
    all_labels = not options.discard_locals
    files = [file for file in resolution.files if file.stub is None]
    symbols = number_symbols(
        outputs, files, _rows(resolution, layout, own), lambda _file, _index, name: all_labels and name[:2] != ".L"
    )
    kept.fill(image, symbols, partial=False, changed=_changed_by_relaxation(layout.machine, run))
    return symbols.rows


def _rows(resolution: Resolution, layout: Layout, own: SymbolRows) -> Iterator[NumberedRow]:
    for symbol in resolution.symbols.values():
        special = own(symbol)
        if special is not None:
            yield from (NumberedRow(row, id(symbol)) for row in special)
        elif (row := global_row(symbol, layout)) is not None:
            yield NumberedRow(row, id(symbol))


def _changed_by_relaxation(machine: Machine, run: Applying) -> Changed:
    """The function for `KeptRelocations.fill`."""

    def x86_64_changed(section: InputSection, record: ElfRelocation) -> ElfRelocation:
        if record.type not in _X86_64_GOTPCRELX or (site := _site(section, record)).key in run.got_entries:
            return record
        how = x86_64.relaxes(site)
        if how == "lea" and x86_64.is_constant(site):  # mov $foo,%reg
            return record._replace(type=_X86_64_32S, addend=0)
        return record._replace(type=_X86_64_PC32, offset=record.offset - (how == "jmp")) if how else record

    def i386_changed(section: InputSection, record: ElfRelocation) -> ElfRelocation:
        if record.type != _386_GOT32X or (site := _site(section, record)).key in run.got_entries:
            return record
        how = i386.relaxes(site)
        types = {"mov": _386_32, "lea": _386_GOTOFF, "call": _386_PC32, "jmp": _386_PC32}
        return record._replace(type=types[how], offset=record.offset - (how == "jmp")) if how else record

    return x86_64_changed if machine is Machine.X86_64 else i386_changed


def _site(section: InputSection, record: ElfRelocation) -> Site:
    assert section.file is not None
    return Site(section, section.file, record)

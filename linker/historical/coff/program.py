"""Programs in COFF of System V Release 3 (`-m i386coff`).

    .init   the fragments that objects bring, in link order: crt1.o begins it, host libraries set their import pointers, crtn.o ends it
    .text   all other code and constants
    .data   at DATA_START, at the offset within a page that it has in the file; .bss behind it
    .lib    not loaded: the paths of the target libraries, for the kernel; each library once

Source: coff(4); docs/historical-systems.md, System V Release 3.
"""

from __future__ import annotations

from collections.abc import Iterable

from uselib.linker.errors import Diagnostics, FormatError, error
from uselib.linker.formats.elf import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS, SHT_PROGBITS
from uselib.linker.historical.coff import format as coff
from uselib.linker.historical.coff.format import Coff, CoffSection, CoffSymbol, OptionalHeader
from uselib.linker.historical.symbol_table import table_symbols
from uselib.linker.image import PAGE, Machine
from uselib.linker.options import Options
from uselib.linker.outputs.kind import OutputKind
from uselib.linker.passes.layout import Layout, LayoutPolicy, Placement, align
from uselib.linker.passes.model import UNDEFINED, InputSection, ObjectFile, OutputSection
from uselib.linker.passes.output_symbols import OutputSymbol, OutputSymbols
from uselib.linker.passes.resolution import Resolution

LIBRARIES = ".lib"
DATA_START = 0x400000
_HEADERS = 20 + 28 + 40 * 5
_FLAGS = {
    ".init": coff.STYP_TEXT,
    ".text": coff.STYP_TEXT,
    ".data": coff.STYP_DATA,
    ".bss": coff.STYP_BSS,
    LIBRARIES: coff.STYP_LIB,
}


def own_files(resolution: Resolution) -> dict[int, ObjectFile]:
    """A program's or library's own objects by identity: not the members of host libraries, which all refer to their `_lib_NAME`."""
    markers = {
        symbol.name
        for file in resolution.files
        if any(section is not None and section.name == LIBRARIES for section in file.sections)
        for symbol in file.globals
    }
    return {id(file): file for file in resolution.files if all(s.name not in markers for s in file.globals)}


def report_missing(resolution: Resolution) -> None:
    """Raises LinkError for undefined symbols of libraries. Their members have no relocations, so the passes do not report these."""
    own, problems = own_files(resolution), Diagnostics()
    for file in resolution.files:
        if id(file) in own:
            continue
        sections = [section for section in file.sections if section is not None and section.live]
        related = {file.symbol_name(index) for section in sections for _, _, index, _ in section.relocation_rows()}
        for symbol in file.globals:
            if symbol.rank == UNDEFINED and symbol.name not in related:
                problems.add(
                    file.where,
                    f"undefined symbol: {symbol.name}",
                    symbol=symbol.name,
                    remedy="the library refers to it: link the host library that has it as well",
                )
    problems.raise_if_any()


class CoffProgram(OutputKind):
    """An executable."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def prepare(self, resolution: Resolution, options: Options) -> list[InputSection]:
        if resolution.machine is not Machine.I386:
            raise error("ld", "COFF is a format of i386", remedy="link objects for i386")
        for file in resolution.files:
            for section in file.sections:
                if section is not None and section.name == LIBRARIES:
                    section.live = False
                    try:
                        records = coff.decode_libraries(bytes(section.content), section.where)
                    except FormatError as failure:
                        raise error(section.where, failure.diagnostics[0].message) from None
                    self.paths += [record.path for record in records if record.path not in self.paths]
        report_missing(resolution)
        return []

    def layout(self, options: Options, resolution: Resolution) -> LayoutPolicy:
        return CoffLayout(options.base or 0, DATA_START)

    def entry(self, resolution: Resolution, layout: Layout, options: Options) -> int:
        symbol = resolution.symbols.get(options.entry)
        if symbol is None or symbol.rank == UNDEFINED:
            raise error("ld", f"no object defines the entry point {options.entry}", remedy="link crt1.o or give -e")
        return symbol.address

    def complete(self, image: bytearray, layout: Layout, entry: int, rows: OutputSymbols | None) -> None:
        extra = []
        if self.paths:
            content = b"".join(coff.encode_library(path) for path in self.paths)
            extra.append(CoffSection(LIBRARIES, 0, len(content), coff.STYP_LIB, content, paddr=len(self.paths)))
        image[:] = encode_image(coff.ZMAGIC, image, layout, entry, rows, extra)


def encode_image(
    magic: int,
    image: bytearray,
    layout: Layout,
    entry: int,
    rows: OutputSymbols | None,
    extra: Iterable[CoffSection] = (),
) -> bytes:
    """The file, from the contents of the sections at their offsets in `image`."""
    sections = []
    for output in layout.sections:
        content = b"" if output.type == SHT_NOBITS else bytes(image[output.offset : output.offset + output.size])
        sections.append(CoffSection(output.name, output.address, output.size, _FLAGS[output.name], content))
    sections += extra

    def size(*names: str) -> int:
        return sum(section.size for section in sections if section.name in names)

    start = {section.name: section.address for section in sections}
    optional = OptionalHeader(
        magic,
        text_size=size(".init", ".text"),
        data_size=size(".data"),
        bss_size=size(".bss"),
        entry=entry,
        text_start=start.get(".init", start.get(".text", 0)),
        data_start=start.get(".data", 0),
    )
    symbols = tuple(_symbols(rows or (), layout))
    flags = coff.F_RELFLG | coff.F_EXEC | coff.F_LNNO | coff.F_AR32WR
    return coff.encode(Coff(tuple(sections), symbols, optional, flags), PAGE)


def _symbols(rows: Iterable[OutputSymbol], layout: Layout) -> Iterable[CoffSymbol]:
    for name, local, section, value in table_symbols(rows, layout):
        if section != coff.N_UNDEF:
            yield CoffSymbol(name, value, section, coff.C_STAT if local else coff.C_EXT)


class CoffLayout:
    """The LayoutPolicy of programs and target libraries. order: of single input sections: id -> (output name, key)."""

    def __init__(
        self, text: int, data: int | None, order: dict[int, tuple[str, int]] | None = None, headers: int = _HEADERS
    ) -> None:
        self.text, self.data, self.headers = text, data, headers
        self.order = order or {}

    def place(self, section: InputSection) -> Placement | None:
        known = self.order.get(id(section))
        if known is not None:
            return Placement(*known)
        if not section.flags & SHF_ALLOC or section.name.startswith((".note", ".eh_frame")):
            return None
        if section.name == ".init":
            return Placement(".init")
        if section.type == SHT_NOBITS:
            return Placement(".bss")
        return Placement(".data", 1 << 20) if section.flags & SHF_WRITE else Placement(".text", 1 << 20)

    def assign(self, sections: list[OutputSection], machine: Machine) -> Layout:
        by_name = {section.name: section for section in sections}
        for name in (".text", ".data", ".bss"):
            if name not in by_name:
                kind = SHT_NOBITS if name == ".bss" else SHT_PROGBITS
                flags = SHF_ALLOC | (SHF_EXECINSTR if name == ".text" else SHF_WRITE)
                by_name[name] = OutputSection(name, kind, flags, 4)
        ordered = [by_name[name] for name in (".init", ".text", ".data", ".bss") if name in by_name]
        address, offset = self.text + self.headers, self.headers
        for section in ordered:
            if section.name == ".data":
                start = self.data if self.data is not None else align(address, PAGE) + PAGE
                if start < address:
                    what = f"the text ends at {address:#x}, beyond the start of the data ({start:#x})"
                    raise error("ld", what, remedy="give the data a higher address")
                address = start + offset % PAGE if self.headers else start
            section.address = align(address, section.alignment)
            offset += section.address - address
            section.offset = offset
            address = section.end
            if section.type != SHT_NOBITS:
                offset += section.size
        if address > 0xC000_0000:
            raise error("ld", f"{ordered[-1].name} ends at {address:#x}, beyond the addresses of programs")
        return Layout(machine, self.text, tuple(ordered), (), offset, 0, 0)

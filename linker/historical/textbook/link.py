"""Programs and shared libraries in the textbook's formats (projects 9-1 and 9-2; format.py).

Shared library, at the address it is given: no relocations, nothing undefined

    .text   the jump table first: slots of 8 bytes, `e9 rel32 cc cc cc`, for every exported function in byte order of the names (or as #branch
            says); then all code and constants
    .data   one page of room behind the text's page: exported data first, in byte order of the names, then private data; .bss behind it

Stub library: a module for each module of the library, with the exported symbols as absolute ones and with its undefined ones, so that the
modules that the real one needs are linked as well. `LIBRARY NAME` or the first line names the shared library and those that it depends on.

Program: .text, .data, .bss, and a segment .lib: the names of the shared libraries, NUL-separated, two NULs at the end; _SHARED_LIBRARIES is
its start, which start-up code reads (runtime/crt/textbook.c).
"""

from __future__ import annotations

from dataclasses import dataclass

from uselib.linker.errors import Diagnostic, error
from uselib.linker.formats.elf import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS, SHT_PROGBITS
from uselib.linker.historical.coff.library import BranchSymbols
from uselib.linker.historical.symbol_table import UNDEFINED_SECTION, table_symbols
from uselib.linker.historical.textbook import format as textbook
from uselib.linker.historical.textbook.format import (
    LibraryModule,
    ModuleLibrary,
    TextbookObject,
    TextbookSegment,
    TextbookSymbol,
)
from uselib.linker.image import PAGE, Machine
from uselib.linker.library import exports, jump_table
from uselib.linker.library.exports import member_name
from uselib.linker.library.specification import Specification
from uselib.linker.options import Options
from uselib.linker.outputs.kind import OutputKind
from uselib.linker.passes.definitions import define
from uselib.linker.passes.layout import Layout, LayoutPolicy, Placement, align
from uselib.linker.passes.model import UNDEFINED, InputSection, OutputSection, Symbol
from uselib.linker.passes.output_symbols import OutputSymbol, OutputSymbols
from uselib.linker.passes.resolution import Resolution
from uselib.linker.passes.symbol_values import SymbolPolicy

TEXT_START = 0x10000  # the book's programs begin at 1000; today's kernels map nothing so low
LIBRARY_NAMES = ".lib"
ENTRY = "_start"  # the format has no field for it: execution begins at this symbol
_FIRST, _EXPORTED, _REST = 0, 1, 1 << 20


class _TextbookOutput(OutputKind):
    """The common part of programs and libraries."""

    has_rows = True

    def __init__(self, start: int) -> None:
        self.start = start
        self.order: dict[int, tuple[str, int]] = {}

    def layout(self, options: Options, resolution: Resolution) -> LayoutPolicy:
        return TextbookLayout(self.start, self.order)

    def complete(self, image: bytearray, layout: Layout, entry: int, rows: OutputSymbols | None) -> None:
        segments = []
        for output in layout.sections:
            nobits = output.type == SHT_NOBITS
            flags = ("RW" if output.flags & SHF_WRITE else "R") + ("" if nobits else "P")
            contents = b"" if nobits else bytes(image[output.offset : output.offset + output.size])
            segments.append(TextbookSegment(output.name, output.address, output.size, flags, contents))
        symbols = [
            TextbookSymbol(name, value, max(section, 0))  # an absolute symbol has segment 0
            for name, local, section, value in table_symbols(rows or (), layout)
            if section != UNDEFINED_SECTION and not local
        ]
        if all(symbol.name != ENTRY for symbol in symbols):
            symbols.append(TextbookSymbol(ENTRY, entry, 0))
        image[:] = textbook.encode(TextbookObject(tuple(segments), tuple(symbols)))


class TextbookProgram(_TextbookOutput):
    """An executable."""

    def __init__(self) -> None:
        super().__init__(TEXT_START)

    def prepare(self, resolution: Resolution, options: Options) -> list[InputSection]:
        self.start = options.base if options.base is not None else TEXT_START
        if resolution.machine is not Machine.I386:
            raise error("ld", "the textbook's format is for i386", remedy="link objects for i386")
        self._report_conflicts(resolution)
        names = list(dict.fromkeys(stub.file_name for stub in resolution.stubs))
        for stub in resolution.stubs:
            names += [name for name in stub.dependencies if name not in names]
        content = b"".join(name.encode() + b"\0" for name in names) + b"\0"
        if not names:
            content += b"\0"
        section = InputSection(None, 0, LIBRARY_NAMES, SHT_PROGBITS, SHF_ALLOC, len(content), 1, content=content)
        symbol = resolution.symbols.get("_SHARED_LIBRARIES")
        if symbol is not None and symbol.rank == UNDEFINED:
            define(symbol, section, 0)
        return [section]

    @staticmethod
    def _report_conflicts(resolution: Resolution) -> None:
        """Warns of symbols that the program and a library in use both define: figure 5 of the chapter."""
        for name, file, stub in resolution.conflicts:
            where = file.where if file is not None else "the command line"
            what = f"also defined in the shared library {stub.file_name} ({stub.where}), which continues to use its own copy"
            remedy = "rename it, or declare it `extern` to share the library's"
            resolution.warnings.append(Diagnostic(where, what, symbol=name, remedy=remedy))

    def entry(self, resolution: Resolution, layout: Layout, options: Options) -> int:
        symbol = resolution.symbols.get(options.entry)
        if symbol is None or symbol.rank == UNDEFINED:
            raise error(
                "ld", f"no object defines the entry point {options.entry}", remedy="link start-up code or give -e"
            )
        return symbol.address


@dataclass(frozen=True)
class StubModule:
    """The contents of a stub module."""

    name: str
    defines: dict[str, int]
    undefined: tuple[str, ...]


class TextbookLibrary(_TextbookOutput):
    """A shared library at `base`."""

    def __init__(self, base: int, spec: Specification) -> None:
        super().__init__(base)
        self.spec = spec
        self.policy = BranchSymbols()
        self.symbols: SymbolPolicy = self.policy
        self.modules: list[StubModule] = []
        self.slots: dict[str, int] = {}

    def prepare(self, resolution: Resolution, options: Options) -> list[InputSection]:
        if resolution.machine is not Machine.I386:
            raise error("mkshlib", "the textbook's format is for i386", remedy="give objects for i386")
        own = frozenset(id(file) for file in resolution.files if file.stub is None)
        functions, data = exports.choose(resolution.symbols.values(), own, self.spec)
        self.slots, filled, count = jump_table.numbering(functions, self.spec.branch, self.spec.slot_count)
        self.functions, self.data = functions, data
        table = InputSection(
            None, 0, ".jumptable", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, count * jump_table.SLOT_SIZE, 8
        )
        table.build = lambda: jump_table.encode(
            table.address, [functions[filled[n]].address if n in filled else None for n in range(1, count + 1)]
        )
        self.order[id(table)] = (".text", _FIRST)
        for name, number in self.slots.items():
            self.policy.slots[functions[name]] = self.start + (number - 1) * jump_table.SLOT_SIZE
        for number, name in enumerate(jump_table.default_order(data)):
            section = data[name].section
            if section is not None and section.flags & SHF_WRITE:
                self.order.setdefault(id(section), (".data", _EXPORTED + number))
        return [table]

    def laid_out(self, resolution: Resolution, layout: Layout) -> None:
        for file in resolution.files:
            if file.stub is not None:
                continue
            defines = {s.name: self.policy.reference(s) for s in file.globals if s.file is file and self._exported(s)}
            missing = tuple(s.name for s in file.globals if s.file is not file and s.file is not None)
            self.modules.append(StubModule(member_name(file.where), defines, missing))

    def _exported(self, symbol: Symbol) -> bool:
        return symbol.name in self.functions or symbol.name in self.data

    def rows(self, symbol: Symbol) -> list[OutputSymbol] | None:
        if symbol.provided or not self._exported(symbol):
            return []
        slot = self.policy.slots.get(symbol)
        return None if slot is None else [OutputSymbol(symbol.name, symbol.binding << 4 | symbol.type, 0, 1, slot, 0)]

    def entry(self, resolution: Resolution, layout: Layout, options: Options) -> int:
        return self.start

    def stub(self, name: str, dependencies: tuple[str, ...]) -> ModuleLibrary:
        """The stub library, for either of its formats."""
        modules = []
        used: dict[str, int] = {}
        for made in self.modules:
            symbols = [TextbookSymbol(n, a, 0) for n, a in sorted(made.defines.items())]
            symbols += [TextbookSymbol(n, 0, 0, "U") for n in made.undefined]
            used[made.name] = used.get(made.name, 0) + 1
            file = made.name if used[made.name] == 1 else f"{used[made.name]}-{made.name}"
            modules.append(
                LibraryModule(file, textbook.encode(TextbookObject((), tuple(symbols))), tuple(sorted(made.defines)))
            )
        return ModuleLibrary(tuple(modules), name, dependencies)


class TextbookLayout:
    """The LayoutPolicy: text, data on a page a page or two behind it (so that text can grow), bss, and .lib last."""

    def __init__(self, start: int, order: dict[int, tuple[str, int]]) -> None:
        self.start, self.order = start, order

    def place(self, section: InputSection) -> Placement | None:
        known = self.order.get(id(section))
        if known is not None:
            return Placement(*known)
        if not section.flags & SHF_ALLOC or section.name.startswith((".note", ".eh_frame")):
            return None
        if section.name == LIBRARY_NAMES:
            return Placement(LIBRARY_NAMES)
        if section.type == SHT_NOBITS:
            return Placement(".bss", _REST)
        return Placement(".data", _REST) if section.flags & SHF_WRITE else Placement(".text", _REST)

    def assign(self, sections: list[OutputSection], machine: Machine) -> Layout:
        if self.start % PAGE:
            raise error("ld", f"the address {self.start:#x} is not on a page boundary")
        by_name = {section.name: section for section in sections}
        ordered = [by_name[name] for name in (".text", LIBRARY_NAMES, ".data", ".bss") if name in by_name]
        address, offset = self.start, 0
        for section in ordered:
            if section.name == ".data" or (section.name == ".bss" and ".data" not in by_name):
                address = align(address, PAGE) + PAGE
            section.address = align(address, section.alignment)
            address = section.end
            section.offset = offset = align(offset, 4)
            offset += 0 if section.type == SHT_NOBITS else section.size
        if address > 1 << 32:
            raise error("ld", f"{ordered[-1].name} ends at {address:#x}, beyond the address space of i386")
        return Layout(machine, self.start, tuple(ordered), (), offset, 0, 0)

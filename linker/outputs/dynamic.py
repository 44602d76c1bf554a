"""Outputs that a dynamic linker has to do with: shared objects, position-independent programs, programs that use shared objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from uselib.linker.errors import LinkError
from uselib.linker.formats import elf
from uselib.linker.formats.elf import ET_DYN, ET_EXEC, SHF_ALLOC, SHT_PROGBITS
from uselib.linker.image import Machine
from uselib.linker.options import Options
from uselib.linker.outputs.dynamic_section import DynamicSymbolTable
from uselib.linker.outputs.entry_point import program_entry
from uselib.linker.outputs.kind import OutputKind
from uselib.linker.outputs.program_layout import ProgramLayout, executable_stack
from uselib.linker.passes import native
from uselib.linker.passes.copies import place_copies
from uselib.linker.passes.dynamic_code import CODE
from uselib.linker.passes.dynamic_scan import (
    DynamicNeeds,
    OddOfDynamic,
    dynamic_machine,
    settle_plt,
    settle_words,
)
from uselib.linker.passes.dynamic_symbols import DynamicPlan, decide
from uselib.linker.passes.dynamic_tables import DynamicTables
from uselib.linker.passes.dynamic_words import DynamicWords
from uselib.linker.passes.got import Tables
from uselib.linker.passes.layout import Layout, LayoutPolicy
from uselib.linker.passes.model import UNDEFINED, InputSection, Symbol
from uselib.linker.passes.output_symbols import OutputSymbol, OutputSymbols, global_row
from uselib.linker.passes.properties import wants_ibt
from uselib.linker.passes.provided import TLS_BASE
from uselib.linker.passes.relocations import Applying, MachineRelocations, Needs
from uselib.linker.passes.resolution import Resolution
from uselib.linker.passes.scan import OddRelocations
from uselib.linker.passes.symbol_values import PltPlaces
from uselib.linker.passes.text_relocations import report_text_relocations

_INTERPRETERS = {Machine.X86_64: "/lib64/ld-linux-x86-64.so.2", Machine.I386: "/lib/ld-linux.so.2"}


class DynamicSymbols:
    """A SymbolPolicy: branches go to the PLT entry where there is one."""

    distinguishes_branches = True

    def __init__(self) -> None:
        self.tables: DynamicTables | None = None

    def plt_places(self) -> PltPlaces | None:
        return self.tables.plt.branches() if self.tables is not None else None

    def reference(self, symbol: Symbol) -> int:
        return symbol.address

    def branch(self, symbol: Symbol) -> int:
        dynamic = symbol.dynamic
        if dynamic is None or dynamic.plt < 0 or self.tables is None:
            return symbol.address
        return self.tables.plt.entry_address(dynamic)


class DynamicOutput(OutputKind):
    """A shared object, or a program with a dynamic section."""

    has_rows = True

    def __init__(self, plan: DynamicPlan, options: Options) -> None:
        self._plan, self._options = plan, options
        self.policy = DynamicSymbols()
        self.symbols = self.policy
        self.file_type = ET_DYN if plan.pic else ET_EXEC
        self._layout: Layout | None = None

    @property
    def provides(self) -> Mapping[str, Callable[[Layout], int]]:
        own: dict[str, Callable[[Layout], int]] = {"_DYNAMIC": _dynamic_address}
        return own | {TLS_BASE: lambda layout: layout.tls_start} if self._plan.shared else own

    def defined(self, resolution: Resolution, options: Options) -> None:
        decide(self._plan, resolution, options)

    def roots(self, resolution: Resolution, options: Options) -> Iterable[Symbol]:
        names = (options.init, options.fini)
        return [
            *super().roots(resolution, options),
            *self._plan.exports,
            *(resolution.symbols[n] for n in names if n in resolution.symbols),
        ]

    # -- relocations -----------------------------------------------------------------------------------------------------

    def relocations(self, machine: Machine, static: MachineRelocations) -> MachineRelocations:
        self._code = CODE[machine]
        return dynamic_machine(static, self._code.relocations, self._plan)

    def needs(self) -> Needs:
        types, copies = self._code.types, "nocopyreloc" not in self._options.keywords
        return DynamicNeeds(plan=self._plan, types=types, copy_relocations=copies, words=DynamicWords(types.word))

    def odd(self, machine: MachineRelocations, static: OddRelocations, needs: Needs) -> OddRelocations:
        assert isinstance(needs, DynamicNeeds)
        if native.AVAILABLE:
            from uselib.linker.passes.native_dynamic import NativeOddOfDynamic

            return NativeOddOfDynamic(machine, needs)
        return OddOfDynamic(machine, self._plan)

    def tables(self, needs: Needs, machine: MachineRelocations, resolution: Resolution) -> Tables:
        assert isinstance(needs, DynamicNeeds)
        problems = list(needs.problems)
        if problems:
            raise LinkError(*dict.fromkeys(problems))
        kind = "a shared object" if self._plan.shared else "a PIE" if self._plan.pic else "a program"
        report_text_relocations(needs, resolution, self._options, kind)
        place_copies(needs, resolution, self._plan, "norelro" not in self._options.keywords)
        settle_plt(needs)
        settle_words(needs)
        words = self._options.keywords
        pack, ibt = "pack-relative-relocs" in words, wants_ibt(resolution.files, words)
        self._tables = DynamicTables(machine, needs, self._plan, self._code, pack=pack, ibt=ibt)
        self.policy.tables = self._tables
        return self._tables

    def sections(self, resolution: Resolution, needs: Needs) -> list[InputSection]:
        options, result = self._options, []
        self._table = table = DynamicSymbolTable(self._tables, self._plan, options, resolution)
        if self._plan.interpreter and not self._plan.shared and not _has_interpreter(resolution):
            path = (options.interpreter or _INTERPRETERS[resolution.machine]).encode() + b"\0"
            result.append(InputSection(None, 0, ".interp", SHT_PROGBITS, SHF_ALLOC, len(path), 1, 0, path))
        dynamic = table.dynamic_section(lambda name: self._layout.find(name) if self._layout else None)
        return [*result, *table.sections, table.string_section(), dynamic]

    # -- layout ----------------------------------------------------------------------------------------------------------

    def layout(self, options: Options, resolution: Resolution) -> LayoutPolicy:
        stack = executable_stack(resolution, options)
        base = (options.base or 0) if self._plan.pic else options.base
        starts, page = options.section_starts, options.max_page_size
        relro, now = "norelro" not in options.keywords, "now" in options.keywords
        return ProgramLayout(base, starts, page, stack, options.stack_size, dynamic=True, relro=relro, now=now)

    def fits(self) -> bool:
        return self._tables.fit()

    def laid_out(self, resolution: Resolution, layout: Layout) -> None:
        self._layout = layout
        self._table.laid_out(layout)
        self._tables.settle_canonical()

    def fill_tables(self, tables: Tables, run: Applying) -> None:
        self._run = run
        self._tables.prepare(run)
        section = self._layout.find(".dynamic") if self._layout is not None else None
        self._tables.fill(run, section.address if section is not None else 0)

    def rows(self, symbol: Symbol) -> Iterable[OutputSymbol] | None:
        dynamic = symbol.dynamic
        if dynamic is not None and symbol.rank and dynamic.explicit and dynamic.version and dynamic.default_version:
            row = global_row(symbol, self._layout) if self._layout is not None else None
            return [] if row is None else [row._replace(name=f"{symbol.name}@@{dynamic.version}")]
        if dynamic is None or symbol.rank or not (dynamic.preemptible or dynamic.copied):
            return None
        binding = elf.STB_GLOBAL if symbol.strong_reference else elf.STB_WEAK
        section, value = symbol.section, symbol.address if dynamic.canonical or dynamic.copied else 0
        index = section.output.index if section is not None and section.output is not None else 0
        return [
            OutputSymbol(
                symbol.name, binding << 4 | symbol.type, symbol.visibility, index, value, symbol.size if index else 0
            )
        ]

    def entry(self, resolution: Resolution, layout: Layout, options: Options) -> int:
        symbol = resolution.symbols.get(options.entry)
        if self._plan.shared and (symbol is None or symbol.rank == UNDEFINED) and not options.entry[:1].isdigit():
            return 0
        return program_entry(resolution, layout, options)

    def complete(self, image: bytearray, layout: Layout, entry: int, rows: OutputSymbols | None) -> None:
        """The relocations for the dynamic linker, which are known when all others have been applied."""
        dynamic, plt = self._tables.relocations(image, self._run)
        prefix = ".rela" if self._tables.rela else ".rel"
        for name, content in ((f"{prefix}.dyn", dynamic), (f"{prefix}.plt", plt)):
            if (section := layout.find(name)) is not None:
                image[section.offset : section.offset + len(content)] = content
        super().complete(image, layout, entry, rows)


def _dynamic_address(layout: Layout) -> int:
    section = layout.find(".dynamic")
    return section.address if section is not None else 0


def _has_interpreter(resolution: Resolution) -> bool:
    return any(section.name == ".interp" for section in resolution.allocated())

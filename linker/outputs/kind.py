"""OutputKind: the methods that the passes of a link call for each kind of output. The defaults are those of programs (program.py).

Other kinds differ in these methods:

    target library   exports and slots (prepare, roots, sections), calls through slots (symbols), its own layout, digest (finish)
    dynamic          exports are roots, what is left to the dynamic linker (relocations, tables), .dynamic and the like (sections),
                     ET_DYN (file_type): dynamic.py
    old formats      another file around the same contents (complete)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from uselib.linker.formats.elf import ET_EXEC, STV_DEFAULT, STV_PROTECTED
from uselib.linker.image import Machine
from uselib.linker.options import Options
from uselib.linker.passes.got import Tables, fill_tables, make_tables
from uselib.linker.passes.layout import Layout, LayoutPolicy
from uselib.linker.passes.model import InputSection, Symbol
from uselib.linker.passes.output_symbols import OutputSymbol, OutputSymbols
from uselib.linker.passes.relocations import Applying, MachineRelocations, Needs
from uselib.linker.passes.resolution import Resolution
from uselib.linker.passes.scan import OddRelocations
from uselib.linker.passes.symbol_values import PlainSymbols, SymbolPolicy
from uselib.linker.passes.writer import complete


class OutputKind:
    """The methods that passes call for a kind of output, in this order."""

    symbols: SymbolPolicy = PlainSymbols()
    file_type = ET_EXEC  # e_type
    has_rows = False  # whether `rows` is to be asked
    lists_dependencies = False  # whether libraries that its libraries depend on are listed in the output

    def chosen(self, resolution: Resolution, options: Options) -> OutputKind:
        """After resolution: the kind that the inputs ask for, which the link goes on with."""
        return self

    @property
    def provides(self) -> Mapping[str, Callable[[Layout], int]]:
        """Further symbols of the layout, which are defined if they are referred to."""
        return {}

    def prepare(self, resolution: Resolution, options: Options) -> list[InputSection]:
        """After resolution: may define symbols (resolve.define); gives sections to add at the end of link order."""
        return []

    def roots(self, resolution: Resolution, options: Options) -> Iterable[Symbol]:
        """What --gc-sections starts from."""
        names = [options.entry, *options.undefined]
        found = [resolution.symbols[name] for name in names if name in resolution.symbols]
        if options.gc_keep_exported:
            found += [s for s in resolution.symbols.values() if s.rank and s.visibility in (STV_DEFAULT, STV_PROTECTED)]
        return found

    def defined(self, resolution: Resolution, options: Options) -> None:
        """Every definition is known: the linker's own too."""

    def relocations(self, machine: Machine, static: MachineRelocations) -> MachineRelocations:
        """The tables by which relocations are scanned and applied."""
        return static

    def needs(self) -> Needs:
        """What the scan fills."""
        return Needs()

    def odd(self, machine: MachineRelocations, static: OddRelocations, needs: Needs) -> OddRelocations:
        """What finds the relocations that the scan looks at. It may fill `needs` for others itself."""
        return static

    def tables(self, needs: Needs, machine: MachineRelocations, resolution: Resolution) -> Tables:
        """After the scan: the tables that it found to be needed, with their sizes. Raises LinkError."""
        return make_tables(needs, machine)

    def sections(self, resolution: Resolution, needs: Needs) -> list[InputSection]:
        """After garbage collection, commons and the scan: further linker-made sections, with their sizes. It may not define symbols."""
        return []

    def layout(self, options: Options, resolution: Resolution) -> LayoutPolicy:
        """The layout policy."""
        raise NotImplementedError

    def fits(self) -> bool:
        """Addresses have been assigned. False: a section whose size follows from them has grown, and they are to be assigned again."""
        return True

    def laid_out(self, resolution: Resolution, layout: Layout) -> None:
        """All addresses are final; nothing has been relocated yet."""

    def fill_tables(self, tables: Tables, run: Applying) -> None:
        """Relocations are about to be applied: gives the tables their contents."""
        fill_tables(tables, run)

    def rows(self, symbol: Symbol) -> Iterable[OutputSymbol] | None:
        """The kind's own .symtab rows for a global symbol, or None for the ordinary one."""
        return None

    def entry(self, resolution: Resolution, layout: Layout, options: Options) -> int:
        """e_entry."""
        return 0

    def complete(self, image: bytearray, layout: Layout, entry: int, rows: OutputSymbols | None) -> None:
        """Makes the file of the sections' contents: headers, symbol table. ELF, unless the kind has another format."""
        complete(image, layout, entry, rows, self.file_type)

    def finish(self, image: bytearray, layout: Layout) -> None:
        """The file is complete but for digests."""

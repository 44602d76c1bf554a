"""Programs: the default output of `ld`."""

from __future__ import annotations

from uselib.linker.errors import Diagnostic, error
from uselib.linker.options import Options
from uselib.linker.outputs.kind import OutputKind
from uselib.linker.outputs.program_layout import ProgramLayout
from uselib.linker.passes.layout import Layout, LayoutPolicy
from uselib.linker.passes.model import UNDEFINED, InputSection
from uselib.linker.passes.resolve import Resolution


class ProgramOutput(OutputKind):
    """An executable."""

    lists_dependencies = True

    def prepare(self, resolution: Resolution, options: Options) -> list[InputSection]:
        if not resolution.stubs and not options.rpath:
            return []
        from uselib.linker.outputs.program_libraries import (
            prepare,  # stub libraries and .lib: loaded only where there are any
        )

        return prepare(resolution, options)

    def layout(self, options: Options, resolution: Resolution) -> LayoutPolicy:
        stack = options.executable_stack
        if stack is None:
            stack = any(file.executable_stack for file in resolution.files)
        return ProgramLayout(options.base, options.section_starts, options.max_page_size, stack, options.stack_size)

    def laid_out(self, resolution: Resolution, layout: Layout) -> None:
        if resolution.stubs:
            from uselib.linker.outputs.program_libraries import check_overlap

            check_overlap(resolution, layout)

    def entry(self, resolution: Resolution, layout: Layout, options: Options) -> int:
        symbol = resolution.symbols.get(options.entry)
        if symbol is not None and symbol.rank != UNDEFINED:
            return symbol.address
        if options.entry[:1].isdigit():
            try:
                return int(options.entry, 0)
            except ValueError:
                raise error("ld", f"the entry point `{options.entry}` is neither a symbol nor an address") from None
        text = layout.find(".text")
        address = text.address if text is not None else 0
        resolution.warnings.append(
            Diagnostic("ld", f"no entry point {options.entry}; using {address:#x}", remedy="link crt1.o or give -e")
        )
        return address

"""Programs: the default output of `ld`."""

from __future__ import annotations

from uselib.linker.options import Options
from uselib.linker.outputs.entry_point import program_entry
from uselib.linker.outputs.kind import OutputKind
from uselib.linker.outputs.program_layout import ProgramLayout, executable_stack
from uselib.linker.passes.layout import Layout, LayoutPolicy
from uselib.linker.passes.model import InputSection
from uselib.linker.passes.resolution import Resolution


class ProgramOutput(OutputKind):
    """An executable."""

    lists_dependencies = True

    def chosen(self, resolution: Resolution, options: Options) -> OutputKind:
        if not options.shape and not resolution.shared:
            return self
        from uselib.linker.outputs.dynamic import DynamicOutput  # only where there is a dynamic linker
        from uselib.linker.passes.dynamic_symbols import dynamic_plan

        return DynamicOutput(dynamic_plan(resolution, options), options)

    def prepare(self, resolution: Resolution, options: Options) -> list[InputSection]:
        if not resolution.stubs and not options.rpath:
            return []
        from uselib.linker.outputs.program_libraries import (
            prepare,  # stub libraries and .lib: loaded only where there are any
        )

        return prepare(resolution, options)

    def layout(self, options: Options, resolution: Resolution) -> LayoutPolicy:
        stack = executable_stack(resolution, options)
        relro = "relro" in options.keywords and not resolution.stubs
        return ProgramLayout(
            options.base,
            options.section_starts,
            options.max_page_size,
            stack,
            options.stack_size,
            relro=relro,
            now=relro,
        )

    def laid_out(self, resolution: Resolution, layout: Layout) -> None:
        if resolution.stubs:
            from uselib.linker.outputs.program_libraries import check_overlap

            check_overlap(resolution, layout)

    def entry(self, resolution: Resolution, layout: Layout, options: Options) -> int:
        return program_entry(resolution, layout, options)

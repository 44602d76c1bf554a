"""link(): the ordered list of passes. Each pass reads what earlier passes made and does not change it.

What depends on the kind of output is an `OutputKind` (outputs/kind.py): programs are in outputs/program.py, target
libraries in library/output_kind.py, programs and libraries of old systems in historical/.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from uselib.linker.cycle_collector import no_cycle_collection
from uselib.linker.errors import Diagnostic
from uselib.linker.image import Machine
from uselib.linker.options import Options
from uselib.linker.outputs.kind import OutputKind
from uselib.linker.passes import native
from uselib.linker.passes.apply import RelocateAll, applying, relocate_all
from uselib.linker.passes.eh_frame import drop_dead_frames
from uselib.linker.passes.gc import collect
from uselib.linker.passes.got import settle_ifuncs
from uselib.linker.passes.layout import Layout, LayoutPolicy, gather, link_order, number, settle
from uselib.linker.passes.machines import RELOCATIONS
from uselib.linker.passes.model import InputSection, OutputSection
from uselib.linker.passes.output_symbols import OrdinarySymbols, OutputSymbols, ordinary_symbols, symbol_rows
from uselib.linker.passes.provided import provide, settle_symbols
from uselib.linker.passes.resolution import Resolution
from uselib.linker.passes.resolve import resolve
from uselib.linker.passes.scan import OddRelocations, odd_relocations, scan
from uselib.linker.passes.synthetic import allocate_commons, fill_eh_frame_header, requested_sections, seal
from uselib.linker.passes.thread_local import report_mismatches
from uselib.linker.passes.undefined import report_undefined
from uselib.linker.passes.warning_sections import warnings_of_use
from uselib.linker.passes.writer import fill
from uselib.linker.quick_dataclass import NamedTuple, dataclass


@dataclass(frozen=True)
class LinkJob:
    """A link to be done."""

    options: Options
    kind: OutputKind


@dataclass(frozen=True)
class Linked:
    """A finished link: the file's bytes, and what the map and the caller want to know."""

    image: bytearray
    layout: Layout
    resolution: Resolution
    discarded: list[InputSection]  # by --gc-sections
    warnings: list[Diagnostic]


def link(job: LinkJob) -> Linked:
    """Links. Raises LinkError or FormatError with every problem of the pass that failed."""
    with no_cycle_collection():
        return _link(job.options, job.kind)


def _link(options: Options, kind: OutputKind) -> Linked:
    if options.shape == "relocatable":
        from uselib.linker.partial_link import link_partially  # only for -r: it has passes of its own

        made = link_partially(options)
        return Linked(made.image, made.layout, made.resolution, made.discarded, made.resolution.warnings)
    # Files and symbols. After this there are no more files, and each global name has one Symbol.
    resolution = resolve(options, kind.lists_dependencies)
    ways, kind = _ways(resolution.large), kind.chosen(resolution, options)
    machine = kind.relocations(resolution.machine, RELOCATIONS[resolution.machine])
    extra = kind.prepare(resolution, options)
    provided = provide(resolution, options, kind.provides)
    kind.defined(resolution, options)
    # Sections. After this `live` is final.
    discarded = collect(resolution, kind.roots(resolution, options)) if options.gc_sections else []
    drop_dead_frames(resolution, discarded)
    # After this every symbol is defined, or weak and undefined (value 0).
    report_undefined(resolution, options, machine)
    report_mismatches(resolution)
    resolution.warnings += warnings_of_use(resolution, machine)
    commons = allocate_commons(resolution)
    # Relocations, first look. After this there are no more symbols and no more GOT entries.
    needs = kind.needs()
    scan(machine, resolution, kind.odd(machine, ways.odd, needs), needs)
    tables = kind.tables(needs, machine, resolution)
    own = kind.sections(resolution, needs)
    requested = requested_sections(resolution, options)
    # Output sections and their sizes; then addresses. After this the layout is fixed.
    policy = kind.layout(options, resolution)
    sections = link_order(resolution.files, options, commons, tables.sections, own, requested, extra)
    outputs = gather(sections, policy, options.unique)
    kept = None
    if options.emit_relocs:
        from uselib.linker.passes.kept_relocations import KeptRelocations  # only for --emit-relocs

        kept = KeptRelocations(resolution.machine, outputs)
    layout = _assigned([*outputs, *(kept.sections if kept is not None else ())], policy, kind, resolution.machine)
    settle_symbols(resolution, provided, layout)
    overrides = settle_ifuncs(tables)
    kind.laid_out(resolution, layout)
    # Contents and relocations, second look.
    run = applying(kind.symbols, tables, layout, overrides)
    kind.fill_tables(tables, run)
    image = fill(layout, run, ways.relocate_all)
    fill_eh_frame_header(image, layout)
    # The rest of the file.
    rows: OutputSymbols | None
    if kept is not None:
        from uselib.linker.passes.emitted_relocations import emit_relocations

        rows = emit_relocations(kept, image, layout, resolution, options, kind.rows, run)
    else:
        rows = symbol_rows(layout, resolution, options, kind.rows if kind.has_rows else None, ways.symbols)
    if options.compress_debug:
        from uselib.linker.passes.file_forms import compress_debug

        compress_debug(image, layout, options.compress_debug)
    kind.complete(image, layout, kind.entry(resolution, layout, options), rows)
    if "nosectionheader" in options.keywords:
        from uselib.linker.passes.file_forms import without_section_headers

        without_section_headers(image, layout)
    seal(image, layout, options.build_id)
    kind.finish(image, layout)
    if options.oformat == "binary":
        from uselib.linker.passes.file_forms import flat_image

        image = flat_image(image, layout)
    return Linked(image, layout, resolution, discarded, list(resolution.warnings))


def _assigned(sections: list[OutputSection], policy: LayoutPolicy, kind: OutputKind, machine: Machine) -> Layout:
    """The addresses of all sections; once more, as long as one has grown for them."""
    while True:
        layout = policy.assign(sections, machine)
        number(layout.sections)
        settle(layout.sections)
        if kind.fits():
            return layout


class _Ways(NamedTuple):
    """Steps that are done in C where that was built; else in large links with numpy, in small ones one by one. The results are the same."""

    odd: OddRelocations
    relocate_all: RelocateAll
    symbols: OrdinarySymbols


def _ways(large: bool) -> _Ways:
    if native.AVAILABLE:
        from uselib.linker.passes import native_relocations, native_symbols

        odd, relocate = native_relocations.odd_relocations, native_relocations.relocate_all
        return _Ways(odd, relocate, native_symbols.NativeSymbols)
    if not large:
        return _Ways(odd_relocations, relocate_all, ordinary_symbols)
    from uselib.linker.passes import column_relocations, column_symbols  # numpy: only where it pays

    return _Ways(column_relocations.odd_relocations, column_relocations.relocate_all, column_symbols.output_symbols)


def show_warnings(warnings: Iterable[Diagnostic]) -> None:
    for warning in warnings:
        print(f"uselib: warning: {warning}", file=sys.stderr)

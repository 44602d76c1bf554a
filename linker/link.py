"""link(): the ordered list of passes. Each pass reads what earlier ones made and never reaches back.

What depends on the kind of output is an `OutputKind`: `Program` here, target libraries in shlib.py.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from uselib.linker.errors import Diagnostic, LinkError, error
from uselib.linker.formats.elf import SHF_ALLOC, STT_GNU_IFUNC
from uselib.linker.formats.library_names import NEEDS_PREFIX
from uselib.linker.image import Machine
from uselib.linker.options import Options
from uselib.linker.passes import eh_frame, synthetic
from uselib.linker.passes.gc import collect
from uselib.linker.passes.inputs import UNDEFINED, InputSection, ObjectFile, Symbol
from uselib.linker.passes.layout import Layout, LayoutPolicy, gather, settle
from uselib.linker.passes.program_layout import ProgramLayout
from uselib.linker.passes.relocations import Applying, Needs, PlainSymbols, SymbolPolicy, scan
from uselib.linker.passes.resolve import Resolution, resolve
from uselib.linker.passes.synthetic import Tables
from uselib.linker.passes.writer import OutputSymbol, complete, fill, number, symbol_rows, write_atomically


class OutputKind:
    """What the passes ask of the kind of output. Methods are called in the order in which they stand here."""

    symbols: SymbolPolicy = PlainSymbols()
    lists_dependencies = False  # whether libraries that its libraries depend on are listed in the output

    def prepare(self, resolution: Resolution, options: Options) -> list[InputSection]:
        """After resolution: may define symbols (resolve.define); gives sections to add at the end of link order."""
        return []

    def roots(self, resolution: Resolution, options: Options) -> Iterable[Symbol]:
        """What --gc-sections starts from."""
        names = [options.entry, *options.undefined]
        return [resolution.symbols[name] for name in names if name in resolution.symbols]

    def sections(self, resolution: Resolution, needs: Needs) -> list[InputSection]:
        """After garbage collection, commons and the scan: further linker-made sections, with their sizes."""
        return []

    def layout(self, options: Options, resolution: Resolution) -> LayoutPolicy:
        """The layout policy."""
        raise NotImplementedError

    def laid_out(self, resolution: Resolution, layout: Layout) -> None:
        """All addresses are final; nothing has been relocated yet."""

    def rows(self, symbol: Symbol) -> Iterable[OutputSymbol] | None:
        """The kind's own .symtab rows for a global symbol, or None for the ordinary one."""
        return None

    def entry(self, resolution: Resolution, layout: Layout, options: Options) -> int:
        """e_entry."""
        return 0

    def complete(self, image: bytearray, layout: Layout, entry: int, rows: list[OutputSymbol] | None) -> None:
        """Makes the file of the sections' contents: headers, symbol table. ELF, unless the kind has another format."""
        complete(image, layout, entry, rows)

    def finish(self, image: bytearray, layout: Layout) -> None:
        """The file is complete but for digests."""


@dataclass(frozen=True)
class LinkJob:
    """A link to be done."""

    options: Options
    kind: OutputKind


@dataclass
class Linked:
    """A finished link: the file's bytes, and what the map and the caller want to know."""

    image: bytearray
    layout: Layout
    resolution: Resolution
    discarded: list[InputSection] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)


@contextmanager
def no_cycle_collection() -> Iterator[None]:
    """A link makes tens of thousands of tuples and no garbage cycles: the cyclic collector would take a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()  # into the oldest generation, or enabling would look at all of it at once
            gc.enable()
            gc.unfreeze()


def link(job: LinkJob) -> Linked:
    """Links. Raises LinkError or FormatError with every problem of the pass that failed."""
    with no_cycle_collection():
        return _link(job)


def _link(job: LinkJob) -> Linked:
    options, kind = job.options, job.kind
    # Files and symbols. After this there are no more files, and each global name has one Symbol.
    resolution = resolve(options, kind.lists_dependencies)
    machine = resolution.machine
    extra = kind.prepare(resolution, options)
    provided = synthetic.provide(resolution, options)
    # Sections. After this `live` is final.
    discarded = collect(resolution, kind.roots(resolution, options)) if options.gc_sections else []
    drop_dead_frames(resolution, discarded)
    # After this every symbol is defined, or weak and undefined (value 0).
    report_undefined(resolution, options)
    commons = synthetic.allocate_commons(resolution)
    # Relocations, first look. After this there are no more symbols and no more GOT entries.
    needs = scan(synthetic.RELOCATIONS[machine], allocated(resolution), has_ifunc(resolution))
    raise_if_any(needs.problems)
    resolvers: list[int] = []
    tables = synthetic.make_tables(needs, machine, lambda: resolvers)
    made = [*tables.sections, *kind.sections(resolution, needs), *own_sections(resolution, options)]
    # Output sections and their sizes; then addresses. After this the layout is fixed.
    policy = kind.layout(options, resolution)
    outputs = gather(all_sections(resolution, options, commons, made, extra), policy)
    layout = policy.assign(outputs, machine)
    number(layout.sections)
    settle(layout.sections)
    synthetic.settle_symbols(resolution, provided, layout)
    overrides = settle_ifuncs(tables, resolvers)
    kind.laid_out(resolution, layout)
    # Contents and relocations, second look.
    run = applying(kind.symbols, tables, layout, resolution, overrides)
    image = fill(layout, run)
    raise_if_any(run.problems)
    synthetic.finish_eh_frame(image, layout)
    # The rest of the file.
    rows = None if options.strip_all else symbol_rows(
        layout, resolution.files, resolution.symbols.values(), kind.rows, not options.discard_locals
    )  # fmt: skip
    kind.complete(image, layout, kind.entry(resolution, layout, options), rows)
    synthetic.seal(image, layout, options.build_id)
    kind.finish(image, layout)
    return Linked(image, layout, resolution, discarded, list(resolution.warnings))


def link_to_file(job: LinkJob) -> Linked:
    """link(), and the result written to the output file."""
    result = link(job)
    write_atomically(job.options.output, result.image)
    return result


# -- small passes ------------------------------------------------------------------------------------------------------


def raise_if_any(problems: list[Diagnostic]) -> None:
    if problems:
        raise LinkError(*dict.fromkeys(problems))


def allocated(resolution: Resolution) -> list[InputSection]:
    """Live sections that will be in memory."""
    return [s for f in resolution.files for s in f.sections if s is not None and s.live and s.flags & SHF_ALLOC]


def has_ifunc(resolution: Resolution) -> bool:
    if any(symbol.type == STT_GNU_IFUNC for symbol in resolution.symbols.values()):
        return True
    return any(s.type == STT_GNU_IFUNC for f in resolution.files for s in f.symbols[: f.first_global])


def drop_dead_frames(resolution: Resolution, discarded: list[InputSection]) -> None:
    """Unwind records of discarded code go, before anything looks at their relocations."""
    for file in resolution.files:
        if discarded or file.discarded:
            for section in file.sections:
                if section is not None and section.name == eh_frame.NAME:
                    eh_frame.drop_dead(section)


def own_sections(resolution: Resolution, options: Options) -> list[InputSection]:
    """Build-id and the unwind index, if asked for."""
    result = []
    if options.build_id:
        result.append(synthetic.build_id_section(options.build_id))
    if options.eh_frame_hdr:
        frames = [s for s in allocated(resolution) if s.name == eh_frame.NAME]
        if frames:
            result.append(synthetic.eh_frame_header(frames))
    return result


def all_sections(
    resolution: Resolution, options: Options, commons: list[InputSection], made: list[InputSection],
    extra: list[InputSection],
) -> list[InputSection]:  # fmt: skip
    """Every section for the layout, in link order; debug information left out for -s and -S."""
    strip = options.strip_all or options.strip_debug
    result = []
    for file in resolution.files:
        stub = file.stub is not None
        for section in file.sections:
            if section is None or not section.live:
                continue
            if not section.flags & SHF_ALLOC and (
                stub or (strip and section.name.startswith((".debug", ".zdebug", ".stab")))
            ):
                continue
            result.append(section)
    return [*result, *commons, *made, *extra]


def settle_ifuncs(tables: Tables, resolvers: list[int]) -> dict[tuple[int, int], int]:
    """References to functions resolved at start-up get their .plt entry; `resolvers` their own addresses, for IRELATIVE."""
    overrides: dict[tuple[int, int], int] = {}
    for position, (key, (file, index)) in enumerate(tables.needs.ifuncs.items()):
        entry = tables.iplt_address(position)
        if isinstance(key, Symbol):
            resolvers.append(key.address)
            key.address = entry
        else:
            section = file.section_of(index)
            resolvers.append((section.address if section is not None else 0) + file.symbols[index].value)
            overrides[key] = entry
    return overrides


def applying(
    symbols: SymbolPolicy, tables: Tables, layout: Layout, resolution: Resolution, overrides: dict[tuple[int, int], int]
) -> Applying:
    return Applying(
        synthetic.RELOCATIONS[resolution.machine],
        symbols,
        got=tables.got_address,
        tls_start=layout.tls_start,
        thread_pointer=layout.thread_pointer,
        got_entries=tables.got_entries(),
        got_tp_entries=tables.got_tp_entries(),
        got_tp_positive_entries=tables.got_tp_positive_entries(),
        local_overrides=overrides,
    )


def report_undefined(resolution: Resolution, options: Options) -> None:
    """Every strong reference to an undefined symbol, grouped by symbol, with up to three places each."""
    if not options.unresolved_are_errors:
        return
    missing = {id(s): s for s in resolution.symbols.values() if s.rank == UNDEFINED and s.strong_reference}
    if not missing:
        return
    places: dict[int, list[tuple[ObjectFile, InputSection, int]]] = {}
    sequences = synthetic.RELOCATIONS[resolution.machine].tls_sequences
    for file in resolution.files:
        if not any(id(symbol) in missing for symbol in file.globals):
            continue
        for section in file.sections:
            if section is None or not section.live:
                continue
            before = -1
            for offset, kind, index, _ in section.relocations():
                symbol = (
                    file.globals[index - file.first_global] if file.first_global <= index < len(file.symbols) else None
                )
                if symbol is not None and id(symbol) in missing and before not in sequences:
                    places.setdefault(id(symbol), []).append((file, section, offset))
                before = kind
    problems = []
    for key, symbol in missing.items():
        found = places.get(key)
        if not found:
            continue
        lines = [f"referenced by {file.place(section, offset)}" for file, section, offset in found[:3]]
        if len(found) > 3:
            lines.append(f"and {len(found) - 3} more")
        problems.append(
            Diagnostic(found[0][0].where, "undefined symbol", symbol.name, undefined_remedy(symbol.name), tuple(lines))
        )
    raise_if_any(problems)


# The compiler's own helpers, by how their names begin: they are in libgcc.a or compiler-rt, not in the C library.
_HELPERS = ("__div", "__mod", "__udiv", "__umod", "__mul", "__ashl", "__ashr", "__lshr", "__fix", "__float", "__popcount",
            "__clz", "__ctz", "__parity", "__add", "__sub", "__neg", "__cmp", "__ucmp", "__extend", "__trunc")  # fmt: skip


def undefined_remedy(name: str) -> str:
    if name.startswith(NEEDS_PREFIX):
        return f"the output requires the shared library {name.removeprefix(NEEDS_PREFIX)}: name its stub library"
    if name == "main":
        return "name the object file with the program's main function"
    if name.startswith(_HELPERS):
        return "it is a helper of the compiler: link libgcc.a too (`gcc -print-libgcc-file-name`)"
    if name.startswith("_Z"):
        return "it is C++: link with g++, or name its library"
    return ""


# -- programs ----------------------------------------------------------------------------------------------------------


class Program(OutputKind):
    """An executable."""

    lists_dependencies = True

    def __init__(self) -> None:
        self.warnings: list[Diagnostic] = []

    def prepare(self, resolution: Resolution, options: Options) -> list[InputSection]:
        if not resolution.stubs and not options.rpath:
            return []
        from uselib.linker.passes.shared import prepare  # stub libraries and .lib: loaded only where there are any

        return prepare(resolution, options)

    def layout(self, options: Options, resolution: Resolution) -> LayoutPolicy:
        stack = options.executable_stack
        if stack is None:
            stack = any(file.executable_stack for file in resolution.files)
        return ProgramLayout(options.base, options.section_starts, options.max_page_size, stack, options.stack_size)

    def laid_out(self, resolution: Resolution, layout: Layout) -> None:
        if resolution.stubs:
            from uselib.linker.passes.shared import check_overlap

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


def show_warnings(warnings: Iterable[Diagnostic]) -> None:
    for warning in warnings:
        print(f"uselib: warning: {warning}", file=sys.stderr)


__all__ = ["LinkJob", "Linked", "Machine", "OutputKind", "Program", "link", "link_to_file", "show_warnings"]

"""mkshlib: a target library and its stub library from objects.

The target library is an ordinary link (link.py) with an OutputKind of its own (output_kind.py); its place and slots follow
the release before (releases/). The stub library is made from the finished link (stub_from_link.py), since it records final
addresses and the digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from uselib.linker.errors import Diagnostic, LinkError
from uselib.linker.formats.elf import SHF_ALLOC
from uselib.linker.image import Export, ExportKind, LibraryHeader
from uselib.linker.library import registry, stub
from uselib.linker.library.exports import place_of
from uselib.linker.library.files import write
from uselib.linker.library.output_kind import TargetLibrary
from uselib.linker.library.releases import previous, rules
from uselib.linker.library.releases.history import History
from uselib.linker.library.releases.rules import GrowthRoom
from uselib.linker.library.request import LibraryPlan, LibraryRequest, make_plan
from uselib.linker.link import LinkJob, link
from uselib.linker.passes.layout import Layout
from uselib.linker.quick_dataclass import dataclass, replace


@dataclass(frozen=True)
class Product:
    """A finished library: the target's bytes, its header and exports, its stub, and the warnings."""

    target: bytes
    header: LibraryHeader
    exports: tuple[Export, ...]
    stub: stub.StubContents
    map: str
    warnings: tuple[str, ...]
    history: History
    follows: str  # the kind of release after the one before; empty for a first one
    room: GrowthRoom

    @property
    def function_count(self) -> int:
        return sum(export.kind is ExportKind.FUNCTION for export in self.exports)

    @property
    def member_count(self) -> int:
        return len(self.stub.members)


def _map(product_header: LibraryHeader, exports: Sequence[Export], layout: Layout) -> str:
    """The link map as text: output sections, then slots, then data."""
    lines = [f"{product_header.identity.file_name} at {product_header.identity.base:#x}"]
    lines += [f"{s.address:#012x} {s.size:#10x}  {s.name}" for s in layout.sections if s.flags & SHF_ALLOC]
    for export in exports:
        if export.kind is ExportKind.FUNCTION:
            lines.append(f"{export.address:#012x} {export.slot:>10}  {export.name} -> {export.implementation:#x}")
        else:
            lines.append(f"{export.address:#012x} {export.size:#10x}  {export.name}")
    return "\n".join(lines)


def make(plan: LibraryPlan, base: int | registry.AddressAllocator) -> Product:
    """Makes a library in memory. Raises LinkError, FormatError, OSError."""
    kind = TargetLibrary(plan, base)
    try:
        linked = link(LinkJob(plan.options, kind))
    except rules.VersionTooSmall:
        raise
    except LinkError as failure:  # diagnostics without a file get the library's name instead of `ld`
        raise LinkError(
            *(replace(d, where=plan.file_name) if d.where == "ld" else d for d in failure.diagnostics)
        ) from None
    assert kind.header is not None and kind.history is not None
    before = plan.previous
    if (
        before is not None
        and plan.version == before.identity.version
        and before.identity.digest != kind.header.identity.digest
    ):
        raise rules.same_version(plan.step)
    if not kind.exported:
        kind.warnings.append(Diagnostic(plan.file_name, "exports nothing"))
    exports = tuple(kind.exported.values())
    warnings = [*linked.warnings, *kind.warnings]
    return Product(
        target=bytes(linked.image),
        header=kind.header,
        exports=exports,
        stub=kind.stub_library(),
        map=_map(kind.header, exports, linked.layout),
        warnings=tuple(map(str, warnings)),
        history=kind.history,
        follows=rules.summary(plan.step, kind.record.changes),
        room=kind.room(),
    )


def _with_warning(product: Product, plan: LibraryPlan, directory: str | Path) -> Product:
    """Adds a warning if there is an earlier release in the same directory that this one breaks, and no --previous was given."""
    before = previous.beside(Path(directory, "shlib"), plan.name, plan.version) if plan.previous is None else None
    if before is None or before.history.machine is not product.header.machine:
        return product
    moved = rules.misplaced(before.history, product.history)
    if not moved:
        return product
    verb = "is" if len(moved) == 1 else "are"
    warning = Diagnostic(
        plan.file_name,
        f"programs linked with {before.history.file_name} will not run on it: {rules.listed(moved)} {verb} at another address now or removed",
        remedy=f"give --previous {before.where}",
    )
    return replace(product, warnings=(*product.warnings, str(warning)))


def build(request: LibraryRequest, directory: str | Path, form: str = "archive") -> Product:
    """mkshlib: makes a library and writes all its files below `directory`. Raises ToolError, OSError.

    form: of the stub library: archive, directory or both. With a registry, the address is taken from it or, for a new
    library, entered in it once the files are there. With `next_version` it is made once more if a patch release is too small.
    """
    try:
        return _build(make_plan(request), directory, form)
    except rules.VersionTooSmall as failure:
        if not request.next_version:
            raise
        return build(replace(request, version=failure.wanted, next_version=False), directory, form)


def _build(plan: LibraryPlan, directory: str | Path, form: str) -> Product:
    if not plan.registry:
        assert plan.base is not None
        product = _with_warning(make(plan, plan.base), plan, directory)
        write(product.target, product.stub, directory, form)
        return product
    with registry.locked(plan.registry) as book:
        book.check()
        allocator = registry.AddressAllocator(book, plan.name, plan.version.major, plan.base)
        product = _with_warning(make(plan, allocator), plan, directory)
        write(product.target, product.stub, directory, form)
        if allocator.changed is not None:
            registry.write(allocator.changed)
        entry = (allocator.changed or book).find(plan.name, plan.version.major)
    return product if entry is None else replace(product, room=product.room.within(entry.end))


__all__ = ["LibraryRequest", "Product", "TargetLibrary", "build", "make", "make_plan", "place_of", "write"]

"""The header of a target library: the contents of its NT_LIBRARY note, before and after addresses are known."""

from __future__ import annotations

from collections.abc import Sequence

from uselib.linker.image import READ, Identity, LibraryHeader, Machine, Segment
from uselib.linker.library import jump_table
from uselib.linker.library.layout import Placed
from uselib.linker.library.request import LibraryPlan
from uselib.linker.passes.layout import Layout
from uselib.linker.quick_dataclass import replace


def blank_header(
    plan: LibraryPlan, machine: Machine, slot_count: int, dependencies: Sequence[Identity], has_data: bool
) -> LibraryHeader:
    """A header with all names and counts, and without addresses: its note has the final size."""
    segment = Segment(0, 0, 0, 0, READ)
    return LibraryHeader(
        machine,
        Identity(plan.name, plan.version, 0, 0, bytes(32), slot_count),
        bootstrap=0,
        jump_table=0,
        slot_size=jump_table.SLOT_SIZE,
        init_array=(0, 0),
        fini_array=(0, 0),
        segments=(segment,) * (2 if has_data else 1),
        dependencies=tuple(who.file_name for who in dependencies),
    )


def final_header(
    blank: LibraryHeader, placed: Placed, layout: Layout, bootstrap: int, table: int, continuation: int
) -> LibraryHeader:
    """The header with all addresses; the digest is still missing. continuation: the bootstrap's second entry, or 0."""

    def array(name: str) -> tuple[int, int]:
        section = layout.find(name)
        return (section.address, section.size // blank.machine.word) if section is not None else (0, 0)

    return replace(
        blank,
        identity=replace(blank.identity, base=placed.base, size=placed.size),
        bootstrap=bootstrap,
        jump_table=table,
        init_array=array(".init_array"),
        fini_array=array(".fini_array"),
        segments=placed.segments,
        continuation=continuation,
    )

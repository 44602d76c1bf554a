"""What a dynamic output needs of a machine: its relocations, its relocation types for the dynamic linker, and the code of the PLT."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from uselib.linker.image import Machine
from uselib.linker.passes import i386_dynamic, x86_64_dynamic
from uselib.linker.passes.dynamic_scan import DynamicTypes
from uselib.linker.passes.relocations import MachineRelocations

GOT_ENTRY = 8  # bytes of an entry of .plt.got


class DynamicCode(NamedTuple):
    """What differs between machines."""

    relocations: MachineRelocations
    types: DynamicTypes
    header_size: int
    entry_size: int
    header: Callable[[int, int, bool], bytes]
    entry: Callable[[int, int, int, int, int, bool], bytes]
    got_entry: Callable[[int, int, int, bool], bytes]  # of .plt.got; GOT_ENTRY bytes


CODE = {
    Machine.X86_64: DynamicCode(
        x86_64_dynamic.RELOCATIONS,
        x86_64_dynamic.TYPES,
        x86_64_dynamic.PLT_HEADER,
        x86_64_dynamic.PLT_ENTRY,
        x86_64_dynamic.plt_header,
        x86_64_dynamic.plt_entry,
        x86_64_dynamic.plt_got_entry,
    ),
    Machine.I386: DynamicCode(
        i386_dynamic.RELOCATIONS,
        i386_dynamic.TYPES,
        i386_dynamic.PLT_HEADER,
        i386_dynamic.PLT_ENTRY,
        i386_dynamic.plt_header,
        i386_dynamic.plt_entry,
        i386_dynamic.plt_got_entry,
    ),
}

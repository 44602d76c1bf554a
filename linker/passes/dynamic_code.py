"""What a dynamic output needs of a machine: its relocations, its relocation types for the dynamic linker, and the code of the PLT."""

from __future__ import annotations

from collections.abc import Callable

from uselib.linker.image import Machine
from uselib.linker.passes import i386_dynamic, x86_64_dynamic
from uselib.linker.passes.dynamic_scan import DynamicTypes
from uselib.linker.passes.relocations import MachineRelocations
from uselib.linker.quick_dataclass import NamedTuple

PLT_ENTRY = 16  # bytes of the PLT's header, and of an entry


class PltCode(NamedTuple):
    """The code of a PLT. Arguments: address, slot, number, the PLT's start, GOT, whether the output moves.

    Without ENDBR an entry of .plt jumps through its slot, and is lazily bound behind that jump. Where indirect branches may go to ENDBR only
    (IBT), calls go to .plt.sec, whose entries jump through the slots, and an entry of .plt is for lazy binding alone."""

    header: Callable[[int, int, bool], bytes]
    entry: Callable[[int, int, int, int, int, bool], bytes]
    entry_fields: tuple[int, ...]  # offsets of the fields of 4 bytes in which entries for slots in a row differ
    lazy: int  # bytes from an entry's start to where its slot points at first
    separate: bool  # there is .plt.sec, with entries as those of .plt.got
    got_entry: Callable[[int, int, int, bool], bytes]  # of .plt.got
    got_entry_size: int
    got_field: int  # the same of those entries


class DynamicCode(NamedTuple):
    """What differs between machines."""

    relocations: MachineRelocations
    types: DynamicTypes
    plain: PltCode
    ibt: PltCode


_PLAIN = (2, 7, 12)  # jump through the slot; number; jump to the header
_IBT = (5, 10)  # number; jump to the header

CODE = {
    Machine.X86_64: DynamicCode(
        x86_64_dynamic.RELOCATIONS,
        x86_64_dynamic.TYPES,
        PltCode(
            x86_64_dynamic.plt_header, x86_64_dynamic.plt_entry, _PLAIN, 6, False, x86_64_dynamic.plt_got_entry, 8, 2
        ),
        PltCode(
            x86_64_dynamic.plt_header,
            x86_64_dynamic.ibt_plt_entry,
            _IBT,
            0,
            True,
            x86_64_dynamic.ibt_plt_got_entry,
            16,
            6,
        ),
    ),
    Machine.I386: DynamicCode(
        i386_dynamic.RELOCATIONS,
        i386_dynamic.TYPES,
        PltCode(i386_dynamic.plt_header, i386_dynamic.plt_entry, _PLAIN, 6, False, i386_dynamic.plt_got_entry, 8, 2),
        PltCode(
            i386_dynamic.ibt_plt_header,
            i386_dynamic.ibt_plt_entry,
            _IBT,
            0,
            True,
            i386_dynamic.ibt_plt_got_entry,
            16,
            6,
        ),
    ),
}

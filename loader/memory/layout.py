"""Where things go in an address space. Source: mm/mmap.c, arch/x86/include/asm/processor.h of Linux."""

from __future__ import annotations

from collections.abc import Callable

from uselib.linker.quick_dataclass import dataclass, replace
from uselib.loader.memory.vma import PAGE

MMAP_MIN = 0x10000  # vm.mmap_min_addr
STACK_GUARD_GAP = 256 * PAGE  # stack_guard_gap: nothing is mapped this close below a stack
LOW_START, LOW_END = 0x4000_0000, 0x8000_0000  # where MAP_32BIT maps (find_start_end)
MAX_MAPPINGS = 65530  # vm.max_map_count


@dataclass(frozen=True)
class MemoryLayout:
    """Where things go in one address space.

    windows: ranges that are reserved at the host from the start (others are added on demand). top: end of user addresses.
    lowest: first address that may be mapped at a place the program names. heap_gap: bytes between a program and its heap.
    """

    bits: int
    windows: tuple[tuple[int, int], ...]
    top: int
    stack_top: int
    mmap_base: int  # mappings without a fixed address go below this
    program_base: (
        int  # a position-independent program with an interpreter goes here; without one, its heap (ELF_ET_DYN_BASE)
    )
    lowest: int = MMAP_MIN
    heap_gap: int = 0


STACK_WINDOW_64, TOP_64 = 0x7FF0_0000_0000, 0x8000_0000_0000

LAYOUTS = {
    # A 32-bit program under a 64-bit kernel: IA32_PAGE_OFFSET is 0xffffe000.
    32: MemoryLayout(32, ((0, 1 << 32),), 0xFFFFE000, 0xFFFFE000, 0xF7C00000, 0x56555000),
    64: MemoryLayout(
        64, ((0, 1 << 32), (STACK_WINDOW_64, TOP_64)), TOP_64 - PAGE, TOP_64 - PAGE, 0x7FFF_F7C0_0000, 0x5555_5555_4000
    ),
}
# Linux without randomization begins mappings 128 MiB below the stack's top; here it is 132 MiB. At 128 MiB the first mapped
# pages and the last ones of the stack, which are a program's hottest, have the same place in every TLB of up to 32,768
# entries (machine/native/core/tlb.c).
# Linux of 1993: programs begin at address 0 and the kernel at 0xc0000000 (TASK_SIZE); libraries are at 0x60000000 and above.
LAYOUT_1993 = MemoryLayout(32, ((0, 1 << 32),), 0xC000_0000, 0xC000_0000, 0x6000_0000, 0x4000_0000, lowest=0)
# System V Release 3: the stack ends below 0x80000000, shared libraries lie from 0xa0000000 on.
LAYOUT_SVR3 = MemoryLayout(32, ((0, 1 << 32),), 0xC000_0000, 0x8000_0000, 0x7000_0000, 0x4000_0000, lowest=0)
WINDOW_UNIT = 1 << 32


# Bits of a page number that are chosen by chance: stack, mappings below it, program, heap (arch_mmap_rnd, randomize_stack_top,
# arch_randomize_brk). On x86-64 Linux has 28 for mappings; here stack and mappings share a window of 64 GiB.
_RANDOM_BITS = {32: (8, 8, 8, 13), 64: (20, 22, 28, 13)}


def randomised(layout: MemoryLayout, random: Callable[[int], int]) -> MemoryLayout:
    """Another place for everything that the kernel places. random: a number of so many bits."""
    stack, mappings, program, heap = (random(bits) * PAGE for bits in _RANDOM_BITS[layout.bits])
    base = layout.program_base + program
    if layout.bits == 64:  # in the first quarter of a window, so that a heap has room behind it
        base = base & -WINDOW_UNIT | base & (WINDOW_UNIT // 4 - 1)
    return replace(
        layout,
        stack_top=layout.stack_top - stack,
        mmap_base=layout.mmap_base - stack - mappings,
        program_base=base,
        heap_gap=heap,
    )


def page_down(address: int) -> int:
    return address & -PAGE


def page_up(address: int) -> int:
    return (address + PAGE - 1) & -PAGE

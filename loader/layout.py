"""Where things go in an address space. Source: mm/mmap.c, arch/x86/include/asm/processor.h of Linux."""

from __future__ import annotations

from dataclasses import dataclass

from loader.vma import PAGE

MMAP_MIN = 0x10000  # vm.mmap_min_addr
STACK_GUARD_GAP = 256 * PAGE  # stack_guard_gap: nothing is mapped this close below a stack
MAX_MAPPINGS = 65530  # vm.max_map_count


@dataclass(frozen=True)
class Layout:
    """Where things go in one machine's address space.

    windows: ranges that are reserved at the host from the start (others are added on demand). top: end of user addresses.
    """

    bits: int
    windows: tuple[tuple[int, int], ...]
    top: int
    stack_top: int
    mmap_base: int  # mappings without a fixed address go below this


LAYOUTS = {
    # A 32-bit program under a 64-bit kernel: IA32_PAGE_OFFSET is 0xffffe000.
    32: Layout(32, ((0, 1 << 32),), 0xFFFFE000, 0xFFFFE000, 0xF7FFC000),
    64: Layout(64, ((0, 1 << 32), (0x7FF0_0000_0000, 0x8000_0000_0000)), 0x7FFF_FFFF_F000, 0x7FFF_FFFF_F000, 0x7FFF_F7FF_F000),
}  # fmt: skip
WINDOW_UNIT = 1 << 32


def page_down(address: int) -> int:
    return address & -PAGE


def page_up(address: int) -> int:
    return (address + PAGE - 1) & -PAGE

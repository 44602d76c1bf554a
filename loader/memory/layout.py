"""Where things go in an address space. Source: mm/mmap.c, arch/x86/include/asm/processor.h of Linux."""

from __future__ import annotations

from dataclasses import dataclass

from uselib.loader.memory.vma import PAGE

MMAP_MIN = 0x10000  # vm.mmap_min_addr
STACK_GUARD_GAP = 256 * PAGE  # stack_guard_gap: nothing is mapped this close below a stack
MAX_MAPPINGS = 65530  # vm.max_map_count


@dataclass(frozen=True)
class Layout:
    """Where things go in one address space.

    windows: ranges that are reserved at the host from the start (others are added on demand). top: end of user addresses.
    lowest: first address that may be mapped at a place the program names.
    """

    bits: int
    windows: tuple[tuple[int, int], ...]
    top: int
    stack_top: int
    mmap_base: int  # mappings without a fixed address go below this
    lowest: int = MMAP_MIN


LAYOUTS = {
    # A 32-bit program under a 64-bit kernel: IA32_PAGE_OFFSET is 0xffffe000.
    32: Layout(32, ((0, 1 << 32),), 0xFFFFE000, 0xFFFFE000, 0xF7FFC000),
    64: Layout(64, ((0, 1 << 32), (0x7FF0_0000_0000, 0x8000_0000_0000)), 0x7FFF_FFFF_F000, 0x7FFF_FFFF_F000, 0x7FFF_F7FF_F000),
}  # fmt: skip
# Linux of 1993: programs begin at address 0 and the kernel at 0xc0000000 (TASK_SIZE); libraries are at 0x60000000 and above.
LAYOUT_1993 = Layout(32, ((0, 1 << 32),), 0xC000_0000, 0xC000_0000, 0x6000_0000, lowest=0)
# System V Release 3: the stack ends below 0x80000000, shared libraries lie from 0xa0000000 on.
LAYOUT_SVR3 = Layout(32, ((0, 1 << 32),), 0xC000_0000, 0x8000_0000, 0x7000_0000, lowest=0)
WINDOW_UNIT = 1 << 32


def page_down(address: int) -> int:
    return address & -PAGE


def page_up(address: int) -> int:
    return (address + PAGE - 1) & -PAGE

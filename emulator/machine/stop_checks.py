"""Whether translated code asks after each memory access if it must stop.

Unicorn's translator calls helper_check_exit_request at the start of every block and again behind every load and store, for a
memory hook may have stopped the CPU. The second kind makes a third of the time of a program that computes: before each call all
guest registers go back to memory. Here no memory hook stops the CPU (nor does a function behind a watched page), a page fault
leaves its block by itself (cpu_loop_exit_restore in cputlb.c), and so does a store into translated code; for a stop from a block
hook, a system call or another thread the start of the next block is soon enough. Only hooks on instructions that stop the CPU
exactly there need the calls: they are made behind those hooks by the same routine (check_exit_request in tcg-op.c).

That routine does nothing if uc_struct.no_exit_request is set (Unicorn sets it within Thumb's IT blocks, and never on x86). No
call of Unicorn's interface changes it, so its place is found: it is the byte before `init_done` in every release from 2.0 to
2.1.4, and functions of the interface begin with a test of that one:

    80 bf disp32 00    cmp byte ptr [rdi + disp32], 0

Where a release is not known, the code looks different, or the two bytes are not 0 and 1, nothing is touched and every access
is checked: slower, and right.
"""

from __future__ import annotations

import ctypes
import os

KNOWN = ((2, 1, 0), (2, 1, 4))  # first and last release whose uc_struct has been checked
_TEST = b"\x80\xbf"  # four bytes of displacement and a 0 follow
_FUNCTIONS = ("uc_emu_stop", "uc_mem_unmap", "uc_reg_read_batch", "uc_context_size")
_PROLOGUE = 64  # bytes of each that are searched


def known(lib: ctypes.CDLL) -> bool:
    """Whether this is a release of Unicorn whose structures have been checked, on an x86-64 host."""
    if os.uname().machine not in ("x86_64", "AMD64"):
        return False
    version = lib.uc_version(None, None)
    return KNOWN[0] <= (version >> 24, version >> 16 & 0xFF, version >> 8 & 0xFF) <= KNOWN[1]


def locate(lib: ctypes.CDLL, engine: int) -> ctypes.c_uint8 | None:
    """`no_exit_request` of an initialised engine, or None if it cannot be told with certainty."""
    if not known(lib):
        return None
    offsets = {_tested_offset(lib, name) for name in _FUNCTIONS}
    offset = offsets.pop()
    if offsets or not 0 < offset < 0x2000:
        return None
    before_it, tested = (ctypes.c_uint8 * 2).from_address(engine + offset - 1)
    if (before_it, tested) != (0, 1):
        return None
    return ctypes.c_uint8.from_address(engine + offset - 1)


def _tested_offset(lib: ctypes.CDLL, name: str) -> int:
    """Offset in uc_struct of the byte that a function tests first; -1 if it does not begin so."""
    address = ctypes.cast(getattr(lib, name), ctypes.c_void_p).value
    assert address is not None
    code = ctypes.string_at(address, _PROLOGUE)
    at = code.find(_TEST)
    while 0 <= at < _PROLOGUE - 6:
        if not code[at + 6]:
            return int.from_bytes(code[at + 2 : at + 6], "little", signed=True)
        at = code.find(_TEST, at + 1)
    return -1

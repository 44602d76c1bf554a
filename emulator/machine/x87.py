"""X87: the instructions that Unicorn computes in double precision or wrongly are carried out by the host's own x87.

Unicorn's fprem and fprem1 are wrong for large quotients, its logarithms, exponentials and trigonometric functions have 53
bits instead of 64, and it ignores the rounding control where fldpi and the like round. All of these are two bytes, D9 and
one more. When a page is about to be executed for the first time, `scan` looks for such pairs and puts a hook on each
address and on what follows it. A hook fires only where an instruction begins, so pairs inside other instructions cost
nothing but a place in Unicorn's list; and it looks at the two bytes again, so a hook over memory that has changed does no
harm and is never removed.

The hook is machine code. Before the instruction it loads the guest's x87 registers, control and status word into the host's
x87, executes the instruction and keeps the result. Unicorn then executes it too, and the hook before the next instruction
(these instructions never branch) replaces what Unicorn computed; it changes the same registers as the processor, or leaves
some alone. So the block goes on, nothing has to stop the CPU, and a hook that is called twice does no harm. If
something else stops the CPU in between, `settle` does what the second hook would have done. The guest's control word holds
on the host too, so that an exception the guest has unmasked leaves the registers as the processor does; it is pending in the
host's x87 until FNSAVE, which does not wait and clears it. The guest's next waiting instruction raises it.

x86-64 hosts only; elsewhere Unicorn's results stay. An instruction with a superfluous prefix is not found.
Source: Intel SDM volume 1, 8.1 (state, FSAVE's image), volume 2 (the instructions).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
from functools import cache

from uselib.emulator.machine import registers as r
from uselib.emulator.machine.engine import HOOK_CODE, Engine
from uselib.loader.memory.address_space import PAGE
from uselib.loader.memory.host_memory import Window

_PROT_READ_EXEC = 5
_FIRST = 0xE0  # the hook's table begins with D9 E0

# Second bytes, and what they are
CONSTANTS = {0xE9: "fldl2t", 0xEA: "fldl2e", 0xEB: "fldpi", 0xEC: "fldlg2", 0xED: "fldln2"}  # if not to nearest
INSTRUCTIONS = CONSTANTS | {
    0xF0: "f2xm1",
    0xF1: "fyl2x",
    0xF2: "fptan",
    0xF3: "fpatan",
    0xF4: "fxtract",
    0xF5: "fprem1",
    0xF8: "fprem",
    0xF9: "fyl2xp1",
    0xFB: "fsincos",
    0xFD: "fscale",
    0xFE: "fsin",
    0xFF: "fcos",
}
_PAIR = re.compile(rb"\xd9[" + b"".join(b"\\x%02x" % second for second in INSTRUCTIONS) + rb"]")

# void hook(uc_engine *uc, uint64_t address, uint32_t size, struct context *context), System V ABI
HOOK = (
    ("53", "push rbx"),
    ("55", "push rbp"),
    ("41 54", "push r12"),
    ("41 55", "push r13"),
    ("50", "push rax"),
    ("48 89 cb", "mov rbx, rcx"),  # context
    ("48 89 fd", "mov rbp, rdi"),  # uc
    ("49 89 f5", "mov r13, rsi"),  # address
    (
        "4c 39 6b 38",
        "cmp qword ptr [rbx + 0x38], r13",
    ),  # pending: are there results of the instruction before this one?
    ("75 18", "jne 0x2e"),
    ("48 c7 43 38 00 00 00 00", "mov qword ptr [rbx + 0x38], 0"),
    ("48 8b 73 28", "mov rsi, qword ptr [rbx + 0x28]"),
    ("48 8b 53 30", "mov rdx, qword ptr [rbx + 0x30]"),
    ("b9 05 00 00 00", "mov ecx, 5"),  # len(_STORED)
    ("ff 53 20", "call qword ptr [rbx + 0x20]"),  # uc_reg_write_batch(uc, stored_ids, stored, 5)
    ("48 8b 03", "mov rax, qword ptr [rbx]"),  # 2e: delta
    ("42 80 3c 28 d9", "cmp byte ptr [rax + r13], 0xd9"),
    ("75 62", "jne 0x9a"),
    ("46 0f b6 64 28 01", "movzx r12d, byte ptr [rax + r13 + 1]"),  # the second byte
    ("41 81 ec e0 00 00 00", "sub r12d, 0xe0"),
    ("72 53", "jb 0x9a"),
    ("44 0f a3 63 40", "bt dword ptr [rbx + 0x40], r12d"),  # mask: one of ours?
    ("73 4c", "jae 0x9a"),
    ("48 89 ef", "mov rdi, rbp"),
    ("48 8b 73 10", "mov rsi, qword ptr [rbx + 0x10]"),
    ("48 8b 53 18", "mov rdx, qword ptr [rbx + 0x18]"),
    ("b9 0b 00 00 00", "mov ecx, 0xb"),  # len(_LOADED)
    ("ff 53 08", "call qword ptr [rbx + 8]"),  # uc_reg_read_batch(uc, loaded_ids, loaded, 11)
    ("41 83 fc 0f", "cmp r12d, 0xf"),
    ("77 06", "ja 0x6d"),  # not a constant
    ("f6 43 51 0c", "test byte ptr [rbx + 0x51], 0xc"),  # control word, bits 10 and 11: rounding
    ("74 2d", "je 0x9a"),  # to nearest: Unicorn's constants are right
    ("8b 43 50", "mov eax, dword ptr [rbx + 0x50]"),  # 6d: control word
    ("f7 d0", "not eax"),
    ("23 43 54", "and eax, dword ptr [rbx + 0x54]"),  # status word
    ("a8 3f", "test al, 0x3f"),
    ("75 21", "jne 0x9a"),  # an exception is pending: it would hit the host
    ("d9 7b 48", "fnstcw word ptr [rbx + 0x48]"),  # the host's control word
    ("dd 63 50", "frstor dword ptr [rbx + 0x50]"),
    ("48 8d 05 1c 00 00 00", "lea rax, [rip + 0x1c]"),  # table
    ("4a 8d 04 a0", "lea rax, [rax + r12*4]"),
    ("ff d0", "call rax"),
    ("dd 73 50", "fnsave dword ptr [rbx + 0x50]"),
    ("d9 6b 48", "fldcw word ptr [rbx + 0x48]"),
    ("49 83 c5 02", "add r13, 2"),
    ("4c 89 6b 38", "mov qword ptr [rbx + 0x38], r13"),  # pending
    ("58", "pop rax"),  # 9a:
    ("41 5d", "pop r13"),
    ("41 5c", "pop r12"),
    ("5d", "pop rbp"),
    ("5b", "pop rbx"),
    ("c3", "ret"),
)  # then the table: D9 xx C3 CC (the instruction, ret, int3) for each second byte from E0 to FF


class _Context(ctypes.Structure):
    """What the hook gets, and works on. The image is that of FNSAVE in 32-bit protected mode."""

    _fields_ = (
        ("delta", ctypes.c_uint64),  # host address - guest address
        ("read", ctypes.c_uint64),
        ("loaded_ids", ctypes.c_uint64),
        ("loaded", ctypes.c_uint64),
        ("write", ctypes.c_uint64),
        ("stored_ids", ctypes.c_uint64),
        ("stored", ctypes.c_uint64),
        ("pending", ctypes.c_uint64),  # address behind an instruction whose result is in the image; 0: none
        ("mask", ctypes.c_uint32),
        ("_unused", ctypes.c_uint32),
        ("host_control", ctypes.c_uint64),
        ("image", ctypes.c_uint8 * 112),
    )


_CONTROL, _STATUS, _TAGS, _STACK = 0, 4, 8, 28  # offsets in the image; the stack's registers are 10 bytes each
# Status before registers: it holds the top of the stack, by which ST(i) are counted. An instruction changes at most
# ST(0) and ST(1), and what it pops is ST(7) afterwards; so is what Unicorn has pushed where the processor pushes nothing.
_LOADED = ((r.FPCW, _CONTROL), (r.FPSW, _STATUS), (r.FPTAG, _TAGS), *((r.ST0 + i, _STACK + 10 * i) for i in range(8)))
_STORED = ((r.FPSW, _STATUS), *((r.ST0 + i, _STACK + 10 * i) for i in (0, 1, 7)), (r.FPTAG, _TAGS))


def available() -> bool:
    """Whether this host has an x87 for the guest's use."""
    return os.uname().machine in ("x86_64", "AMD64")


@cache
def _native_hook() -> tuple[int, mmap.mmap]:
    """Address of the hook in this process (a child of fork has it too), and the memory that holds it."""
    code = b"".join(bytes.fromhex(text) for text, _ in HOOK)
    table = b"".join(bytes((0xD9, second, 0xC3, 0xCC)) for second in range(_FIRST, 0x100))
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    memory.write(code + table)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), _PROT_READ_EXEC):
        raise OSError("cannot make the x87 hook executable")
    return address, memory


class X87:
    """The hooks of one engine."""

    def __init__(self, engine: Engine, bits: int) -> None:
        self._engine = engine
        self._bits = bits
        self._contexts: dict[int, _Context] = {}  # a window's delta -> context
        self._keep: list[object] = []  # arrays that contexts point to
        self._hooked: set[int] = set()  # addresses
        self._watched: set[int] = set()  # pages

    def scan(self, window: Window, page: int, size: int) -> bool:
        """Hooks the instructions that begin in a page, or at the start of the page behind it if size goes that far: a
        block of code may run on into that page, and its first instruction is then translated before it is scanned.
        Returns True if one of the hooks is on the page behind."""
        code = window.read(page, size)
        found = [page + match.start() for match in _PAIR.finditer(code)]
        if size == PAGE and code[-1] == 0xD9:
            found.append(page + PAGE - 1)
        behind = False
        for address in found:
            if address not in self._hooked:
                self._hooked.add(address)
                self._hook(window, address, address + 2)
                behind = behind or address + 2 >= page + PAGE
        return behind

    def watch_page(self, window: Window, page: int) -> None:
        """Hooks every instruction of a page whose code changes unseen. The CPU is at rest, and the caller drops the
        translations afterwards."""
        if page not in self._watched:
            self._watched.add(page)
            self._hook(window, page, page + PAGE + 1)

    def settle(self, pc: int) -> None:
        """The CPU is at rest at `pc`: an instruction that has been executed, but not yet replaced, is."""
        for context in self._contexts.values():
            if context.pending:
                if context.pending == pc:
                    lib, handle = self._engine.lib, self._engine.handle
                    lib.uc_reg_write_batch(handle, context.stored_ids, context.stored, len(_STORED))
                context.pending = 0

    def _hook(self, window: Window, begin: int, end: int) -> None:
        context = self._contexts.get(window.delta)
        if context is None:
            context = self._contexts[window.delta] = self._make_context(window.delta)
        end &= (1 << self._bits) - 1
        self._engine.hook(HOOK_CODE, _native_hook()[0], begin, end, data=ctypes.addressof(context), stops=False)

    def _make_context(self, delta: int) -> _Context:
        context = _Context(delta=delta, mask=sum(1 << second - _FIRST for second in INSTRUCTIONS))
        image = ctypes.addressof(context) + _Context.image.offset
        context.read = self._engine.function("uc_reg_read_batch")
        context.write = self._engine.function("uc_reg_write_batch")
        context.loaded_ids, context.loaded = self._batch(_LOADED, image)
        context.stored_ids, context.stored = self._batch(_STORED, image)
        return context

    def _batch(self, rows: tuple[tuple[int, int], ...], image: int) -> tuple[int, int]:
        """Arrays of register numbers and of addresses, as uc_reg_*_batch take them."""
        ids = (ctypes.c_int * len(rows))(*(register for register, _ in rows))
        addresses = (ctypes.c_void_p * len(rows))(*(image + offset for _, offset in rows))
        self._keep += (ids, addresses)
        return ctypes.addressof(ids), ctypes.addressof(addresses)

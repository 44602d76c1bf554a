"""InstructionCounter: counts guest instructions and stops the CPU at a limit, exactly.

Unicorn calls a hook before each instruction; a hook in Python would cost 1 us, so on x86-64 hosts it is a few bytes of
machine code (3 ns). The run loop asks `exhausted` when the CPU has stopped. Without a limit nothing is hooked.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct

from uselib.emulator.machine.engine import BLOCK_CALLBACK, HOOK_CODE, Engine

_PROT_READ_EXEC = 5


def _native_hook(stop: int) -> bytes:
    """void hook(uc_engine *uc, uint64_t address, uint32_t size, uint64_t counter[2]), System V ABI: counter is in RCX."""
    return (
        bytes.fromhex("48 ff 01")  # inc  qword [rcx]          counter[0]++
        + bytes.fromhex("48 8b 01")  # mov  rax, [rcx]
        + bytes.fromhex("48 3b 41 08")  # cmp  rax, [rcx + 8]  limit
        + bytes.fromhex("77 01")  # ja   1f
        + bytes.fromhex("c3")  # ret
        + bytes.fromhex("48 b8") + struct.pack("<Q", stop)  # 1: movabs rax, uc_emu_stop
        + bytes.fromhex("ff e0")  # jmp  rax                     (uc is still in RDI)
    )  # fmt: skip


class InstructionCounter:
    """limit: instructions that may run, over all programs of the process (execve goes on counting)."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._cells = (ctypes.c_uint64 * 2)(0, limit)
        self._code: mmap.mmap | None = None

    @property
    def count(self) -> int:
        """Instructions begun."""
        return int(self._cells[0])

    @property
    def exhausted(self) -> bool:
        return self.count > self.limit

    def attach(self, engine: Engine) -> None:
        if os.uname().machine in ("x86_64", "AMD64"):
            engine.hook(HOOK_CODE, self._native(engine), data=ctypes.addressof(self._cells))
            return

        def hook(_uc: int, _address: int, _size: int, _data: int) -> None:
            self._cells[0] += 1
            if self._cells[0] > self.limit:
                engine.stop()

        engine.hook(HOOK_CODE, BLOCK_CALLBACK(hook))

    def _native(self, engine: Engine) -> int:
        if self._code is None:
            self._code = mmap.mmap(-1, mmap.PAGESIZE)
            self._code.write(_native_hook(engine.stop_function))
            address = ctypes.addressof(ctypes.c_char.from_buffer(self._code))
            if ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), _PROT_READ_EXEC):
                raise OSError("cannot make the instruction counter executable")
            self._address = address
        return self._address

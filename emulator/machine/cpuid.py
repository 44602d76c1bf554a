"""What the CPUID instruction says in this machine: an engine that is made for the question runs one."""

from __future__ import annotations

import ctypes
from functools import cache

from uselib.emulator.machine import registers as r
from uselib.emulator.machine.engine import Engine
from uselib.emulator.machine.unicorn_library import EngineError
from uselib.linker.image import PAGE

_CODE = b"\x0f\xa2\xf4"  # cpuid; hlt, which is not reached
_AT = 0x10000


@cache
def cpuid(bits: int, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
    """EAX, EBX, ECX, EDX. Raises EngineError."""
    engine = Engine(bits)
    memory = ctypes.create_string_buffer(3 * PAGE)
    page = (ctypes.addressof(memory) + PAGE - 1) & -PAGE
    try:
        ctypes.memmove(page, _CODE, len(_CODE))
        engine.map_host(_AT, PAGE, page)
        registers = (r.RAX, r.RBX, r.RCX, r.RDX) if bits == 64 else (r.EAX, r.EBX, r.ECX, r.EDX)
        engine.write(registers[0], leaf)
        engine.write(registers[2], subleaf)
        engine.until = _AT + 2
        if engine.start(_AT):
            raise EngineError("cpuid was not carried out")
        eax, ebx, ecx, edx = (engine.read(register) & 0xFFFF_FFFF for register in registers)
        return eax, ebx, ecx, edx
    finally:
        engine.close()

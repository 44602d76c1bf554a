"""Where Unicorn keeps the general registers, so that a native callback can read them without a call (1 ns instead of 8).

Where the replaced parts of the CPU are attached (core.py), they know the place (native/core/core.h). Elsewhere it is searched, because
nothing in Unicorn's interface says it: sixteen values that occur nowhere else are written to the
registers and searched for in the memory that the engine's own structure points to. What was found counts only if a second set
of values shows up there too; otherwise the answer is 0 and callers use uc_reg_read. At the start of a basic block, where block
hooks run, the array is up to date (QEMU keeps its globals in memory between translation blocks).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from uselib.emulator.machine import registers as r
from uselib.emulator.machine.engine import Engine

# The order of the array: instruction encoding. Its elements are 64 bits wide in both modes.
ORDER = {
    32: (r.EAX, r.ECX, r.EDX, r.EBX, r.ESP, r.EBP, r.ESI, r.EDI),
    64: (r.RAX, r.RCX, r.RDX, r.RBX, r.RSP, r.RBP, r.RSI, r.RDI, r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15),
}
_KNOWN = ((440, 35408),)  # (offset of a pointer in uc_struct, offset behind it) in Unicorn 2.1.4: looked at first
_STRUCTURE, _BEHIND = 4096, 1 << 17  # bytes searched


def locate(engine: Engine, bits: int) -> int:
    """Address of the array, or 0. The registers keep their values."""
    return _search(engine, bits, everywhere=True)


def locate_cpu(engine: Engine, bits: int) -> int:
    """Address of the CPUState, as functions within Unicorn take it; 0 if this is not a release whose structures are known."""
    assert engine.handle is not None
    array = _search(engine, bits, everywhere=False)
    return array - _KNOWN[0][1] if array else 0


def _search(engine: Engine, bits: int, *, everywhere: bool) -> int:
    """The array in memory that native code knows, or that a search finds; 0: it is not found."""
    assert engine.handle is not None
    if engine.core is not None:
        return int(engine.core.uselib_core_env(engine.handle))
    try:
        memory = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    numbers = ORDER[bits]
    before = [engine.read(number) for number in numbers]
    try:
        pattern = _fill(engine, bits, 0x9E3779B97F4A7C15)
        for address in _candidates(memory, engine.handle, pattern, everywhere):
            second = _fill(engine, bits, 0xC2B2AE3D27D4EB4F)
            if _read(memory, address, len(second)) == second:
                return address
            pattern = _fill(engine, bits, 0x9E3779B97F4A7C15)
        return 0
    finally:
        for number, value in zip(numbers, before, strict=True):
            engine.write(number, value)
        os.close(memory)


def _fill(engine: Engine, bits: int, step: int) -> bytes:
    """Writes distinct values to the registers; returns the array that they make."""
    values = [step * (n + 1) & (1 << bits) - 1 for n in range(len(ORDER[bits]))]
    for number, value in zip(ORDER[bits], values, strict=True):
        engine.write(number, value)
    return struct.pack(f"<{len(values)}Q", *values)


def _read(memory: int, address: int, size: int) -> bytes:
    """Memory of this process; empty where there is none."""
    try:
        return os.pread(memory, size, address)
    except (OSError, OverflowError):
        return b""


def _pointer(memory: int, address: int) -> int:
    return int.from_bytes(_read(memory, address, 8), "little")


def _candidates(memory: int, structure: int, pattern: bytes, everywhere: bool) -> Iterator[int]:
    for offset, behind in _KNOWN:
        address = _pointer(memory, structure + offset) + behind
        if _read(memory, address, len(pattern)) == pattern:
            yield address
    if not everywhere:
        return
    whole = _read(memory, structure, _STRUCTURE)
    for offset in range(0, len(whole) - 7, 8):
        start = int.from_bytes(whole[offset : offset + 8], "little")
        found = _read(memory, start, _BEHIND).find(pattern) if 1 << 12 < start < 1 << 47 else -1
        if found >= 0:
            yield start + found

"""Cpu: the registers of one machine as the kernel sees them (interfaces.CpuState), over an Engine.

32-bit thread-local storage works as on Linux: GS is loaded with a selector whose descriptor set_thread_area put into the
GDT. The GDT lies at GDT_ADDRESS, above the addresses that a 32-bit program can have.
Source: arch/x86/include/asm/segment.h, fpu/types.h (struct fxregs_state) of Linux; Intel SDM 3.4.5 (descriptors).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from ctypes import addressof, create_string_buffer, memmove

from uselib.emulator.machine import registers as r
from uselib.emulator.machine.cpuid import cpuid
from uselib.emulator.machine.engine import Engine, RegisterSet
from uselib.loader.memory.address_space import MemoryFault

GDT_ADDRESS = 0xFFFFE000
GDT_ENTRIES = 16
TLS_ENTRIES = (12, 13, 14)  # GDT_ENTRY_TLS_MIN..MAX, 64-bit kernel
_USER_CODE_32, _USER_DATA, _USER_CODE_64 = 4, 5, 6
_STACK_DATA = _CPU_NUMBER = 15  # the kernel's segment whose limit is the number of the CPU: 0
_SEGMENTS = {"cs": r.CS, "ds": r.DS, "es": r.ES, "fs": r.FS, "gs": r.GS, "ss": r.SS}

FPU_CONTROL = 0x37F  # as Linux starts a program (Unicorn starts with 0)
SSE_CONTROL = 0x1F80
_NUMERIC_ERROR = 1 << 5  # CR0.NE: an x87 exception is vector 16, not a pin of the processor
_TIME_STAMP_DISABLE = 1 << 2  # CR4.TSD
_FXSAVE = struct.Struct("<HHBxHQQII")


def descriptor(base: int, limit: int, access: int, flags: int) -> int:
    """An 8-byte segment descriptor. access: P DPL S type; flags: G D/B L AVL."""
    return (
        limit & 0xFFFF | (base & 0xFFFFFF) << 16 | access << 40 | (limit >> 16 & 0xF) << 48 | flags << 52
        | (base >> 24 & 0xFF) << 56
    )  # fmt: skip


class Cpu:
    """Registers by group. The table of segment descriptors is guest memory at GDT_ADDRESS in 32-bit mode, which
    `write_gdt(offset, bytes)` stores into; gdt_at: its host address. In 64-bit mode it is this object's."""

    def __init__(
        self, engine: Engine, bits: int, write_gdt: Callable[[int, bytes], None], gdt_at: int | None = None
    ) -> None:
        self.bits = bits
        self._engine = engine
        self._write_gdt = write_gdt
        self._general = RegisterSet(engine, r.GENERAL[bits])
        self._gdt = [0] * GDT_ENTRIES
        self._segments = dict.fromkeys(_SEGMENTS, 0) | ({"cs": 0x33, "ss": 0x2B} if bits == 64 else {})
        engine.write(r.CR0, engine.read(r.CR0) | _NUMERIC_ERROR)
        self._table = create_string_buffer(8 * GDT_ENTRIES)
        if bits == 64:
            self._write_gdt = self._write_table
        self._fill_gdt()
        if bits == 32:
            self._load_gdt()
        self.user_mode = engine.enter_user_mode(bits, gdt_at or addressof(self._table))
        if self.user_mode:  # not before: until then the machine runs in ring 0, with the entry as its stack's
            self._gdt[_CPU_NUMBER] = descriptor(0, 0, 0xF5, 0x4)
            self._write_gdt(8 * _CPU_NUMBER, struct.pack("<Q", self._gdt[_CPU_NUMBER]))

    def _write_table(self, offset: int, data: bytes) -> None:
        memmove(addressof(self._table) + offset, data, len(data))

    def _fill_gdt(self) -> None:
        table = self._gdt
        table[_USER_CODE_32] = descriptor(0, 0xFFFFF, 0xFB, 0xC)
        table[_USER_DATA] = descriptor(0, 0xFFFFF, 0xF3, 0xC)
        table[_USER_CODE_64] = descriptor(0, 0xFFFFF, 0xFB, 0xA)
        table[_STACK_DATA] = descriptor(0, 0xFFFFF, 0x93, 0xC)  # the machine runs in ring 0: SS needs DPL 0
        self._write_gdt(0, struct.pack(f"<{GDT_ENTRIES}Q", *table))

    def _load_gdt(self) -> None:
        self._engine.write_bytes(r.GDTR, struct.pack("<H6xQIIxxxx", 0, GDT_ADDRESS, 8 * GDT_ENTRIES - 1, 0))
        self._engine.write(r.SS, 8 * _STACK_DATA)
        self._engine.write(r.CS, 8 * _USER_CODE_32 | 3)
        for register in (r.DS, r.ES):
            self._engine.write(register, 8 * _USER_DATA | 3)

    # -- general registers ----------------------------------------------------------------------------------------

    def general(self) -> list[int]:
        return self._general.load()

    def set_general(self, values: list[int]) -> None:
        self._general.store(values)

    @property
    def pc(self) -> int:
        return self._engine.read(r.PROGRAM_COUNTER[self.bits])

    @property
    def sp(self) -> int:
        return self._engine.read(r.STACK_POINTER[self.bits])

    def reset(self, pc: int, sp: int) -> None:
        values = [0] * len(r.GENERAL[self.bits])
        index = r.INDEX[self.bits]
        values[index["rip" if self.bits == 64 else "eip"]] = pc
        values[index["rsp" if self.bits == 64 else "esp"]] = sp
        values[-1] = 0x202  # IF
        self.set_general(values)
        self.set_float_state(_FXSAVE.pack(FPU_CONTROL, 0, 0, 0, 0, 0, SSE_CONTROL, 0xFFFF).ljust(512, b"\0"))

    # -- floating point ---------------------------------------------------------------------------------------------

    def float_state(self) -> bytes:
        """FXSAVE's image: control words, ST0..7 in stack order (16 bytes apart), XMM0..15 (0..7 in 32-bit mode)."""
        engine = self._engine
        status = engine.read(r.FPSW) & 0xFFFF
        top = status >> 11 & 7
        tags = engine.read(r.FPTAG) & 0xFFFF  # two bits a register, 3 = empty
        abridged = sum(1 << i for i in range(8) if (tags >> 2 * i & 3) != 3)
        out = bytearray(
            _FXSAVE.pack(
                engine.read(r.FPCW) & 0xFFFF, status, abridged, 0, 0, 0, engine.read(r.MXCSR) & 0xFFFFFFFF, 0xFFFF
            )
        )
        for i in range(8):
            out += engine.read_bytes(r.FP_DATA0 + (top + i) % 8, 10) + bytes(6)
        for i in range(16 if self.bits == 64 else 8):
            out += engine.read_bytes(r.XMM0 + i, 16)
        return bytes(out.ljust(512, b"\0"))

    def set_float_state(self, state: bytes) -> None:
        engine = self._engine
        control, status, abridged, _, _, _, mxcsr, _ = _FXSAVE.unpack_from(state)
        engine.write(r.FPCW, control)
        engine.write(r.FPSW, status)
        top = status >> 11 & 7
        for i in range(8):
            engine.write_bytes(r.FP_DATA0 + (top + i) % 8, state[32 + 16 * i : 42 + 16 * i])
        engine.write(r.FPTAG, sum(0 if abridged >> i & 1 else 3 << 2 * i for i in range(8)))
        for i in range(16 if self.bits == 64 else 8):
            engine.write_bytes(r.XMM0 + i, state[160 + 16 * i : 176 + 16 * i])
        engine.write(r.MXCSR, mxcsr & 0xFFFF)

    def allow_time_stamps(self, allowed: bool) -> None:
        """Whether RDTSC is the program's, or a general protection fault."""
        before = self._engine.read(r.CR4)
        self._engine.write(r.CR4, before & ~_TIME_STAMP_DISABLE if allowed else before | _TIME_STAMP_DISABLE)

    def cpuid(self, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
        return cpuid(self.bits, leaf, subleaf)

    @property
    def code_bits(self) -> int:
        """How instructions are executed: 32 in the 32-bit code segment of a 64-bit program."""
        return 32 if self.bits == 64 and self.user_mode and not self._engine.executes_64 else self.bits

    # -- segments and thread-local storage ----------------------------------------------------------------------------

    def set_fs_base(self, address: int) -> None:
        self._engine.write(r.FS_BASE, address)

    def fs_base(self) -> int:
        return self._engine.read(r.FS_BASE)

    def set_gs_base(self, address: int) -> None:
        self._engine.write(r.GS_BASE, address)

    def gs_base(self) -> int:
        return self._engine.read(r.GS_BASE)

    def set_descriptor(self, entry: int, value: int) -> None:
        self._gdt[entry] = value
        self._write_gdt(8 * entry, struct.pack("<Q", value))
        for register in (r.FS, r.GS):  # a loaded selector is reloaded, as a context switch would do
            if self._engine.read(register) >> 3 == entry:
                self._engine.write(register, entry << 3 | 3)

    def descriptors(self, entries: tuple[int, ...]) -> tuple[int, ...]:
        """32-bit mode: what is in entries of the GDT."""
        return tuple(self._gdt[entry] for entry in entries)

    def put_descriptors(self, entries: tuple[int, ...], values: tuple[int, ...]) -> None:
        """Likewise to write them, where they differ; selectors that are loaded keep what they have."""
        for entry, value in zip(entries, values, strict=True):
            if self._gdt[entry] != value:
                self._gdt[entry] = value
                self._write_gdt(8 * entry, struct.pack("<Q", value))

    def note_descriptors(self, entries: tuple[int, ...], values: tuple[int, ...]) -> None:
        """Native code has written them."""
        for entry, value in zip(entries, values, strict=True):
            self._gdt[entry] = value

    def descriptor_base(self, selector: int) -> int:
        """Base address of the segment that a selector names; 0 if there is none."""
        value = self._gdt[selector >> 3] if selector >> 3 < GDT_ENTRIES else 0
        return (value >> 16 & 0xFFFFFF) | (value >> 56 & 0xFF) << 24

    def segments(self) -> dict[str, int]:
        """Selectors by name, with the values Linux shows for code and stack."""
        if self.bits == 64:
            return self._engine.selectors() if self.user_mode else dict(self._segments)
        found = {name: self._engine.read(register) for name, register in _SEGMENTS.items()}
        return found | {"ss": 8 * _USER_DATA | 3}

    def set_segments(self, selectors: dict[str, int]) -> None:
        """Data segments of 32-bit mode, `cs` and `ss` of 64-bit mode. Raises MemoryFault: a program may not have these."""
        if self.bits == 64:
            if self.user_mode and not self._engine.set_code_segment(selectors["cs"], selectors["ss"]):
                raise MemoryFault(selectors["cs"], "execute", mapped=False)
        else:
            for name in ("ds", "es", "fs", "gs"):
                if name in selectors and self._engine.read(_SEGMENTS[name]) != selectors[name]:
                    self._engine.write(_SEGMENTS[name], selectors[name])

"""What a process has in place of a program before its first execve: an empty address space, and registers that are all zero.

Linux starts its first program in the same way: a kernel thread, which has no user memory, calls execve.
"""

from __future__ import annotations

from uselib.emulator.kernel.process import LoadedProgram
from uselib.emulator.kernel.structs import structs_of
from uselib.linker.image import Machine
from uselib.loader.memory.address_space import AddressSpace

_REGISTERS = {32: 10, 64: 18}  # general registers, program counter, flags


class NoRegisters:
    """The registers of a process without a program (interfaces.CpuState): they read as zero, and keep nothing."""

    pc = sp = 0

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def general(self) -> list[int]:
        return [0] * _REGISTERS[self.bits]

    def set_general(self, values: list[int]) -> None: ...

    def float_state(self) -> bytes:
        return bytes(512)

    def set_float_state(self, state: bytes) -> None: ...

    def fs_base(self) -> int:
        return 0

    def set_fs_base(self, address: int) -> None: ...

    def gs_base(self) -> int:
        return 0

    def set_gs_base(self, address: int) -> None: ...

    def set_descriptor(self, entry: int, descriptor: int) -> None: ...

    def descriptor_base(self, selector: int) -> int:
        return 0

    def cpuid(self, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
        return 0, 0, 0, 0

    def segments(self) -> dict[str, int]:
        return dict.fromkeys(("cs", "ds", "es", "fs", "gs", "ss"), 0)

    def allow_time_stamps(self, allowed: bool) -> None: ...

    @property
    def code_bits(self) -> int:
        return self.bits

    def set_segments(self, selectors: dict[str, int]) -> None: ...

    def reset(self, pc: int, sp: int) -> None: ...


def no_program(ceiling: int | None) -> LoadedProgram:
    """Its memory's limits are those of all programs that follow (RecognisedProgram.space). ceiling: bytes that may be mapped at a time,
    or None."""
    machine = Machine.X86_64
    return LoadedProgram(machine, structs_of(machine), AddressSpace(64, ceiling=ceiling), NoRegisters(64))

"""Why the CPU has stopped, as a fault of the program: an exception vector, or a stop without an error."""

from __future__ import annotations

from uselib.emulator.machine.cpu import Cpu
from uselib.emulator.machine.engine import Engine
from uselib.emulator.process import faults
from uselib.emulator.process.interfaces import Fault
from uselib.loader.memory.address_space import AddressSpace, MemoryFault


def fault_of_vector(vector: int, space: AddressSpace, cpu: Cpu, engine: Engine) -> Fault:
    """Of an exception with this vector, which the engine's latest run has ended with."""
    if vector in (faults.VECTOR_X87, faults.VECTOR_SSE):
        return faults.of_float(cpu.pc, cpu.float_state(), vector)
    if vector == faults.VECTOR_DEBUG and engine.interrupt_was_instruction:
        return faults.int1(cpu.pc)
    pending = faults.pending_float(space, cpu) if vector in faults.OF_OPERANDS else None
    if pending is None and vector == faults.VECTOR_ALIGNMENT:
        return faults.not_aligned(space, cpu)
    return pending or faults.of_vector(vector, cpu.pc, engine.error_code)


def fault_without_error(space: AddressSpace, cpu: Cpu) -> Fault:
    """Unicorn stopped without an error: at a privileged instruction, most often `hlt`, with the program counter behind it. After
    `hlt` the program counter is put back to the instruction."""
    pc = cpu.pc
    try:
        halted = space.read(pc - 1, 1) == b"\xf4"  # f4 hlt
    except MemoryFault:
        halted = False
    if halted:
        general = cpu.general()
        general[-2] = pc - 1
        cpu.set_general(general)
        return faults.general_protection()
    return faults.illegal_instruction(pc)

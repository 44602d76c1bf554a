"""Where in memory the instruction at the program counter reads and writes, by decoding it (capstone) with the registers as they were before it.

Only for faults: it takes a millisecond. Source: Intel SDM volume 2; volume 1, 3.7.4 (which segment an operand is in unless a prefix says).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from uselib.emulator.machine.registers import INDEX
from uselib.emulator.process.interfaces import CpuState
from uselib.loader.memory.address_space import AddressSpace, MemoryFault

_REGISTER, _MEMORY = 1, 3  # capstone's kinds of operand


class MemoryOperand(NamedTuple):
    address: int
    size: int
    stack: bool  # in the stack segment

    def touches(self, begin: int, end: int) -> bool:
        return self.address < end and self.address + self.size > begin


# Instructions that use the stack without saying so, by capstone's mnemonic, and how many elements they push or pop
_PUSH = {
    "push": 1,
    "pushal": 8,
    "pushaw": 8,
    "pushaq": 8,
    "pushfd": 1,
    "pushfq": 1,
    "pushf": 1,
    "call": 1,
    "lcall": 2,
    "enter": 1,
}
_POP = {
    "pop": 1, "popal": 8, "popaw": 8, "popfd": 1, "popfq": 1, "popf": 1, "ret": 1, "retf": 2, "retfq": 2, "iretd": 3, "iretq": 3,
    "iret": 3,
}  # fmt: skip
_NAMES = ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")
_WIDER = {name: "e" + name for name in _NAMES} | {"e" + name: "r" + name for name in _NAMES}
_BIT_STRINGS = frozenset({"bt", "bts", "btr", "btc"})  # a register counts bits from the operand on, in both directions
_STACK_REGISTERS = frozenset({"rsp", "rbp", "esp", "ebp", "sp", "bp"})


def instruction_at(space: AddressSpace, bits: int, pc: int) -> Any | None:
    """The decoded instruction with its operands; None if it cannot be read or decoded."""
    import capstone

    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64 if bits == 64 else capstone.CS_MODE_32)
    decoder.detail = True
    try:
        vma = space.find(pc)
        return next(decoder.disasm(space.read(pc, min(15, vma.end - pc) if vma else 15), pc, 1), None)
    except MemoryFault:
        return None


def waits_for_float(instruction: Any) -> bool:
    """Whether it raises an exception of the x87 that is pending, before it reads or writes its operand: of the x87 or of MMX, and not of
    those that do not wait (FNSTCW ...). Source: Intel SDM volume 1, 8.3.11 and 8.6."""
    mnemonic: str = instruction.mnemonic.split()[-1]
    if 0xD8 <= instruction.opcode[0] <= 0xDF:
        return not mnemonic.startswith("fn")
    return mnemonic == "wait" or any(
        operand.type == _REGISTER and instruction.reg_name(operand.reg).startswith("mm")
        for operand in instruction.operands
    )


class RegisterValues:
    """Values by name, of any width, as the instruction has them."""

    def __init__(self, cpu: CpuState, values: list[int], size: int) -> None:
        self._index, self._values, self._next = INDEX[cpu.bits], values, values[-2] + size

    def __getitem__(self, name: str) -> int:
        if name in ("rip", "eip"):
            return self._next
        if name in self._index:
            return self._values[self._index[name]]
        wide = _WIDER.get(name, name.rstrip("dw"))  # 32-bit address size in 64-bit mode; 16 bits
        return self._values[self._index[wide]] & 0xFFFF_FFFF if wide in self._index else 0


def accesses(space: AddressSpace, cpu: CpuState, registers: list[int], instruction: Any) -> list[MemoryOperand]:
    """In the order in which they are likely to be made. registers: as cpu.general() gives them."""
    named = RegisterValues(cpu, registers, instruction.size)
    return [*_explicit(cpu, named, instruction), *_implicit(cpu, named, instruction)]


def _explicit(cpu: CpuState, registers: RegisterValues, instruction: Any) -> Iterator[MemoryOperand]:
    """Operands that the instruction names."""
    for operand in instruction.operands:
        if operand.type != _MEMORY:
            continue
        memory = operand.mem
        base = instruction.reg_name(memory.base) if memory.base else ""
        address = memory.disp + (registers[base] if base else 0)
        if memory.index:
            address += registers[instruction.reg_name(memory.index)] * memory.scale
        if instruction.mnemonic == "pop" and base in ("esp", "rsp"):
            address += operand.size  # the register has been changed then
        address += _bit_offset(registers, instruction, operand.size)
        segment = instruction.reg_name(memory.segment) if memory.segment else ""
        if segment in ("fs", "gs"):
            address += _segment_base(cpu, segment)
        named = segment in ("fs", "gs") or (segment and cpu.code_bits == 32)
        stack = segment == "ss" if named else base in _STACK_REGISTERS
        yield MemoryOperand(address & (1 << cpu.code_bits) - 1, max(operand.size, 1), stack)


def _bit_offset(registers: RegisterValues, instruction: Any, size: int) -> int:
    """Of BT and its like with a register as the number of the bit: bytes from the operand on, in both directions."""
    if instruction.mnemonic.split()[-1] not in _BIT_STRINGS or instruction.operands[1].type != _REGISTER:
        return 0
    bits = 8 * size
    bit = registers[instruction.reg_name(instruction.operands[1].reg)] % (1 << bits)
    return int((bit - (bit >> bits - 1 << bits)) // bits * size)


def _implicit(cpu: CpuState, registers: RegisterValues, instruction: Any) -> Iterator[MemoryOperand]:
    """The stack, where the instruction does not name it."""
    mnemonic, mask = instruction.mnemonic.split()[-1], (1 << cpu.code_bits) - 1
    size = 2 if 0x66 in instruction.prefix[2:3] else cpu.code_bits // 8
    sp, bp = (registers["rsp"], registers["rbp"]) if cpu.code_bits == 64 else (registers["esp"], registers["ebp"])
    if mnemonic in _PUSH:
        yield from (MemoryOperand((sp - n * size) & mask, size, True) for n in range(1, _PUSH[mnemonic] + 1))
    elif mnemonic in _POP:
        yield from (MemoryOperand((sp + n * size) & mask, size, True) for n in range(_POP[mnemonic]))
    elif mnemonic == "leave":
        yield MemoryOperand(bp, size, True)
    if mnemonic == "enter":
        levels = instruction.operands[1].imm & 31
        yield from (MemoryOperand((bp - n * size) & mask, size, True) for n in range(1, levels))
        yield from (MemoryOperand((sp - n * size) & mask, size, True) for n in range(2, levels + 2))


def _segment_base(cpu: CpuState, segment: str) -> int:
    if cpu.bits == 64:
        return cpu.fs_base() if segment == "fs" else cpu.gs_base()
    return cpu.descriptor_base(cpu.segments()[segment])

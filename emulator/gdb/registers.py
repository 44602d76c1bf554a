"""GDB's register numbers: the target description of each machine, and its registers read and written in that order.

Source: GDB manual, "Standard Target Features, i386 Features"; features/i386/*.xml of GDB for order and names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from uselib.emulator.machine.machine import VirtualMachine
from uselib.emulator.machine.registers import INDEX

_CORE = {
    32: ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip", "eflags"),
    64: ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", *(f"r{n}" for n in range(8, 16)), "rip", "eflags"),
}
_SEGMENTS = ("cs", "ss", "ds", "es", "fs", "gs")
_CONTROL = ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")
_ST, _XMM, _MXCSR = 32, 160, 24  # offsets in FXSAVE's image
_CONTROL_AT = {"fctrl": 0, "fstat": 2, "fop": 6}

_VECTOR = """
<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/>
<vector id="v16i8" type="int8" count="16"/><vector id="v8i16" type="int16" count="8"/>
<vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/>
<union id="vec128"><field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/>
<field name="v16_int8" type="v16i8"/><field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/>
<field name="v2_int64" type="v2i64"/><field name="uint128" type="uint128"/></union>
"""


@dataclass(frozen=True)
class Register:
    name: str
    bits: int
    type: str
    group: str = ""


def _features(bits: int) -> Iterator[tuple[str, str, list[Register]]]:
    """Feature name, its type definitions, and registers; register numbers count through all of them."""
    core = []
    for name in _CORE[bits]:
        kind = {"rip": "code_ptr", "eip": "code_ptr"}.get(name, "int")
        if name in ("esp", "ebp", "rsp", "rbp"):
            kind = "data_ptr"
        width = 32 if name == "eflags" else bits
        core.append(Register(name, width, f"int{bits}" if kind == "int" and width == bits else kind))
    core += [Register(name, 32, "int32") for name in _SEGMENTS]
    core += [Register(f"st{n}", 80, "i387_ext") for n in range(8)]
    core += [Register(name, 32, "int", "float") for name in _CONTROL]
    yield "org.gnu.gdb.i386.core", "", core
    vectors = [Register(f"xmm{n}", 128, "vec128") for n in range(16 if bits == 64 else 8)]
    yield "org.gnu.gdb.i386.sse", _VECTOR, [*vectors, Register("mxcsr", 32, "int", "vector")]
    yield "org.gnu.gdb.i386.linux", "", [Register("orig_rax" if bits == 64 else "orig_eax", bits, f"int{bits}")]
    if bits == 64:
        yield "org.gnu.gdb.i386.segments", "", [Register("fs_base", 64, "int"), Register("gs_base", 64, "int")]


def layout(bits: int) -> list[Register]:
    """The registers by GDB's number."""
    return [register for _, _, registers in _features(bits) for register in registers]


def target_xml(bits: int) -> bytes:
    """The target description."""
    out = ['<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0">']
    out.append(f"<architecture>{'i386:x86-64' if bits == 64 else 'i386'}</architecture><osabi>GNU/Linux</osabi>")
    number = 0
    for feature, types, registers in _features(bits):
        out.append(f'<feature name="{feature}">{types}')
        for register in registers:
            group = f' group="{register.group}"' if register.group else ""
            out.append(
                f'<reg name="{register.name}" bitsize="{register.bits}" type="{register.type}" regnum="{number}"{group}/>'
            )
            number += 1
        out.append("</feature>")
    return "".join([*out, "</target>"]).encode()


class RegisterFile:
    """The registers of one machine as GDB's packets have them: little-endian bytes by number."""

    def __init__(self, machine: VirtualMachine) -> None:
        self._cpu = machine.cpu
        self._index = INDEX[machine.bits] | {"eflags": len(INDEX[machine.bits]) - 1}
        self.registers = layout(machine.bits)

    def read_all(self) -> bytes:
        values = self._snapshot()
        return b"".join(values(register) for register in self.registers)

    def read(self, number: int) -> bytes | None:
        """None: there is no such register."""
        return self._snapshot()(self.registers[number]) if number < len(self.registers) else None

    def _snapshot(self) -> Callable[[Register], bytes]:
        cpu, general, segments, state = self._cpu, self._cpu.general(), self._cpu.segments(), self._cpu.float_state()

        def value(register: Register) -> bytes:
            name, size = register.name, register.bits // 8
            if name in self._index:
                number = general[self._index[name]]
            elif name in segments:
                number = segments[name]
            elif name.startswith("st") and len(name) == 3:
                at = _ST + 16 * int(name[2])
                return state[at : at + 10]
            elif name.startswith("xmm"):
                at = _XMM + 16 * int(name[3:])
                return state[at : at + 16]
            elif name == "mxcsr":
                return state[_MXCSR : _MXCSR + 4]
            elif name == "ftag":  # two bits a register, from FXSAVE's one
                number = sum(0 if state[4] >> i & 1 else 3 << 2 * i for i in range(8))
            elif name in _CONTROL_AT:
                number = int.from_bytes(state[_CONTROL_AT[name] : _CONTROL_AT[name] + 2], "little")
            elif name == "fs_base":
                number = cpu.fs_base()
            elif name == "gs_base":
                number = cpu.gs_base()
            else:
                number = (1 << register.bits) - 1 if name.startswith("orig_") else 0  # no system call to restart
            return (number & (1 << 8 * size) - 1).to_bytes(size, "little")

        return value

    def write_all(self, data: bytes) -> None:
        at = 0
        for number, register in enumerate(self.registers):
            size = register.bits // 8
            if len(data) < at + size:
                break
            if data[at : at + size] != self.read(number):
                self.write(number, data[at : at + size])
            at += size

    def write(self, number: int, data: bytes) -> bool:
        """False: there is no such register. Selectors and the addresses of the last x87 instruction stay as they are."""
        if number >= len(self.registers):
            return False
        register = self.registers[number]
        name, size = register.name, register.bits // 8
        data = data[:size].ljust(size, b"\0")
        value = int.from_bytes(data, "little")
        if name in self._index:
            general = self._cpu.general()
            general[self._index[name]] = value
            self._cpu.set_general(general)
        elif name == "fs_base":
            self._cpu.set_fs_base(value)
        elif name == "gs_base":
            self._cpu.set_gs_base(value)
        else:
            self._write_float(name, data, value)
        return True

    def _write_float(self, name: str, data: bytes, value: int) -> None:
        state = bytearray(self._cpu.float_state())
        if name.startswith("st") and len(name) == 3:
            at = _ST + 16 * int(name[2])
        elif name.startswith("xmm"):
            at = _XMM + 16 * int(name[3:])
        elif name == "mxcsr":
            at = _MXCSR
        elif name in _CONTROL_AT:
            at, data = _CONTROL_AT[name], data[:2]
        elif name == "ftag":
            at, data = 4, bytes([sum(1 << i for i in range(8) if (value >> 2 * i & 3) != 3)])
        else:
            return
        state[at : at + len(data)] = data
        self._cpu.set_float_state(bytes(state))

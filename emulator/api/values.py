"""C values: arguments and results by the machine's calling convention, in both directions.

i386 cdecl: all arguments on the stack, results in eax (edx:eax for 64 bits) or st0. x86-64 System V: six integer arguments
in registers, eight doubles in xmm0-7, the rest on the stack; results in rax or xmm0. Source: the two psABIs, section 3.2.
"""

from __future__ import annotations

import ctypes
import inspect
import math
import struct
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from uselib.emulator.machine.registers import INDEX

if TYPE_CHECKING:
    from uselib.emulator.machine.machine import VirtualMachine

_INTEGER_REGISTERS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
_FLOAT_REGISTERS = 8
_ST, _XMM = 32, 160  # in FXSAVE's image
_RED_ZONE = 128
_LONG_BYTES = 256 << 10  # more than this does not go on the guest's stack

# name -> (bytes; 0: a word, signed)
INTEGER_RESULTS = {
    "char": (1, True),
    "uchar": (1, False),
    "short": (2, True),
    "ushort": (2, False),
    "int": (4, True),
    "uint": (4, False),
    "long": (0, True),
    "ulong": (0, False),
    "pointer": (0, False),
    "int64": (8, True),
    "uint64": (8, False),
}
RESULTS = (*INTEGER_RESULTS, "double", "float", "string", "void")

_INTEGERS = tuple(
    getattr(ctypes, f"c_{name}") for name in "int8 uint8 int16 uint16 int32 uint32 int64 uint64 bool".split()
)


def cut(value: int, size: int, signed: bool) -> int:
    """The low `size` bytes of a value."""
    value &= (1 << 8 * size) - 1
    return value - (1 << 8 * size) if signed and value >> 8 * size - 1 else value


def extended(value: float) -> bytes:
    """A double as the x87's 80-bit format."""
    sign = 0x8000 if math.copysign(1, value) < 0 else 0
    if math.isnan(value) or math.isinf(value):
        return struct.pack("<QH", 0xC000_0000_0000_0000 if math.isnan(value) else 1 << 63, sign | 0x7FFF)
    mantissa, exponent = math.frexp(abs(value))
    return struct.pack("<QH", int(mantissa * 2.0**64), sign | (exponent + 16382 if value else 0))


def from_extended(data: bytes) -> float:
    """An 80-bit value, rounded to double."""
    mantissa, high = struct.unpack("<QH", data[:10])
    sign, exponent = -1.0 if high & 0x8000 else 1.0, high & 0x7FFF
    if exponent == 0x7FFF:
        return sign * math.inf if mantissa == 1 << 63 else math.nan
    try:
        return sign * math.ldexp(mantissa, exponent - 16383 - 63)
    except OverflowError:
        return sign * math.inf


@dataclass
class Frame:
    """Arguments of a call ready to be put into a machine. sp: where the return address goes."""

    values: list[int]  # general registers
    floats: list[float] = field(default_factory=list)  # xmm0, xmm1, ...
    copies: list[tuple[int, Any]] = field(default_factory=list)  # address, Python buffer that is written back to
    mapped: list[tuple[int, int]] = field(default_factory=list)  # address, size to be unmapped afterwards


def _contents(value: object) -> tuple[bytes, Any] | None:
    """What is copied for an argument that is passed by address, and the buffer that the copy goes back to."""
    if isinstance(value, str):
        return value.encode() + b"\0", None
    if isinstance(value, bytes):
        return value + b"\0", None
    if isinstance(value, (bytearray, array, ctypes.Array, ctypes.Structure, memoryview)):
        view = memoryview(value)
        return bytes(view), None if view.readonly else value
    return None


def arrange(
    machine: VirtualMachine, arguments: Sequence[object], callback: Callable[[Callable[..., Any]], int]
) -> Frame:
    """Puts arguments into guest memory and a Frame. Raises TypeError, ValueError for a value that C has no place for,
    MemoryFault. The stack pointer in the machine is where the stack begins now."""
    space, bits = machine.space, machine.bits
    word, index = bits // 8, INDEX[bits]
    frame = Frame(machine.cpu.general())
    sp = frame.values[7] - _RED_ZONE
    stack = bytearray()
    integers: list[int] = []
    for value in arguments:
        found = _contents(value)
        if found is not None:
            data, back = found
            if len(data) > _LONG_BYTES:
                address = space.map(0, len(data), 3, name="[arguments]")
                frame.mapped.append((address, len(data)))
            else:
                address = sp = (sp - len(data)) & -16
            if data:
                space.write(address, data)
            if back is not None:
                frame.copies.append((address, back))
            value = address
        elif callable(value) and not hasattr(value, "__index__"):
            value = callback(value)
        _place(value, bits, integers, frame.floats, stack)
    sp = (sp - len(stack)) & -16
    if stack:
        space.write(sp, bytes(stack))
    for name, number in zip(_INTEGER_REGISTERS, integers, strict=False):
        frame.values[index[name]] = number
    if bits == 64:
        frame.values[index["rax"]] = len(frame.floats)  # al: vector registers used, for functions with `...`
    frame.values[7] = sp - word
    return frame


def _place(value: object, bits: int, integers: list[int], floats: list[float], stack: bytearray) -> None:
    word = bits // 8
    if isinstance(value, (float, ctypes.c_double, ctypes.c_float)):
        number = value if isinstance(value, float) else value.value
        single = isinstance(value, ctypes.c_float)
        if bits == 64 and not single and len(floats) < _FLOAT_REGISTERS:
            floats.append(number)
        elif bits == 64 and len(floats) < _FLOAT_REGISTERS:  # a float in the low half of the register
            floats.append(struct.unpack("<d", struct.pack("<fI", number, 0))[0])
        else:
            stack += struct.pack("<f" if single else "<d", number).ljust(word, b"\0")
        return
    size = word
    if value is None:
        number = 0
    elif isinstance(value, _INTEGERS):
        size = max(ctypes.sizeof(value), word)
        number = int(value.value)
    elif hasattr(value, "__index__"):
        number = value.__index__()
        if not -(1 << bits - 1) <= number < 1 << bits:
            raise ValueError(f"{number} does not fit into {bits} bits; use ctypes.c_int64 for `long long`")
    else:
        raise TypeError(f"a {type(value).__name__} cannot be passed to C")
    number &= (1 << 8 * size) - 1
    if bits == 64 and len(integers) < len(_INTEGER_REGISTERS):
        integers.append(number)
    else:
        stack += number.to_bytes(size, "little")


def load_floats(machine: VirtualMachine, floats: Sequence[float]) -> None:
    """xmm0, xmm1, ... before a call."""
    if floats:
        state = bytearray(machine.cpu.float_state())
        for position, value in enumerate(floats):
            struct.pack_into("<d8x", state, _XMM + 16 * position, value)
        machine.cpu.set_float_state(bytes(state))


def give_back(machine: VirtualMachine, frame: Frame) -> None:
    """After a call: buffers get what the function wrote into them."""
    for address, target in frame.copies:
        view = memoryview(target).cast("B")
        if len(view):
            view[:] = machine.space.read(address, len(view))
    for address, size in frame.mapped:
        machine.space.unmap(address, size)


def result_of(machine: VirtualMachine, values: list[int], kind: str) -> int | float | bytes | None:
    """The result of a function that has just returned, its x87 value taken off the stack. values: general registers.
    Raises ValueError for an unknown kind, MemoryFault for a bad string."""
    word, index = machine.bits // 8, INDEX[machine.bits]
    low = values[index["rax" if word == 8 else "eax"]]
    if kind in INTEGER_RESULTS:
        size, signed = INTEGER_RESULTS[kind]
        if size == 8 and word == 4:
            low |= values[index["edx"]] << 32
        return cut(low, size or word, signed)
    if kind == "void":
        return None
    if kind == "string":
        return machine.space.read_string(low) if low else None
    state = bytearray(machine.cpu.float_state())
    if word == 8:
        (number,) = struct.unpack_from("<d" if kind == "double" else "<f", state, _XMM)
        return float(number)
    number = from_extended(bytes(state[_ST : _ST + 10]))
    top = state[3] >> 3 & 7
    state[4] &= ~(1 << top)  # the register is empty
    state[3] = state[3] & ~0x38 | (top + 1 & 7) << 3
    state[_ST : _ST + 128] = state[_ST + 16 : _ST + 128] + state[_ST : _ST + 16]
    machine.cpu.set_float_state(bytes(state))
    return number


@dataclass(frozen=True)
class Signature:
    """How a Python function stands for a C function: one parameter kind for each positional parameter."""

    floats: tuple[bool, ...]

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Signature:
        """A parameter annotated `float` is a double, every other one a word. Raises TypeError."""
        kinds = []
        try:
            parameters = inspect.signature(function).parameters.values()
        except ValueError:
            raise TypeError(f"{function!r} does not tell its parameters; wrap it in a lambda") from None
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise TypeError(f"{function!r} takes any number of arguments: C must know how many")
            if parameter.kind is not parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
                kinds.append(parameter.annotation in (float, "float"))
        return cls(tuple(kinds))

    def arguments(self, machine: VirtualMachine) -> list[int | float]:
        """At a function's first instruction. Raises MemoryFault."""
        word, general = machine.bits // 8, machine.cpu.general()
        at = general[7] + word
        registers = [general[INDEX[64][name]] for name in _INTEGER_REGISTERS] if word == 8 else []
        state = machine.cpu.float_state() if word == 8 and any(self.floats) else b""
        vectors = 0
        found: list[int | float] = []
        for is_float in self.floats:
            if is_float and state and vectors < _FLOAT_REGISTERS:
                found.append(struct.unpack_from("<d", state, _XMM + 16 * vectors)[0])
                vectors += 1
            elif is_float:
                found.append(struct.unpack("<d", machine.space.read(at, 8))[0])
                at += 8
            elif registers:
                found.append(registers.pop(0))
            else:
                found.append(int.from_bytes(machine.space.read(at, word), "little"))
                at += word
        return found


def argument(machine: VirtualMachine, number: int) -> int:
    """Argument word `number`, from 0, at a function's first instruction. Raises MemoryFault."""
    return int(Signature((False,) * (number + 1)).arguments(machine)[number])


def return_from(machine: VirtualMachine, result: object) -> None:
    """Ends the function at whose first instruction the machine is, with a Python value as its result. Raises TypeError."""
    word, index = machine.bits // 8, INDEX[machine.bits]
    general = machine.cpu.general()
    if isinstance(result, float):
        state = bytearray(machine.cpu.float_state())
        if word == 8:
            struct.pack_into("<d8x", state, _XMM, result)
        else:
            top = (state[3] >> 3 & 7) - 1 & 7
            state[4] |= 1 << top
            state[3] = state[3] & ~0x38 | top << 3
            state[_ST : _ST + 128] = extended(result) + bytes(6) + state[_ST : _ST + 112]
        machine.cpu.set_float_state(bytes(state))
    elif result is None or hasattr(result, "__index__"):
        number = 0 if result is None else result.__index__()
        general[index["rax" if word == 8 else "eax"]] = number & (1 << machine.bits) - 1
        if word == 4:
            general[index["edx"]] = number >> 32 & 0xFFFF_FFFF
    else:
        raise TypeError(
            f"a {type(result).__name__} cannot be the result of a C function: return an int, a float or None"
        )
    sp = general[7]
    general[-2] = int.from_bytes(machine.space.read(sp, word), "little")
    general[7] = sp + word
    machine.cpu.set_general(general)

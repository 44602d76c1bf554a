"""Where the arguments of a call lie: in registers, on the stack, and, for the targets of pointers, in a block of guest memory (the arena)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from uselib.abi.dynamic.probe.spec import Refused
from uselib.abi.dynamic.probe.values import Arena, Region, Value, encode
from uselib.emulator.trace.prototypes.conventions import Arguments, Part, Where, in_memory
from uselib.emulator.trace.prototypes.type_views import FloatingView, Prototype, TypeView
from uselib.linker.image import Machine

ARENA = 0x2000_0000  # where the block lies: between heap and libraries on both machines
ARENA_SIZE = 1 << 20
BETWEEN = 1 << 16  # bytes from the arguments of one call of a sequence to those of the next


@dataclass(frozen=True)
class PreparedArguments:
    """Arguments in their places. words, vectors: registers; stack: bytes from the first argument on; memory: of the arena."""

    words: tuple[int, ...]
    vectors: tuple[bytes, ...]
    stack: bytes
    memory: bytes
    regions: tuple[Region, ...]
    result_at: int = 0  # where a result in memory goes
    base: int = ARENA  # where the memory lies


def prepare(prototype: Prototype, values: Sequence[Value], machine: Machine, base: int = ARENA) -> PreparedArguments:
    """Puts values into registers, stack and arena by the calling convention."""
    arena = Arena(base, machine.word)
    words: dict[int, int] = {}
    vectors: dict[int, bytes] = {}
    stack = bytearray()
    i386 = machine is Machine.I386
    arguments = Arguments(machine, prototype.result)
    result_at = 0

    def store(parts: Sequence[Part], data: bytes) -> None:
        position = 0
        for part in parts:
            piece = data[position : position + part.size]
            position += part.size
            if part.where is Where.VECTOR:
                vectors[part.index] = piece
            elif part.where is Where.WORD and not i386:
                words[part.index] = int.from_bytes(piece, "little")
            else:
                at = part.index * 4 if part.where is Where.WORD else part.index
                stack.extend(bytes(max(at + part.size - len(stack), 0)))
                stack[at : at + part.size] = piece

    if in_memory(prototype.result, machine):
        result_at = arena.add("result", prototype.result, 1, bytes(prototype.result.size))
        store((Part(Where.WORD, 0, machine.word),), result_at.to_bytes(machine.word, "little"))
    for number, (parameter, value) in enumerate(zip(prototype.parameters, values, strict=True)):
        data = encode(parameter.type, value, arena, parameter.name or f"argument{number + 1}")
        store(arguments.next(parameter.type), _widened(parameter.type, data, machine))
    if base + len(arena.data) > ARENA + ARENA_SIZE:
        raise Refused("its arguments are too large")
    ordered = [words.get(n, 0) for n in range(max(words, default=-1) + 1)]
    floats = [vectors.get(n, b"") for n in range(max(vectors, default=-1) + 1)]
    return PreparedArguments(
        tuple(ordered), tuple(floats), bytes(stack), bytes(arena.data), tuple(arena.regions), result_at, base
    )


def _widened(type_: TypeView, data: bytes, machine: Machine) -> bytes:
    """Compilers extend small integers to 32 bits at the call, and some callees rely on it."""
    if type_.size >= 4 or not data or isinstance(type_, FloatingView):
        return data
    signed = bool(getattr(type_, "signed", False))
    if not hasattr(type_, "signed"):
        return data
    return int.from_bytes(data, "little", signed=signed).to_bytes(4, "little", signed=signed)

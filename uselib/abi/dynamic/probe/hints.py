"""Constants of the code that is probed. A change often depends on one (`if (flags == 0x2f) ...`), and random numbers hardly ever hit it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from uselib.linker.image import EXEC, WRITE, Image, Machine

_TEXT = re.compile(rb"(?<![\x20-\x7e\t\n])[\x20-\x7e\t\n]{1,32}(?=\0)")
_MOST_TEXTS = 200
_MOST_NUMBERS = 300
_LARGEST = 1 << 16  # bytes of code that are read


@dataclass(frozen=True)
class Hints:
    """numbers, texts: constants of the code that is probed. ranges: parameter -> least and greatest value, as the user says. null:
    pointers may be NULL."""

    numbers: tuple[int, ...] = ()
    texts: tuple[bytes, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    null: bool = False


def numbers(image: Image, data: bytes, name: str) -> set[int]:
    """Immediate operands of a function, and their neighbours. data: the library's file."""
    import capstone

    implementation = next((e for e in image.exports if e.name == name and e.implementation), None)
    if implementation is None:
        return set()
    start, size = implementation.implementation, min(implementation.size, _LARGEST)
    code = _bytes(image, data, start, size)
    mode = capstone.CS_MODE_32 if image.machine is Machine.I386 else capstone.CS_MODE_64
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, mode)
    disassembler.detail = True
    low = min(segment.address for segment in image.segments)
    high = max(segment.end for segment in image.segments)
    found: set[int] = set()
    for instruction in disassembler.disasm(code, start):
        if instruction.group(capstone.CS_GRP_JUMP) or instruction.group(capstone.CS_GRP_CALL):
            continue
        for operand in instruction.operands:
            if operand.type == capstone.x86.X86_OP_IMM and not low <= operand.imm < high:
                value = operand.imm
                found |= {value - 1, value, value + 1}
                if instruction.mnemonic in ("shl", "sar", "shr", "bt") and 0 < value < 64:
                    found |= {1 << value, -(1 << value)}
    return found


def texts(image: Image, data: bytes) -> set[bytes]:
    """Short strings of the library's constants."""
    found: set[bytes] = set()
    for segment in image.segments:
        found.update(match[0] for match in _TEXT.finditer(data, segment.offset, segment.offset + segment.file_size))
    return found


def _bytes(image: Image, data: bytes, address: int, size: int) -> bytes:
    for segment in image.segments:
        if segment.address <= address < segment.address + segment.file_size and segment.flags & (EXEC | WRITE):
            at = segment.offset + address - segment.address
            return data[at : at + size]
    return b""


def chosen(old: set[int], new: set[int]) -> tuple[int, ...]:
    """The constants to try; those that only one version has come first."""
    return tuple([*_ordered(old ^ new), *_ordered(old & new)][:_MOST_NUMBERS])


def chosen_texts(old: set[bytes], new: set[bytes]) -> tuple[bytes, ...]:
    """As `chosen`, for strings."""
    return tuple([*sorted(old ^ new, key=_size), *sorted(old & new, key=_size)][:_MOST_TEXTS])


def _ordered(values: set[int]) -> Iterator[int]:
    return iter(sorted(values, key=lambda value: (abs(value), value < 0)))


def _size(text: bytes) -> tuple[int, bytes]:
    return len(text), text

"""The jump table: equal-sized slots at fixed addresses, through which programs reach a library's functions.

    E9 xx xx xx xx   jmp rel32      S - (address of the slot + 5)
    CC CC CC         int3 x 3       padding to 8 bytes, never run

An empty slot (reserved for a later function) traps:

    0F 0B            ud2
    CC x 6           int3 x 6

A retired slot calls the trap (retired_trap.py), which names the function and ends the program:

    E8 xx xx xx xx   call rel32     trap - (address of the slot + 5)
    CC CC CC         int3 x 3

A slot's number is its position, from 1. Programs know it by its address, so a function keeps its slot within a major version. The
numbers come from three sources: a previous release (`--previous`, releases/slots.py), a specification file's `#branch`,
and for all other functions `default_order`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

from uselib.linker.library.retired_trap import CALL
from uselib.linker.quick_dataclass import dataclass

SLOT_SIZE = 8
JUMP, JUMP_SIZE = 0xE9, 5
EMPTY = b"\x0f\x0b" + b"\xcc" * 6
LARGEST = 0xFFFF  # slots in a table
_PADDING = b"\xcc" * (SLOT_SIZE - JUMP_SIZE)


@dataclass(frozen=True)
class JumpSlot:
    """A slot in a file: its target, or None for an empty or retired one or bytes that are not a slot."""

    number: int
    address: int
    target: int | None
    raw: bytes
    trap: int | None = None  # of a retired slot: the trap's address

    @property
    def empty(self) -> bool:
        """Whether the slot traps on purpose."""
        return self.raw == EMPTY

    @property
    def retired(self) -> bool:
        """Whether the slot belonged to a function that was retired."""
        return self.trap is not None


def default_order(names: Iterable[str]) -> tuple[str, ...]:
    """The default order of slots: byte order of their UTF-8 form, each once."""
    unique = set(names)
    if all(map(str.isascii, unique)):
        return tuple(sorted(unique))
    return tuple(sorted(unique, key=lambda name: name.encode("utf-8", "surrogateescape")))


def numbering(
    names: Iterable[str],
    branch: Mapping[str, Sequence[int]] | None = None,
    reserved: int = 0,
    kept: Mapping[int, str] | None = None,
) -> tuple[dict[str, int], dict[int, str], int]:
    """Slots of the exported functions `names`: (number of each name, name of each filled slot, count of slots).

    `branch` gives the numbers of some names (specification file); a name with several takes the highest, and its
    lower slots lead to it as well. `kept` are slots that names have had since an earlier release; `branch` has been
    checked against them. All other names follow in default order, behind the highest number of both and behind slot `reserved`, the highest
    that the file or the earlier release mentions.
    """
    branch, slots = branch or {}, dict(kept or {})
    wanted = set(names)
    slots |= {number: name for name, numbers in branch.items() if name in wanted for number in numbers}
    count = max((number for numbers in branch.values() for number in numbers), default=0)
    count = max(count, reserved, *slots, 0)
    for name in default_order(wanted - branch.keys() - set(slots.values())):
        count += 1
        slots[count] = name
    number_of: dict[str, int] = {}
    for number in sorted(slots):
        number_of[slots[number]] = number  # the highest comes last, so it stays
    return number_of, slots, count


def encode(table: int, targets: Sequence[int | None], traps: Mapping[int, int] | None = None) -> bytes:
    """The table's bytes when it is at address `table`; a target of None makes an empty slot, or a retired one if `traps`
    has a trap's address for its number.

    Raises OverflowError if a target is further than 2 GiB away.
    """
    slots = []
    traps = traps or {}
    for index, target in enumerate(targets):
        opcode = JUMP
        if target is None:
            if index + 1 not in traps:
                slots.append(EMPTY)
                continue
            opcode, target = CALL, traps[index + 1]
        displacement = target - (table + index * SLOT_SIZE + JUMP_SIZE)
        if not -0x80000000 <= displacement <= 0x7FFFFFFF:
            raise OverflowError(f"slot {index + 1} cannot reach {target:#x}")
        slots.append(struct.pack("<Bi", opcode, displacement) + _PADDING)
    return b"".join(slots)


def decode(data: bytes, table: int, count: int | None = None, mask: int = (1 << 64) - 1) -> tuple[JumpSlot, ...]:
    """The slots in `data`, a table at address `table`; `mask` cuts targets to the machine's word.

    Never fails: bytes that are no slot give a JumpSlot without a target. `count` limits the number of slots.
    """
    available = len(data) // SLOT_SIZE
    slots = []
    for index in range(available if count is None else min(count, available)):
        raw = bytes(data[index * SLOT_SIZE : (index + 1) * SLOT_SIZE])
        address = table + index * SLOT_SIZE
        target = trap = None
        if raw[0] in (JUMP, CALL) and raw[JUMP_SIZE:] == _PADDING:
            leads_to = (address + JUMP_SIZE + struct.unpack_from("<i", raw, 1)[0]) & mask
            target, trap = (leads_to, None) if raw[0] == JUMP else (None, leads_to)
        slots.append(JumpSlot(index + 1, address, target, raw, trap))
    return tuple(slots)
